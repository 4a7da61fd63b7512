"""Exact numbers in, one rounding out (docs/semantics.md, chapter N).

Everything here is integers and fractions; no float operation decides a bit.
"""

import math
from fractions import Fraction

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
FLOAT_RANGE = Fraction(2**63)
FIXED_SCALE = 2**64

_MANTISSA_BITS = 53
_LEAST_EXPONENT = -1074
_FIRST_TOO_LARGE = Fraction(2**1024)
_ROOT_BITS = 130


def half_even(q: Fraction) -> int:
    """The nearest integer, ties to the even one."""
    below, rest = divmod(q.numerator, q.denominator)
    twice = 2 * rest
    up = twice > q.denominator or (twice == q.denominator and below % 2 == 1)
    return below + 1 if up else below


def to_fixed(x: float) -> int:
    """N4: the nearest multiple of 2^-64, as how many there are."""
    return half_even(Fraction(x) * FIXED_SCALE)


def to_double(q: Fraction) -> float | None:
    """N7: the nearest double, ties to even; None when that is no finite one. Zero is +0.0."""
    if q == 0:
        return 0.0
    exponent = _exponent(abs(q)) - (_MANTISSA_BITS - 1)
    exponent = max(exponent, _LEAST_EXPONENT)
    unit = Fraction(2**exponent) if exponent >= 0 else Fraction(1, 2**-exponent)
    mantissa = half_even(q / unit)
    if abs(mantissa) * unit >= _FIRST_TOO_LARGE:
        return None
    if mantissa == 0:
        return 0.0
    return math.ldexp(mantissa, exponent)


def to_int64(q: int) -> int | None:
    """N7: the integer itself; None outside int64."""
    return q if INT64_MIN <= q <= INT64_MAX else None


def root(x: float) -> float:
    """A7: the correctly rounded square root of a double >= 0."""
    if x == 0:
        return 0.0
    q = Fraction(x)
    # q = m / 4^k with m so long that its root has far more bits than a double.
    k = max(0, _ROOT_BITS - _exponent(q) // 2)
    scaled = q * 4**k
    m = scaled.numerator // scaled.denominator
    r = math.isqrt(m)
    exact = scaled.denominator == 1 and r * r == m
    # Between r and r + 1 there is no tie of doubles, so any point between stands for the root.
    rounded = to_double((Fraction(r) if exact else Fraction(2 * r + 1, 2)) / 2**k)
    assert rounded is not None, "a root is smaller than its square"
    return rounded


def _exponent(q: Fraction) -> int:
    """e with 2^e <= q < 2^(e+1), q > 0."""
    e = q.numerator.bit_length() - q.denominator.bit_length()
    power = Fraction(2**e) if e >= 0 else Fraction(1, 2**-e)
    return e if power <= q else e - 1
