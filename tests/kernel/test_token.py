"""As-of tokens through the door."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skewless import kernel

WINDOW, TABLE, STREAM = (bytes([n]) * 16 for n in range(3))
VIEWS = [(WINDOW, "window"), (TABLE, "latest_table"), (STREAM, "latest_stream")]
MOST = 2**64 - 1

runs = st.none() | st.integers(0, MOST)
logs = st.none() | st.tuples(st.integers(0, MOST), st.integers(0, 2**32 - 1), st.integers(0, MOST))
known = st.lists(st.tuples(logs, runs, logs).map(list), max_size=20)


@given(st.integers(-(2**63), 2**63 - 1), known)
def test_a_token_is_read_back(time: int, positions: list[list[tuple[int, int, int] | int | None]]) -> None:
    data = kernel.write_token(time, VIEWS, positions)
    token = kernel.read_token(data)
    assert (token.request_time_us, token.views, token.positions) == (time, VIEWS, positions)
    assert kernel.write_token(token.request_time_us, token.views, token.positions) == data


def test_rows_without_stored_views_have_no_positions() -> None:
    token = kernel.read_token(kernel.write_token(0, [], [[], []]))
    assert (token.views, token.positions) == ([], [[], []])


@given(st.binary(max_size=100))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    """Q1: by its checksum and version."""
    with pytest.raises(kernel.StateError) as caught:
        kernel.read_token(data)
    assert caught.value.reason == "TOKEN_DAMAGED"


def test_a_changed_byte_is_found() -> None:
    """Q1: at every place."""
    data = bytearray(kernel.write_token(5, VIEWS, [[(1, 2, 3), 4, None]]))
    for place in range(len(data)):
        data[place] ^= 1
        with pytest.raises(kernel.StateError):
            kernel.read_token(bytes(data))
        data[place] ^= 1
    assert kernel.read_token(bytes(data)).positions == [[(1, 2, 3), 4, None]]


@pytest.mark.parametrize(
    ("views", "positions", "reason"),
    [
        (VIEWS, [[None, None]], "TOKEN_WRONG_SHAPE"),
        (VIEWS, [[4, None, None]], "TOKEN_WRONG_SHAPE"),
        (VIEWS, [[None, (1, 2, 3), None]], "TOKEN_WRONG_SHAPE"),
        ([(WINDOW, "window")] * 513, [], "TOKEN_TOO_LARGE"),
        ([(b"short", "window")], [], "BAD_INPUT"),
        ([(WINDOW, "on_demand")], [], "BAD_INPUT"),
    ],
)
def test_what_makes_no_token_is_refused_by_name(views: Any, positions: Any, reason: str) -> None:
    with pytest.raises(kernel.InputError) as caught:
        kernel.write_token(0, views, positions)
    assert caught.value.reason == reason
