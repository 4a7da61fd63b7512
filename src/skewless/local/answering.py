"""Whether the store and the broker answer: one question to each, in its own protocol."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Final

_PING: Final = b"PING\r\n"
_PONG: Final = b"+PONG\r\n"
_CORRELATION: Final = 0x534B
# ApiVersions, version 0, of a client without a name.
_API_VERSIONS: Final = struct.pack(">hhih", 18, 0, _CORRELATION, -1)


def store_answers(address: str, timeout_s: float = 1.0) -> bool:
    """Whether a store says PONG within the time; one that still loads its file accepts connections, and does not."""
    return _answer(address, _PING, len(_PONG), timeout_s) == _PONG


def broker_answers(address: str, timeout_s: float = 1.0) -> bool:
    """Whether a broker tells within the time which calls it knows."""
    answer = _answer(address, struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS, 10, timeout_s)
    return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (_CORRELATION, 0)


def _answer(address: str, question: bytes, length: int, timeout_s: float) -> bytes:
    """The first bytes of the answer; fewer, if no more have come. The time is for each step."""
    host, _, port = address.rpartition(":")
    answer = b""
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=timeout_s) as connection:
        connection.sendall(question)
        while len(answer) < length and (piece := connection.recv(length - len(answer))):
            answer += piece
    return answer
