"""The compiled half of `skewless_kernel`. Times are microseconds, instants since 1970 in UTC."""

import builtins
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Final, Protocol, Self, final, type_check_only

from typing_extensions import disjoint_base

__all__ = [
    "EXPRESSION_FUNCTIONS",
    "SEMANTICS_REVISION",
    "TZDATA_VERSION",
    "WRITE_LATEST_ROW",
    "WRITE_STREAM_STATE",
    "Aggregation",
    "ArrowBatch",
    "DecodedBatch",
    "DefinitionError",
    "FoldReport",
    "InputError",
    "KernelError",
    "LatestView",
    "OnDemandView",
    "OnlineServer",
    "StateError",
    "StatePartition",
    "StreamDecoder",
    "StreamView",
    "Token",
    "__build__",
    "aggregations",
    "calendar_hop",
    "check_expression",
    "check_meaning",
    "default_hop",
    "entity_id",
    "evaluate_expression",
    "floor_to_hop",
    "meaning_hash",
    "partition_of",
    "read_token",
    "slot_tags",
    "state_key",
    "worst_case_bytes",
    "write_token",
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

def calendar_hop(unit: str, zone: str) -> int | None:
    """The hop of a calendar window when its definition names none, or None if there is no such unit or zone.

    It is the greatest on which all of them begin since 1980.
    """

def default_hop(width: int, lag: int = 0, least_hops: int = 48) -> int | None:
    """The hop of a window of this width when its definition names none, or None.

    It is the largest that divides the width and the lag, and goes at least so many times into the width.
    """

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

@disjoint_base
class ArrowBatch:
    """A record batch that other Arrow libraries take over without copying: ``pyarrow.record_batch(batch)``."""

    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __len__(self) -> int: ...

def check_expression(ir_json: bytes, columns: dict[str, str]) -> str:
    """The type of an expression's result. ``columns``: name to type, a dict.

    Raises DefinitionError with all faults of the expression, InputError for an unknown type of a column.
    """

def evaluate_expression(
    ir_json: bytes,
    columns: dict[str, str],
    batch: ArrowArrayExportable | ArrowStreamExportable,
    request_times: Sequence[int],
) -> ArrowBatch:
    """An expression over each row of a batch, each at its own request time (microseconds).

    Gives the columns ``value`` (timestamps as int64 microseconds) and ``status`` (uint8). Timestamps come in as int64
    microseconds or as timestamp[us] with a zone. Raises DefinitionError for a faulty expression, InputError for a
    batch without a column that the expression reads.
    """

@final
class Aggregation:
    """What is true of an aggregation, whatever view it stands in."""

    @property
    def name(self) -> str:
        """The name in definitions."""

    @property
    def clause(self) -> str:
        """The clauses of ``docs/semantics.md`` that define it."""

    @property
    def results(self) -> list[tuple[str | None, str]]:
        """(type of the column or None for no column, type of the result), once for each input it takes but decimals."""

    def result(self, column: str) -> str | None:
        """The type of the result over a column of this type; None if it takes no such column."""

    @property
    def takes(self) -> str:
        """What columns it takes, for people."""

    @property
    def keeps(self) -> str:
        """What is kept of the events, for people."""

    @property
    def has_condition(self) -> bool:
        """Whether a feature has a condition of its own: the member ``where``, an expression of the event."""

    @property
    def subtractable(self) -> bool:
        """Whether an event can be taken out again, as a retraction asks. Every aggregation merges."""

    @property
    def has_number(self) -> bool:
        """Whether a feature says how many items it has at most: the member ``n``."""

    @property
    def has_edges(self) -> bool:
        """Whether a feature has edges of its own: the member ``edges``."""

    @property
    def over_nothing(self) -> str:
        """What it is over no events, for people: 0, null, an empty list, a list of zeros."""

    @property
    def limit_status(self) -> int | None:
        """The status (OVERFLOW, OVER_BOUND) of no value although there are events; None: there always is one."""

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The bound that is declared unless the user does, and the greatest one; None: it takes no bound."""

def aggregations() -> list[Aggregation]:
    """The table of all aggregations, in a fixed order."""

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

def slot_tags() -> list[str]:
    """Per hash slot of a store cluster, from 0 to 16,383, a text that lies in it.

    ``{text}:`` before a view's sentinel key makes the key of its sentinel in that slot.
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

@type_check_only
class ArrowStreamExportable(Protocol):
    """A table or a reader of any library that speaks Arrow's PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class StreamDecoder:
    """Payload bytes into typed rows and verdicts: the only place where a stream record gets its verdict."""

    def __new__(cls, source_meaning_json: bytes, entity_keys: Sequence[tuple[str, str]], direct: bool) -> StreamDecoder:
        """``source_meaning_json``: the source object as in a view's meaning, canonical JSON.

        ``entity_keys``: (column, type) in declared order. ``direct``: the log is the source's own topic, whose record
        keys must be the text of the entity's key (parts joined by commas). Raises DefinitionError for a faulty source,
        InputError for keys that are no columns of it.
        """

    def decode(
        self, keys: Sequence[bytes | None], values: Sequence[bytes | None], append_times_us: Sequence[int]
    ) -> DecodedBatch:
        """One row per record, in the order given.

        Columns: ``verdict`` ("accepted", "malformed" or "too_far_future"), ``reason`` and ``detail`` (a stable name and
        a sentence; null when accepted), ``event_time_us`` (int64; null where it could not be read), ``entity_id``
        (null when not accepted, and for an event without an entity), then ``c_<name>`` per column of the source (null
        when not accepted; timestamps as timestamp[us, UTC]). Raises InputError for lists of different lengths.
        """

@final
class DecodedBatch(ArrowBatch):
    """What `StreamDecoder.decode` gives: the rows, and what a writer must know before it can fold them."""

    @property
    def entity_ids(self) -> list[str]:
        """Whom the accepted rows are about, each once, in the order of first appearance."""

    def row_entities(self) -> list[str | None]:
        """Whom each row is about, in order; None where it is not accepted and for an event without an entity."""

    @property
    def newest_us(self) -> int | None:
        """The greatest event time of the accepted rows; None if there are none."""

    @property
    def refused(self) -> int:
        """How many rows are not accepted."""

@final
class StreamView:
    """A compiled window view, or latest view over a stream."""

    def __new__(cls, meaning_json: bytes) -> StreamView:
        """Raises DefinitionError with all faults of the document, and for a view of another kind."""

    @property
    def meaning_hash(self) -> bytes:
        """SHA-256 of the meaning document, 32 bytes."""

    @property
    def columns(self) -> list[str]:
        """The columns of events (``c_<name>``) that answers are made from, in the order of the source."""

    def earliest_needed(self, earliest_request_us: int) -> int | None:
        """From which event time on events matter to any request at or after this time; None: from the start."""

    def open_partition(self, epoch: int, partition: int, run: int) -> StatePartition:
        """The writer's half: the states of one partition of the input log. ``run`` is the writer's incarnation."""

    def read(
        self, head: bytes | None, body: bytes | None, request_time_us: int
    ) -> list[tuple[int | float | bool | str | None, int, int | None]]:
        """The answer of a stored state at a request time: per feature its value, status and event time.

        Timestamps are int microseconds. No head is the state of an entity without events. Every feature is
        NOT_ANSWERABLE (8) where the state is not exact for the request time. Raises StateError for bytes that are no
        state of this view, or a body that is not the head's.
        """

    def frame(
        self,
        events: ArrowStreamExportable | ArrowArrayExportable,
        rows: ArrowStreamExportable | ArrowArrayExportable,
    ) -> ArrowBatch:
        """The features of many rows, straight from the events of the log.

        ``events``: accepted ones of one epoch, in any order: ``entity_id``, ``event_time_us``, ``partition``,
        ``offset``, and the ``c_*`` that the view reads. ``rows``: ``entity_id`` (null: an entity without events),
        ``request_time_us``, and what each knows: ``partition`` and ``next_offset``, both null for everything,
        ``next_offset`` -1 for nothing. Gives, in the order of the rows, per feature ``<f>``, ``<f>__status`` (uint8)
        and ``<f>__event_time_us`` (int64). Raises InputError for missing columns or wrong types.
        """

    def contributing(
        self,
        feature: str,
        events: ArrowStreamExportable | ArrowArrayExportable,
        entity_id: str,
        request_time_us: int,
        partition: int | None,
        next_offset: int | None,
    ) -> ArrowBatch:
        """The events that a feature rests on, with the columns as given, by (event time, position).

        Of a window view the events of the window, of a latest view the one row. Raises InputError for an unknown
        feature, missing columns or wrong types.
        """

@final
class StatePartition:
    """The cached states of one view for one partition of its input log. Not to be shared between threads."""

    @property
    def clock_us(self) -> int | None:
        """The writer's clock: the least of the wall clock and the greatest event time seen; None before any event."""

    @property
    def cached(self) -> int:
        """How many states are cached."""

    @property
    def dirty(self) -> int:
        """How many states have unwritten changes."""

    @property
    def bytes(self) -> int:
        """About how much memory the states take, in bytes."""

    def missing(self, entity_ids: Sequence[str]) -> list[str]:
        """Those whose states are not cached, in the order given, each once."""

    def load(self, entity_id: str, head: builtins.bytes | None, body: builtins.bytes | None) -> None:
        """Caches the stored state of an entity; None for both if the store has none.

        A state with unwritten changes stays as it is. Raises StateError for bytes that are no state of this view, that
        are of a later epoch, or of another partition of this epoch.
        """

    def fold(
        self, batch: ArrowArrayExportable | ArrowStreamExportable, offsets: Sequence[int], wall_us: int
    ) -> FoldReport:
        """Folds the rows of a decoded batch, which stand at these rising offsets, in log order.

        Rows that are not accepted change nothing; accepted ones without an entity only move the clock; those below a
        state's own offset are in it already. Raises InputError, and folds nothing, where an entity's state was not
        loaded or offsets do not rise.
        """

    def flush(
        self, next_offset: int, limit: int | None = None
    ) -> list[tuple[str, builtins.bytes, builtins.bytes | None, int | None]]:
        """The states with unwritten changes, at most ``limit``, by entity id; they count as written.

        Each is (entity id, head with its prefix, body or None if it did not change, expiry in Unix milliseconds or
        None). ``next_offset``: every row of the partition below it was folded.
        """

    def drop(self, entity_ids: Sequence[str] | None = None) -> None:
        """Forgets cached states, unwritten changes too; None forgets all."""

@final
class FoldReport:
    """What became of the rows of a batch."""

    @property
    def folded(self) -> int:
        """Folded into states, late ones among them."""

    @property
    def late(self) -> int:
        """Older than the fold horizon of their state."""

    @property
    def below_horizon(self) -> int:
        """Older than anything that an answerable request can see: part of ``late``."""

    @property
    def known(self) -> int:
        """Already in their state."""

    @property
    def filtered(self) -> int:
        """Passed over by the view's filter."""

    @property
    def without_entity(self) -> int:
        """About no entity."""

    @property
    def refused(self) -> int:
        """Not accepted by the decoder."""

@final
class LatestView:
    """A compiled latest view over a batch source: the newest row of an entity.

    Rows are Arrow batches, tables or readers with the columns ``entity_id`` (canonical), ``event_time_us``,
    ``created_time_us`` (nullable, may be absent), ``run_seq`` (int64, from 1), ``deleted`` (bool), and ``f_<feature>``
    per feature. Times are int64 microseconds or timestamp[us] with a zone; for a view without event times
    ``event_time_us`` is not regarded. InputError tells what of this does not hold.
    """

    def __new__(cls, meaning_json: bytes) -> Self:
        """Raises DefinitionError for a faulty meaning or one of another kind."""

    @property
    def meaning_hash(self) -> bytes:
        """SHA-256 of the meaning document, 32 bytes."""

    def encode(self, rows: ArrowArrayExportable | ArrowStreamExportable) -> list[tuple[str, bytes, int | None]]:
        """What to store for each row, in the order given: entity id, value, expiry.

        The expiry is in milliseconds since 1970, from when no request could find the row within the view's ttl; None
        where there is none. The store takes values with ``WRITE_LATEST_ROW``, in any order.
        """

    def read(
        self, value: bytes | None, request_time_us: int
    ) -> list[tuple[bool | int | float | str | None, int, int | None]]:
        """The answer of a stored value (None: nothing is stored), one per feature in declared order.

        Each is the feature's value (a timestamp as microseconds; None unless the status says there is one), its
        status, and the row's event time (None where no row was found or rows have none). Raises StateError for bytes
        that are no value of this view.
        """

    def frame(
        self,
        table: ArrowArrayExportable | ArrowStreamExportable,
        rows: ArrowArrayExportable | ArrowStreamExportable,
    ) -> ArrowBatch:
        """The features of many asked rows at once, from all rows of the table, which come in any order.

        ``rows`` has ``entity_id`` (null: no entity), ``request_time_us`` and ``run_seq``: the run up to which the row
        knows the table; null: all of it; less than 1: nothing. Gives, per feature and in the order of ``rows``, the
        columns ``<feature>``, ``<feature>__status`` (uint8) and ``<feature>__event_time_us`` (int64, nullable).
        """

@final
class OnDemandView:
    """A compiled on-demand view: features computed from request fields, stored features and the request time."""

    def __new__(cls, meaning_json: bytes) -> Self:
        """Raises DefinitionError for a faulty meaning or one of another kind."""

    @property
    def meaning_hash(self) -> bytes:
        """SHA-256 of the meaning document, 32 bytes."""

    @property
    def functions(self) -> list[tuple[str, str, str, bytes, str, int]]:
        """The features that are Python functions: feature, module, name, SHA-256 of the module's source, type, budget
        of a call in microseconds."""

    def arguments(
        self,
        feature: str,
        columns: ArrowArrayExportable | ArrowStreamExportable,
        request_times_us: ArrowArrayExportable,
    ) -> tuple[bytes | None, bytes]:
        """What a Python function is called with, as JSON: a list of arguments per row, null for a row that is not
        called; None if none is. And 16 bytes per row that tell its arguments from others, zeros for a row not called.

        ``columns`` and ``request_times_us`` as in `evaluate`. Raises InputError, also for what is no function.
        """

    def evaluate(
        self,
        columns: ArrowArrayExportable | ArrowStreamExportable,
        request_times_us: ArrowArrayExportable,
        results: Mapping[str, bytes] | None = None,
    ) -> ArrowBatch:
        """The features of each row at its own request time.

        ``results`` holds, per Python function by its feature, what calling it with its `arguments` gave: a JSON list
        with ``[value]``, ``[null, status, text]`` or null per row. One without results is NOT_COMPUTED.

        ``columns`` holds request fields and inputs by their names, and ``<input>__status`` (uint8) per input; what no
        feature reads may be absent. ``request_times_us`` is an array of int64 microseconds or timestamp[us] with a
        zone. Gives, per feature, the columns ``<feature>`` and ``<feature>__status`` (uint8). Raises InputError for
        columns, statuses or times that are not so.
        """

@final
class OnlineServer:
    """Serves feature vectors over gRPC, with health and reflection, on threads of its own.

    No request waits for Python. All methods may be called from any thread; those that wait let others run.
    """

    def __new__(
        cls,
        *,
        listen: str,
        store_url: str,
        max_in_flight: int,
        max_message_bytes: int,
        served_queue: int,
        threads: int,
        served_log: bool = True,
        served_record_bytes: int = 900_000,
        store_timeout_ms: int = 250,
        function_timeout_ms: int = 250,
        function_queue: int = 256,
        store_ca_file: PathLike[str] | None = None,
        store_identity: tuple[PathLike[str], PathLike[str]] | None = None,
        tls_identity: tuple[PathLike[str], PathLike[str]] | None = None,
        tls_client_ca_file: PathLike[str] | None = None,
        health_listen: str | None = None,
        api_keys_required: bool = False,
        key_rate: int = 0,
        project_rate: int = 0,
        queue_target_ms: int = 0,
    ) -> Self:
        """Does nothing yet.

        listen: ``host:port``; port 0 takes a free one.
        store_url: ``redis://[user[:password]@]host[:port][/database]``; ``rediss://`` with TLS.
        store_ca_file: certificates that the store's is to be signed by, as PEM; None: those of the system.
        tls_identity: files with the server's certificate and key, as PEM; read again when they change. None: no TLS.
        tls_client_ca_file: callers must show a certificate that one of these signed; None: none is asked for.
        api_keys_required: calls without a valid API key are refused; see `publish_access`.
        key_rate, project_rate: calls a second of a key and for a project; more are refused (RATE_LIMITED). 0: no limit.
        queue_target_ms: when the threads are later than this, less than ``max_in_flight`` is let in. 0: never.
        health_listen: where health alone is answered, without TLS: ``host:port``; None: nowhere.
        store_identity: files with this side's certificate and key, as PEM, for a store that asks for them.
        max_in_flight: requests worked on at once; further ones are refused (OVERLOADED).
        max_message_bytes: the largest request; larger ones are refused (TOO_LARGE).
        served_queue: served records that may wait to be drained; then requests are refused (OVERLOADED).
        threads: runtimes, each with a connection to the store of its own.
        served_log: whether answers are put on the served queue. Predictions always are.
        served_record_bytes: the largest served record; a larger answer is refused (TOO_LARGE).
        store_timeout_ms: how long the store may take; its values are then UNAVAILABLE.

        Raises ValueError for a wrong setting.
        """

    def start(self) -> int:
        """Listens and serves; gives the port. Requests are refused (NOT_READY) until the first plan.

        Raises OSError, naming the address, when it cannot listen, and RuntimeError when it was started before.
        """

    def publish(self, plan_json: bytes) -> list[str]:
        """Replaces the plan; requests that are being answered keep theirs.

        ``{"revision":n,"projects":{name:{"views":[{"version","meaning"}],"services":[{"version","meaning"}]}}}``, a
        meaning being the text of the canonical document. Gives the faults of what could not be compiled: that is
        refused by name, the rest is served. Raises ValueError when the document cannot be read; the plan before stays.
        """

    def publish_access(self, lists_json: bytes) -> None:
        """Replaces the lists of who may call; what was used of rates is kept.

        lists_json: an object with ``projects`` (names) and ``keys``: each with ``id``, ``project``, ``hash`` (SHA-256
        of the key, in hexadecimal), ``feature_services``, ``expires_at_us`` or null, ``revoked``.

        Raises ValueError if it cannot be read; the lists before stay.
        """

    def drain_key_uses(self) -> list[tuple[str, int]]:
        """API keys that were used since the last time: id, and when to about a second, in microseconds since 1970."""

    def say_waiting_for(self, what: str) -> None:
        """What requests are told, before the first plan, that the server waits for."""

    def drain_served(self, max_records: int, timeout_ms: int) -> list[tuple[bytes, bytes]]:
        """Takes served records in order, waiting for the first: request id and `ServedRecord`.

        Empty after the timeout, and at once when the server was stopped and all were taken. A record that is taken is
        the caller's: the server keeps none.
        """

    def set_serving(self, serving: bool) -> None:
        """Says whether callers should come. Health is SERVING when they should and there is a plan."""

    def open_functions(self, interpreter: str, machine: str, lock: bytes) -> None:
        """Takes calls of Python functions from now on, which are made in this environment."""

    def next_call(self, timeout_ms: int) -> tuple[int, str, str, bytes, list[str], str, int, float, bytes] | None:
        """The next call of a Python function to be made, waited for up to that long: a ticket, module, name, SHA-256 of
        the module's source, parameters, type, budget in microseconds, seconds that the request still waits, and the
        rows as JSON (see `OnDemandView.arguments`). None if none came."""

    def finish_call(self, ticket: int, results: bytes | None, failure: str | None = None) -> None:
        """Hands over the results of a call as JSON (see `OnDemandView.evaluate`), or why there are none."""

    def trace(self, most: int, share: float) -> None:
        """Traces requests from now on: those with a sampled ``traceparent``, and a share (0 to 1) of the others.

        At most ``most`` spans wait to be drained; what finds no room is dropped, and counted as ``spans.dropped``.
        Only the first call counts.
        """

    def drain_spans(
        self, max_spans: int
    ) -> list[tuple[str, bytes, bytes, bytes | None, int, int, int, bytes | None, list[tuple[str, int]]]]:
        """Takes finished spans.

        Each is its name (``package.Service/Method``, or a step), trace id, span id, parent's span id, start and end in
        nanoseconds since 1970, gRPC status code, request id if it was answered, and the stages that ended, each with
        when.
        """

    def exemplars(self) -> list[tuple[str, int, bytes, int, int]]:
        """Of each class of latency the newest traced call.

        Each is the call, the place of the class, trace id, how long it took in microseconds, and when it ended in
        nanoseconds since 1970.
        """

    def drain_contexts(self) -> list[tuple[bytes, str]]:
        """Takes (request id, ``traceparent``) of served records; each is there before its record can be drained."""

    def counters(self) -> dict[str, int]:
        """What was counted since the start, by name; reasons that never occurred are absent."""

    @property
    def store_error(self) -> str | None:
        """What is wrong with the store, naming its address; None while it answers."""

    @property
    def tls_error(self) -> str | None:
        """Why renewed certificates are not taken; None if they are, or there are none."""

    @property
    def revision(self) -> int | None:
        """The revision of the plan; None before the first."""

    def stop(self, grace_ms: int) -> None:
        """Takes no more requests, lets running ones end within the grace, and ends. Records stay to be drained."""

@final
class Token:
    """What an answer knew, so that it can be computed again. It holds no entity and no value."""

    @property
    def request_time_us(self) -> int:
        """The instant for which the answer was computed."""

    @property
    def views(self) -> list[tuple[bytes, str]]:
        """The stored views that were read: the first 16 bytes of the meaning's hash, and the kind.

        Kinds are ``window``, ``latest_stream`` and ``latest_table``.
        """

    @property
    def positions(self) -> list[list[tuple[int, int, int] | int | None]]:
        """What was known, one list per row of the answer, one entry per view.

        Epoch, partition and next offset of a stream; the run of a table; None where nothing was stored.
        """

def read_token(token: bytes) -> Token:
    """Reads a token. Raises StateError for damaged bytes, and for a version that this kernel does not read."""

def write_token(
    request_time_us: int,
    views: Sequence[tuple[bytes, str]],
    positions: Sequence[Sequence[tuple[int, int, int] | int | None]],
) -> bytes:
    """The bytes of a token of these parts, as in `Token`.

    Raises InputError when it is too large (512 views, 65,536 rows, 2^20 pairs of both), when a row has not one entry
    per view, or an entry is not of its view's kind.
    """
