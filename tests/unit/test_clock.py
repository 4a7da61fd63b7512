"""Waits."""

from skewless.clock import Backoff


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(0.5, 10)
    assert [backoff.after(failures) for failures in (1, 2, 3, 6, 10_000)] == [0.5, 1.0, 2.0, 10.0, 10.0]
