"""The oracle's own arithmetic against Python's, and its hash against published vectors."""

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.blake3 import blake3
from tests.oracle.rounding import root, to_double

integers = st.integers(-(2**400), 2**400)


@given(integers, st.integers(1, 2**400))
def test_a_fraction_is_rounded_as_true_division_does(a: int, b: int) -> None:
    assert to_double(Fraction(a, b)) == a / b


@given(st.floats(min_value=0, allow_infinity=False))
def test_a_root_is_the_correctly_rounded_one(x: float) -> None:
    assert root(x) == math.sqrt(x)


def test_what_no_double_is_near_has_none() -> None:
    assert to_double(Fraction(2**1024)) is None
    assert to_double(Fraction(2**1024 - 2**970)) is None
    assert to_double(Fraction(2**1024 - 2**970 - 1)) == math.ldexp(2**53 - 1, 971)


def test_the_hash_gives_the_published_vectors() -> None:
    def counting(length: int) -> str:
        return blake3(bytes(i % 251 for i in range(length))).hex()

    assert counting(0) == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert counting(1025) == "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"
