"""Which requests are replayed when not all are."""

from __future__ import annotations

import hashlib
from typing import Final

_SPAN: Final = 2**64


def chosen(request_id: str, share: float) -> bool:
    """Whether a request is among ``share`` (0 to 1) of all.

    Depends on the id only: a restart chooses the same ones, and a greater share chooses them too.
    """
    point = int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:8], "big")
    return point < int(share * _SPAN)
