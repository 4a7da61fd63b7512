"""Answers of the services as plain objects: typed, immutable, without wire types."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from skewless.definitions.resource import Definition
from skewless.types import Status, from_micros

Single: TypeAlias = int | float | bool | str | Decimal | dt.datetime
Value: TypeAlias = Single | list[Single] | None
"""A value as users see it: a timestamp is an aware ``datetime`` in UTC."""


@dataclass(frozen=True)
class Change:
    """What one definition changes."""

    kind: str
    """"add", "describe", "unchanged" or "refused"."""
    definition: Definition
    differences: tuple[str, ...]
    """For describe and refused: ``path: old -> new``."""
    next_version: str
    """For refused: the version to use instead; empty otherwise."""
    state_bytes_per_key: int
    """The most bytes that one entity's state takes online; 0 where nothing is kept."""


@dataclass(frozen=True)
class Plan:
    """What applying changes, or has changed."""

    changes: tuple[Change, ...]
    """In the order of listings."""
    revision: int
    """Of a plan: the revision it was made against. Of an apply: the revision after it."""

    @property
    def refused(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.kind == "refused")


@dataclass(frozen=True)
class OnlineFeatures:
    """Feature vectors, one row per entity asked for."""

    request_id: str
    """Names this answer in the served log."""
    request_time_us: int
    """The moment the answer is about."""
    values: Mapping[str, tuple[Value, ...]]
    """By ``view:feature``, in the order asked for; None where the status says there is no value."""
    statuses: Mapping[str, tuple[Status, ...]]
    event_times_us: Mapping[str, tuple[int | None, ...]]
    """The newest event time behind each value; None where there is none or it is not known."""
    token: bytes
    """What the answer knew; empty if it is only in the served log."""
    earliest_answerable_us: int | None
    """Set when a status is NOT_ANSWERABLE: from when on every state could answer."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """By ``view:feature``, why a Python function gave no value, of the first row where it did not."""

    @property
    def request_time(self) -> dt.datetime:
        return from_micros(self.request_time_us)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.values)

    def __len__(self) -> int:
        """How many rows."""
        return max((len(column) for column in self.values.values()), default=0)

    def to_dict(self) -> dict[str, list[Value]]:
        """Columns by name."""
        return {name: list(column) for name, column in self.values.items()}

    def to_rows(self) -> list[dict[str, Value]]:
        """One dict per row."""
        return [{name: column[row] for name, column in self.values.items()} for row in range(len(self))]


@dataclass(frozen=True)
class Run:
    """A run that brought a batch view up to an instant."""

    run_seq: int
    """Its place among the view's runs, from 1."""
    rows_read: int
    rows_written: int
    rows_dated_ahead: int
    """Rows dated after the instant, left for a later run."""
    entities_online: int


@dataclass(frozen=True)
class Difference:
    """A served value that is not what is computed now: a bug."""

    request_id: str
    row: int
    feature: str
    served: Value
    served_status: Status
    replayed: Value
    replayed_status: Status


@dataclass(frozen=True)
class Replay:
    """How served vectors compare with their recomputation."""

    vectors: int
    """Rows of requests in the range."""
    replayed: int
    equal: int
    different: int
    not_yet_logged: int
    """Vectors whose knowledge the event log has not reached; ask again."""
    unanswered: int
    """Vectors none of whose values could be compared; the sum of this, `equal`, `different`, `not_yet_logged` and
    `not_replayed` is `vectors`."""
    not_answered: int
    """Values that were served without a value by an honest status, and so not compared."""
    differences: tuple[Difference, ...]
    """At most 1,000."""
    outcomes: Mapping[str, str]
    """By request id, where ids were given: "EQUAL", "DIFFERENT", "NOT_YET_LOGGED", "NOT_ANSWERED" or
    "NOT_REPLAYED"."""
    done: bool
    not_replayed: int = 0
    """Vectors with a value of a Python function that was not computed again; whatever else could be is equal."""


@dataclass(frozen=True)
class Event:
    """An event or row behind a value."""

    event_time_us: int
    log: str
    partition: int
    offset: int
    source_partition: int
    source_offset: int
    payload: bytes


@dataclass(frozen=True)
class InputExplanation:
    """One input of an on-demand feature."""

    name: str
    feature: str
    """``view:feature``; empty for a request field."""
    value: Value
    status: Status | None
    event_count: int
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Explanation:
    """What one served value was made of."""

    value: Value
    status: Status | None
    replayed: Value
    replayed_status: Status | None
    request_time_us: int
    entity: str
    """The keys as ``name=value``; empty for an on-demand feature."""
    view: str
    """``name@MAJOR.MINOR.PATCH``."""
    meaning_hash: bytes
    knowledge: str
    event_count: int
    events: tuple[Event, ...]
    """The newest, newest first."""
    inputs: tuple[InputExplanation, ...]
    predictions: tuple[tuple[str, float, int], ...]
    """Model, score and time in microseconds of each prediction made from the vector."""


@dataclass(frozen=True)
class LogPartition:
    """Where one partition of an input log is."""

    partition: int
    epoch: int
    next_offset: int
    """Every record below is readable online."""
    logged_offset: int
    """Every record below is in the event log."""
    committed_offset: int
    end_offset: int
    event_time_us: int | None
    """The greatest event time seen; None: no accepted event yet."""
    reading_offset: int
    """The next record to be read; below ``next_offset`` while the partition is read again."""


@dataclass(frozen=True)
class InputLogStatus:
    """Where one input log is."""

    project: str
    log: str
    source: str
    views: tuple[str, ...]
    partitions: tuple[LogPartition, ...]
    records: Mapping[str, int]
    """By verdict, since the log was first read, as far as they are logged."""
    late: int
    """Events folded behind the fold horizon of a state since the service started."""
    below_horizon: int
    stopped: str
    """Why it is stopped; empty while it runs."""


@dataclass(frozen=True)
class SourceStatus:
    """What has come of a source's records since it was first read, as far as they are logged.

    ``consumed = accepted + duplicate + malformed + too_far_future`` and ``accepted = on_time + late``, always.
    """

    project: str
    source: str
    topic: str
    log: str
    """The input log that keeps this account."""
    consumed: int
    """Records delivered; one delivered again counts again."""
    accepted: int
    duplicate: int
    """Records whose position had been delivered before."""
    malformed: int
    too_far_future: int
    on_time: int
    late: int
    """Accepted events more than the head slack behind the greatest event time before them in their partition."""


@dataclass(frozen=True)
class Rewound:
    """A reader of a source partition that was moved back."""

    log: str
    """The input log that it feeds: the source topic itself, or a re-keyed log."""
    partition: int
    from_offset: int
    """The next record it would have read."""
    to_offset: int
    """The next record it reads now."""


@dataclass(frozen=True)
class DeadLetter:
    """A refused record."""

    position: tuple[int, int, int] | None
    """Epoch, partition and offset in the source; None: a record of a re-keyed log that did not come from it."""
    verdict: str
    """"malformed" or "too_far_future"."""
    reason: str
    """The stable name of what is wrong, such as "NOT_JSON"."""
    detail: str
    refused_at_us: int
    key: bytes | None
    payload: bytes | None
    """At most the first 65,536 bytes; None: a null record."""
    payload_size: int
    replayed: bool

    @property
    def refused_at(self) -> dt.datetime:
        return from_micros(self.refused_at_us)


@dataclass(frozen=True)
class LetterReplay:
    """What came of replaying dead letters."""

    replayed: int
    already_replayed: int
    """Letters asked for that had been replayed before, and were not sent."""


@dataclass(frozen=True)
class FeatureProfile:
    """What was served of one feature since the validator started."""

    feature: str
    feature_service: str
    served: int
    statuses: Mapping[Status, int]
    coverage: float
    min: float | None
    max: float | None
    mean: float | None


@dataclass(frozen=True)
class Report:
    """The validator's account of a project."""

    seen: int
    replayed: int
    mismatches: int
    pending: int
    profiles: tuple[FeatureProfile, ...]
    examples: tuple[str, ...]
    """Differing features as ``request_id row feature``."""
    left_out: int
    """Vectors that are not replayed, because only a share of the requests is."""
    given_up: int
    """Vectors undecided for too long. ``seen = left_out + replayed + not_replayed + given_up + pending``."""
    unread: int
    """Records of the served log, of all projects, that were not read yet; they are not in ``seen``."""
    not_replayed: int = 0
    """Vectors with a value of a Python function that was not computed again; whatever else could be is equal."""


@dataclass(frozen=True)
class ApiKey:
    """What the registry keeps of an API key; times are microseconds since 1970."""

    id: str
    """The part of the key that may be shown; `Store.revoke_api_key` takes it."""
    name: str
    feature_services: tuple[str, ...]
    """Names of the feature services that it may ask for; empty: everything of the project."""
    created_at_us: int
    expires_at_us: int | None
    revoked_at_us: int | None
    last_used_at_us: int | None
    """To about ten seconds."""

    def state(self, now_us: int) -> str:
        """``revoked``, ``expired`` or ``valid``."""
        if self.revoked_at_us is not None:
            return "revoked"
        return "expired" if self.expires_at_us is not None and self.expires_at_us <= now_us else "valid"


@dataclass(frozen=True)
class NewApiKey:
    """A key that was just made."""

    api_key: ApiKey
    key: str = field(repr=False)
    """The key itself, for ``Store(api_key=...)``; it is not shown again."""
