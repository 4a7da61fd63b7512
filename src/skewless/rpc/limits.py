"""Sizes that both ends of a call agree on."""

from typing import Final

MAX_MESSAGE_BYTES: Final = 16 << 20
"""The largest message a server takes or sends by default."""
STATUS_BYTES_HEADER: Final = "skewless-status-bytes"
"""Request metadata: how many bytes of error status the caller takes."""
MAX_STATUS_BYTES: Final = 1 << 20
"""The longest error status that is ever sent."""
