"""How hard the properties look: 200 examples each, or 10,000 with SKEWLESS_PROFILE=long.

A failure prints the blob that reproduces it (`@reproduce_failure`) and shrinks to what can be written down
as a case of tests/spec/.
"""

import os

from hypothesis import HealthCheck, settings

_COMMON = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("default", max_examples=200, **_COMMON)  # type: ignore[arg-type]
settings.register_profile("long", max_examples=10_000, **_COMMON)  # type: ignore[arg-type]
settings.load_profile(os.environ.get("SKEWLESS_PROFILE", "default"))
