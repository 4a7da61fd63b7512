"""What the workflow demands of the offline service."""

from __future__ import annotations

from typing import Protocol

from services.validator.domain.outcome import Answer
from services.validator.domain.queue import Batch


class Offline(Protocol):
    """Recomputes what was served."""

    @property
    def address(self) -> str:
        """Where it is, for messages."""

    def replay(self, batch: Batch) -> Answer:
        """Replays the batch. A failure of the call is part of the answer and never raised."""
