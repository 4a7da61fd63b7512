"""Entity ids and store keys (docs/semantics.md, chapter K)."""

from collections.abc import Sequence

from tests.oracle.blake3 import blake3, keyed_blake3

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")

LONGEST_PLAIN = 96
LONGEST_PART = 4_096
PART_KEY = b"skewless entity id part, law K3."


def entity_id(parts: Sequence[str | int]) -> str:
    """K1. ValueError for a part that K3 refuses."""
    texts = []
    for part in parts:
        assert not isinstance(part, bool)
        if isinstance(part, str) and len(part.encode()) > LONGEST_PART:
            raise ValueError(f"a key part has more than {LONGEST_PART} bytes")
        texts.append(f"i.{part:d}" if isinstance(part, int) else _text(part))
    return ",".join(texts)


def _text(part: str) -> str:
    """K1, K3."""
    data = part.encode()
    return f"h.{keyed_blake3(PART_KEY, data).hex()}" if len(data) > LONGEST_PLAIN else f"s.{percent(part)}"


def percent(text: str) -> str:
    """K1: bytes outside the plain set become %XX."""
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode())


def state_key(project: str, entity: str, entity_id_: str, view: str, version: str) -> str:
    """K2: the key of the head; the body's ends in `:b`. `version` may carry the patch number."""
    major, minor = version.split(".")[:2]
    return f"{{{project}:{entity}:{entity_id_}}}:{view}:v{major}.{minor}"


def partition_of(entity_id_: str, partitions: int) -> int:
    """K4."""
    return int.from_bytes(blake3(entity_id_.encode())[:8], "big") % partitions
