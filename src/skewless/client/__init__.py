"""What applications import: `Store`, and the answers it gives."""

from skewless.client.results import (
    Change,
    Difference,
    Explanation,
    FeatureProfile,
    OnlineFeatures,
    Plan,
    Replay,
    Report,
    Run,
)
from skewless.client.store import Store

__all__ = [
    "Change",
    "Difference",
    "Explanation",
    "FeatureProfile",
    "OnlineFeatures",
    "Plan",
    "Replay",
    "Report",
    "Run",
    "Store",
]
