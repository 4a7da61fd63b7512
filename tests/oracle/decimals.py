"""Decimals (docs/semantics.md, V12, A26 to A28): a cell is a `Decimal` with all S digits after the point."""

import re
from decimal import Decimal
from fractions import Fraction

MOST_DIGITS = 18
_TYPE = re.compile(r"decimal\((\d+),(\d+)\)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


def is_decimal(kind: str | None) -> bool:
    return kind is not None and _TYPE.fullmatch(kind) is not None


def scale_of(kind: str | None) -> int:
    return int(digits_of(kind)[1])


def digits_of(kind: str | None) -> tuple[int, int]:
    found = _TYPE.fullmatch(kind or "")
    assert found is not None, f"{kind!r} is no decimal"
    return int(found[1]), int(found[2])


def to_decimal(exact: Fraction, scale: int, digits: int = MOST_DIGITS) -> Decimal | None:
    """The number with so many digits after the point; None with more digits than there may be."""
    units = exact * 10**scale
    assert units.denominator == 1, f"{exact} has more digits"
    if abs(units) >= 10**digits:
        return None
    shown = str(abs(int(units)))
    return Decimal((int(units < 0), tuple(map(int, shown)), -scale))


def read(text: str, kind: str) -> Decimal | None:
    """V12: the cell of a number's text; None where it is no cell of the type."""
    digits, scale = digits_of(kind)
    if _NUMBER.fullmatch(text) is None or len(text.partition(".")[2]) > scale:
        return None
    return to_decimal(Fraction(text), scale, digits)
