"""The compiled half of `skewless_kernel`. Times are microseconds, instants since 1970 in UTC."""

from collections.abc import Sequence
from typing import Final, Protocol, final, type_check_only

__all__ = [
    "EXPRESSION_FUNCTIONS",
    "SEMANTICS_REVISION",
    "TZDATA_VERSION",
    "WRITE_LATEST_ROW",
    "WRITE_STREAM_STATE",
    "ArrowBatch",
    "DefinitionError",
    "InputError",
    "KernelError",
    "StateError",
    "__build__",
    "check_expression",
    "check_meaning",
    "default_hop",
    "entity_id",
    "evaluate_expression",
    "floor_to_hop",
    "meaning_hash",
    "partition_of",
    "state_key",
    "worst_case_bytes",
]

SEMANTICS_REVISION: Final[int]
"""The revision of the meaning that this kernel implements; part of every definition's hash."""

__build__: Final[str]
"""SHA-256 over the sources this extension was built from, in hexadecimal."""

def floor_to_hop(t: int, hop: int, origin: int = 345_600_000_000) -> int:
    """The latest instant ``origin + n * hop`` that is not after ``t``.

    The default origin is Monday, 1970-01-05T00:00Z.

    Raises ValueError if the hop is not positive or the answer does not fit 64 bits.
    """

def default_hop(width: int) -> int | None:
    """The hop of a window of this width when its definition names none, or None."""

TZDATA_VERSION: Final[str]
"""The release of the IANA time zone data in the kernel, such as ``2025b``."""

EXPRESSION_FUNCTIONS: Final[list[str]]
"""The names of all functions of the expression language (docs/expressions.md)."""

class KernelError(Exception):
    """The base of what the kernel refuses."""

    reason: str
    """A stable upper-snake name of the kind of fault, for programs."""

    path: str | None
    """Where in a definition, as a JSON path; absent where there is no definition."""

class DefinitionError(KernelError):
    """A definition or an expression has faults; ``reason`` and ``path`` are those of the first."""

    faults: list[tuple[str, str, str]]
    """All of them: JSON path, stable reason, message."""

class StateError(KernelError):
    """A stored state or a token could not be read."""

class InputError(KernelError):
    """Rows or arguments are not what was asked for."""

@type_check_only
class ArrowArrayExportable(Protocol):
    """A record batch of any library that speaks Arrow's PyCapsule interface."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

@final
class ArrowBatch:
    """A record batch that other Arrow libraries take over without copying: ``pyarrow.record_batch(batch)``."""

    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...
    def __len__(self) -> int: ...

def check_expression(ir_json: bytes, columns: dict[str, str]) -> str:
    """The type of an expression's result. ``columns``: name to type, a dict.

    Raises DefinitionError with all faults of the expression, InputError for an unknown type of a column.
    """

def evaluate_expression(
    ir_json: bytes, columns: dict[str, str], batch: ArrowArrayExportable, request_times: Sequence[int]
) -> ArrowBatch:
    """An expression over each row of a batch, each at its own request time (microseconds).

    Gives the columns ``value`` (timestamps as int64 microseconds) and ``status`` (uint8). Timestamps come in as int64
    microseconds or as timestamp[us] with a zone. Raises DefinitionError for a faulty expression, InputError for a
    batch without a column that the expression reads.
    """

def meaning_hash(meaning_json: bytes) -> bytes:
    """SHA-256 of a meaning document: 32 bytes that identify what a definition means.

    Raises DefinitionError unless the bytes are canonical JSON (RFC 8785); nothing else is checked.
    """

def check_meaning(meaning_json: bytes) -> list[tuple[str, str, str]]:
    """All faults of a meaning document at once; an empty list when the kernel can use it.

    Each fault is a JSON path (``$.features[2].hop_us``), a stable reason, and a message that says what is wrong and
    how to put it right.
    """

def worst_case_bytes(meaning_json: bytes) -> int:
    """The most bytes that the stored state of one entity takes, all its keys together.

    Raises DefinitionError for a faulty document, and for one that is neither a window view nor a latest view.
    """

def entity_id(parts: Sequence[str | int]) -> str:
    """The canonical text of an entity from the parts of its key, in declared order.

    Raises InputError for no part, a text of more than 96 bytes, or an integer beyond 64 bits; TypeError for a part of
    another type, a bool among them.
    """

def state_key(project: str, entity: str, entity_id: str, view: str, version: str) -> str:
    """Where the state of an entity lies; ``entity_id`` is the canonical text, ``version`` of the view.

    A window state has its body at this key with ``:b`` behind it. All states of one entity share a cluster slot, and
    versions that differ in the patch alone share a key. Raises InputError for a text that is no version.
    """

def partition_of(entity_id: str, partitions: int) -> int:
    """The partition, of so many, that holds an entity in a log that the product keys itself.

    Raises InputError for zero partitions, OverflowError for a number beyond 32 bits.
    """

WRITE_STREAM_STATE: Final[str]
"""The script by which the store accepts a state of a stream, if it knows more than the stored one.

Keys: head, body. Arguments: the head, the body (empty when unchanged), the expiry in milliseconds since 1970 (empty
for none). Answers 1 when accepted and 0 when stale; an error for foreign bytes or another partition of one epoch. It
never shortens an expiry.
"""

WRITE_LATEST_ROW: Final[str]
"""The script by which the store accepts a row of a table, if it is newer than the stored one.

Key: the state. Arguments: the value, the expiry in milliseconds since 1970 (empty for none). Answers 1 when accepted,
0 when not; what the state knows advances either way. An error for foreign bytes. It never shortens an expiry.
"""
