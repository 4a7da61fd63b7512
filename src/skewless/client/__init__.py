"""What applications import: `Store`, `AsyncStore`, `AnswerCache`, and the answers it gives."""

from skewless.client.asynchronous import AsyncStore
from skewless.client.cache import AnswerCache, CacheCounts
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
    "AnswerCache",
    "ApiKey",
    "AsyncStore",
    "CacheCounts",
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
