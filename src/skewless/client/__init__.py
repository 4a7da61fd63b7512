"""What applications import: `Store`, and the answers it gives."""

from skewless.client.results import (
    Change,
    DeadLetter,
    Difference,
    Explanation,
    FeatureProfile,
    LetterReplay,
    OnlineFeatures,
    Plan,
    Replay,
    Report,
    Rewound,
    Run,
    SourceStatus,
)
from skewless.client.store import Store

__all__ = [
    "Change",
    "DeadLetter",
    "Difference",
    "Explanation",
    "FeatureProfile",
    "LetterReplay",
    "OnlineFeatures",
    "Plan",
    "Replay",
    "Report",
    "Rewound",
    "Run",
    "SourceStatus",
    "Store",
]
