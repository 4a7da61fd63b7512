"""Stored states as bytes, each with what it was made from and what it answers.

python -m tests.golden.states FILE...     fills in the bytes and answers of files that have none yet

A file is never filled in again: stores hold these bytes, so they are read for ever. A new form of the bytes gets
files of its own beside the old ones (docs/states.md).
"""

import json
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import rfc8785

from skewless import kernel
from skewless.columns import ARROW_TYPES
from skewless.types import ValueType

FOLDER = Path(__file__).with_name("states")
EPOCH, PARTITION, RUN = 3, 7, 1

Golden = Mapping[str, Any]
Stored = Mapping[str, Mapping[str, Any]]
"""Per entity: `head` and `body` (hexadecimal; the body may be None) and `expires_ms`."""


def files() -> list[Path]:
    """Every golden file."""
    return sorted(FOLDER.glob("*.json"))


def load(path: Path) -> Golden:
    """One file: `meaning`, `records` or `rows`, and what they give: `stored` and `answers`."""
    golden: Golden = json.loads(path.read_text(encoding="utf-8"))
    for feature in golden["meaning"]["features"]:
        # What clocks showed in the years of the files is the same in later releases of the zone data (W19).
        if "tzdata" in feature.get("window", {}):
            feature["window"]["tzdata"] = kernel.TZDATA_VERSION
    return golden


def folded(golden: Golden) -> Stored:
    """The states of the file's records, folded from nothing and flushed; or its rows as a table stores them."""
    meaning = rfc8785.dumps(golden["meaning"])
    if "rows" in golden:
        rows = kernel.LatestView(meaning).encode(table_batch(golden))
        return {entity: {"head": head.hex(), "body": None, "expires_ms": expires} for entity, head, expires in rows}
    records = golden["records"]
    keys = [(key["name"], key["type"]) for key in golden["meaning"]["entity"]["keys"]]
    decoder = kernel.StreamDecoder(rfc8785.dumps(golden["meaning"]["source"]), keys, direct=False)
    batch = decoder.decode(
        [None] * len(records), [json.dumps(r["value"]).encode() for r in records], [r["appended"] for r in records]
    )
    assert batch.refused == 0
    state = kernel.StreamView(meaning).open_partition(EPOCH, PARTITION, RUN)
    for entity in batch.entity_ids:
        state.load(entity, None, None)
    offsets = [record["offset"] for record in records]
    state.fold(batch, offsets, max(record["appended"] for record in records))
    return {
        entity: {"head": head.hex(), "body": None if body is None else body.hex(), "expires_ms": expires}
        for entity, head, body, expires in state.flush(offsets[-1] + 1)
    }


def answers(golden: Golden, stored: Stored) -> list[Any]:
    """What the stored bytes answer, per entity and instant of `reads`: [value, status, event time] per feature."""
    meaning = rfc8785.dumps(golden["meaning"])
    given = []
    for entity, at in reads(golden):
        head, body = state_of(stored, entity)
        if "rows" in golden:
            cells = kernel.LatestView(meaning).read(head, at)
        else:
            cells = kernel.StreamView(meaning).read(head, body, at)
        given.append([[_text(value), status, t] for value, status, t in cells])
    return given


def reads(golden: Golden) -> Iterator[tuple[str, int]]:
    """Who is asked about, and when."""
    yield from golden["reads"]


def state_of(stored: Stored, entity: str) -> tuple[bytes | None, bytes | None]:
    """The bytes of an entity's head and body."""
    state = stored.get(entity)
    if state is None:
        return None, None
    return bytes.fromhex(state["head"]), None if state["body"] is None else bytes.fromhex(state["body"])


def _text(value: object) -> object:
    """A double in the form that shows each bit, a decimal with its digits."""
    if isinstance(value, list):
        return [_text(item) for item in value]
    if isinstance(value, Decimal):
        return str(value)
    return value.hex() if isinstance(value, float) else value


def table_batch(golden: Golden) -> pa.RecordBatch:
    """The rows of a table's file as its writer gives them to the kernel."""
    rows = golden["rows"]
    columns: dict[str, pa.Array] = {
        name: pa.array([row[name] for row in rows], kind)
        for name, kind in {
            "entity_id": pa.string(),
            "event_time_us": pa.int64(),
            "created_time_us": pa.int64(),
            "run_seq": pa.int64(),
            "deleted": pa.bool_(),
        }.items()
    }
    for feature in golden["meaning"]["features"]:
        kind = ARROW_TYPES[ValueType(feature["type"])]
        cells = [row["cells"][feature["column"]] for row in rows]
        if pa.types.is_decimal(kind):
            cells = [None if cell is None else Decimal(cell) for cell in cells]
        columns[f"f_{feature['name']}"] = pa.array(cells, kind)
    return pa.record_batch(columns)


def fill(path: Path) -> None:
    """Writes what a file's inputs give into it."""
    golden = dict(load(path))
    if "stored" in golden:
        raise SystemExit(f"{path} is filled in, and stays as it is: give the new form a file of its own")
    stored = folded(golden)
    golden |= {"stored": stored, "answers": answers(golden, stored)}
    path.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        fill(Path(argument))
