"""The compiled half of `skewless_kernel`. Times are microseconds, instants since 1970 in UTC."""

from collections.abc import Sequence
from typing import Final, Protocol, final, type_check_only

__all__ = [
    "EXPRESSION_FUNCTIONS",
    "SEMANTICS_REVISION",
    "TZDATA_VERSION",
    "ArrowBatch",
    "DefinitionError",
    "InputError",
    "KernelError",
    "StateError",
    "__build__",
    "check_expression",
    "default_hop",
    "evaluate_expression",
    "floor_to_hop",
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

class DefinitionError(KernelError):
    """A definition or an expression has faults."""

    faults: list[tuple[str, str, str]]
    """All of them: JSON path, stable reason, message."""

class StateError(KernelError):
    """A stored state or a token could not be read."""

class InputError(KernelError):
    """Rows do not have the columns or types that were asked for."""

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
