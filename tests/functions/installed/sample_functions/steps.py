"""A module that `scoring` imports."""

from typing import Final

STEP: Final = 0.125
