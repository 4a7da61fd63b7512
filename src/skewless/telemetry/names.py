"""The names of spans and of their attributes; ``docs/telemetry/spans.yaml`` says what each means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SpanKind = Literal["internal", "server", "client", "producer", "consumer"]


@dataclass(frozen=True, slots=True)
class SpanName:
    """A declared span.

    id: its entry in the declarations, and its name unless `named` gives another.
    """

    id: str
    kind: SpanKind
    named: str = ""


RPC_CLIENT: Final = SpanName("rpc.client", "client", "{rpc.service}/{rpc.method}")
RPC_SERVER: Final = SpanName("rpc.server", "server", "{rpc.service}/{rpc.method}")
REKEY: Final = SpanName("rekey", "consumer")
FOLD: Final = SpanName("fold", "consumer")
ACCOUNT: Final = SpanName("account", "consumer")
STORE_READ: Final = SpanName("store.read", "client")
STORE_WRITE: Final = SpanName("store.write", "client")
TABLE_APPEND: Final = SpanName("table.append", "client")
MATERIALIZE: Final = SpanName("materialize", "internal")
INGEST: Final = SpanName("ingest", "consumer")
REPLAY: Final = SpanName("replay", "internal")

RPC_SYSTEM: Final = "rpc.system"
RPC_SERVICE: Final = "rpc.service"
RPC_METHOD: Final = "rpc.method"
RPC_STATUS: Final = "rpc.grpc.status_code"
ERROR_TYPE: Final = "error.type"
MESSAGING_SYSTEM: Final = "messaging.system"
TOPIC: Final = "messaging.destination.name"
RECORDS: Final = "messaging.batch.message_count"
DB_SYSTEM: Final = "db.system.name"
DB_BATCH: Final = "db.operation.batch.size"
PROJECT: Final = "skewless.project"
VIEW: Final = "skewless.view"
VIEWS: Final = "skewless.views"
MEANING: Final = "skewless.meaning"
MEANINGS: Final = "skewless.meanings"
RUN: Final = "skewless.run_seq"
TABLE: Final = "skewless.table"
ROWS: Final = "skewless.rows"
OFFSETS: Final = "skewless.offsets"
REQUEST_ID: Final = "skewless.request_id"
REQUESTS: Final = "skewless.requests"
UNLINKED: Final = "skewless.unlinked"

SPANS: Final = tuple(value for value in list(globals().values()) if isinstance(value, SpanName))
ATTRIBUTES: Final = frozenset(
    value for name, value in list(globals().items()) if name.isupper() and isinstance(value, str)
)
