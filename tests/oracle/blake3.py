"""BLAKE3 in plain Python, after the paper: 32 bytes of output. Slow."""

import struct

_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_CHUNK, _BLOCK = 1024, 64
_CHUNK_START, _CHUNK_END, _PARENT, _ROOT, _KEYED = 1, 2, 4, 8, 16
_MASK = 0xFFFFFFFF


def blake3(data: bytes) -> bytes:
    """The 32-byte hash."""
    return _subtree(_IV, data, 0, 0, _ROOT)


def keyed_blake3(key: bytes, data: bytes) -> bytes:
    """The 32-byte hash under a key of 32 bytes."""
    return _subtree(struct.unpack("<8I", key), data, 0, _KEYED, _ROOT)


def _subtree(start: tuple[int, ...], data: bytes, first_chunk: int, mode: int, root: int) -> bytes:
    if len(data) <= _CHUNK:
        return _chunk(start, data, first_chunk, mode, root)
    # The left side is the greatest power of two of chunks that leaves something for the right.
    left = _CHUNK
    while left * 2 < len(data):
        left *= 2
    children = _subtree(start, data[:left], first_chunk, mode, 0)
    children += _subtree(start, data[left:], first_chunk + left // _CHUNK, mode, 0)
    return _compress(start, children, 0, _BLOCK, _PARENT | mode | root)


def _chunk(start: tuple[int, ...], data: bytes, counter: int, mode: int, root: int) -> bytes:
    blocks = [data[i : i + _BLOCK] for i in range(0, len(data), _BLOCK)] or [b""]
    value = start
    out = b""
    for index, block in enumerate(blocks):
        own = mode | (_CHUNK_START if index == 0 else 0)
        if index == len(blocks) - 1:
            own |= _CHUNK_END | root
        out = _compress(value, block.ljust(_BLOCK, b"\0"), counter, len(block), own)
        value = struct.unpack("<8I", out)
    return out


def _compress(value: tuple[int, ...], block: bytes, counter: int, length: int, flags: int) -> bytes:
    words = struct.unpack("<16I", block)
    s = [*value, *_IV[:4], counter & _MASK, counter >> 32, length, flags]
    for _ in range(7):
        for i in range(4):
            _mix(s, i, 4 + i, 8 + i, 12 + i, words[2 * i], words[2 * i + 1])
        for i in range(4):
            _mix(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, words[8 + 2 * i], words[9 + 2 * i])
        words = tuple(words[i] for i in _PERMUTATION)
    return struct.pack("<8I", *(s[i] ^ s[i + 8] for i in range(8)))


def _mix(  # noqa: PLR0917 - the paper's function, with its letters
    s: list[int], a: int, b: int, c: int, d: int, x: int, y: int
) -> None:
    s[a] = (s[a] + s[b] + x) & _MASK
    s[d] = _rotate(s[d] ^ s[a], 16)
    s[c] = (s[c] + s[d]) & _MASK
    s[b] = _rotate(s[b] ^ s[c], 12)
    s[a] = (s[a] + s[b] + y) & _MASK
    s[d] = _rotate(s[d] ^ s[a], 8)
    s[c] = (s[c] + s[d]) & _MASK
    s[b] = _rotate(s[b] ^ s[c], 7)


def _rotate(word: int, by: int) -> int:
    return (word >> by | word << (32 - by)) & _MASK
