"""Keys through the door. What they must be is written down in docs/semantics.md."""

from collections import Counter

import pytest

from skewless import kernel


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["JFK"], "s.JFK"),
        ([-7, "a b,c%é"], "i.-7,s.a%20b%2Cc%25%C3%A9"),
        ([""], "s."),
        (["1"], "s.1"),
        ([1], "i.1"),
        ([2**63 - 1, -(2**63)], "i.9223372036854775807,i.-9223372036854775808"),
        (["x" * 96], "s." + "x" * 96),
    ],
)
def test_an_id_is_the_canonical_text_of_its_parts(parts: list[str | int], expected: str) -> None:
    assert kernel.entity_id(parts) == expected


@pytest.mark.parametrize(
    ("parts", "reason"),
    [([], "KEY_WITHOUT_PARTS"), (["x" * 4_097], "KEY_PART_TOO_LONG"), ([2**63], "KEY_OUT_OF_RANGE")],
)
def test_what_has_no_id_is_refused_by_name(parts: list[str | int], reason: str) -> None:
    with pytest.raises(kernel.InputError) as caught:
        kernel.entity_id(parts)
    assert caught.value.reason == reason


@pytest.mark.parametrize("part", [True, 1.5, None, b"JFK"])
def test_a_part_of_another_type_is_refused(part: object) -> None:
    with pytest.raises(TypeError, match="a part of a key is a str or an int"):
        kernel.entity_id([part])  # type: ignore[list-item]


def test_a_patch_keeps_the_key_and_a_minor_version_does_not() -> None:
    def key(version: str) -> str:
        return kernel.state_key("flights", "origin", "s.JFK", "departures", version)

    assert key("1.2.3") == key("1.2.4") == "{flights:origin:s.JFK}:departures:v1.2"
    assert key("1.3.0") == "{flights:origin:s.JFK}:departures:v1.3"
    with pytest.raises(kernel.InputError, match="is no version") as caught:
        key("1")
    assert caught.value.reason == "BAD_VERSION"


def test_partitions_are_stable_and_even() -> None:
    # Fixed: a changed function would send new events of a key elsewhere than its old ones.
    assert [kernel.partition_of(f"s.{name}", 4) for name in ("JFK", "LGA", "EWR")] == [0, 2, 3]
    counts = Counter(kernel.partition_of(f"i.{number}", 4) for number in range(4000))
    assert set(counts) == {0, 1, 2, 3}
    assert all(850 < count < 1150 for count in counts.values())
    with pytest.raises(kernel.InputError):
        kernel.partition_of("s.JFK", 0)


def test_the_scripts_are_text_for_the_store() -> None:
    for script in (kernel.WRITE_STREAM_STATE, kernel.WRITE_LATEST_ROW):
        assert "redis.call" in script
