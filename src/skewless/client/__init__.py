"""What applications import: `Store`, and the answers it gives."""

from skewless.client.results import (
    ApiKey,
    Change,
    DeadLetter,
    Difference,
    Explanation,
    FeatureProfile,
    LetterReplay,
    NewApiKey,
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
    "ApiKey",
    "Change",
    "DeadLetter",
    "Difference",
    "Explanation",
    "FeatureProfile",
    "LetterReplay",
    "NewApiKey",
    "OnlineFeatures",
    "Plan",
    "Replay",
    "Report",
    "Rewound",
    "Run",
    "SourceStatus",
    "Store",
]
