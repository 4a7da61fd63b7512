"""``materialize``, ``train``, ``replay``, ``explain``: what the offline service is asked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from skewless.cli import values
from skewless.cli.answer import Answer, CliError, Exit, table
from skewless.cli.progress import bar
from skewless.cli.serving import service_of
from skewless.columns import ARROW_TYPES
from skewless.definitions.catalog import Catalog
from skewless.errors import UnknownFeatureError
from skewless.types import ValueType

if TYPE_CHECKING:
    from skewless.client import Difference, Explanation, Replay, Store

_SHOWN: Final = 20


def materialize(store: Store, view: str, as_of: str | None, *, quiet: bool) -> Answer:
    """One run of a batch view; of a bare name the newest version."""
    until = values.instant(as_of, "--as-of")
    ref = view if "@" in view else _newest(Catalog(store.list_definitions()), store.project, view)
    with bar(f"materializing {ref}", quiet=quiet):
        run = store.materialize(ref, as_of=until)
    document = {
        "view": ref,
        "run_seq": run.run_seq,
        "rows_read": run.rows_read,
        "rows_written": run.rows_written,
        "rows_dated_ahead": run.rows_dated_ahead,
        "entities_online": run.entities_online,
    }
    return Answer(
        document, table(("view", "run", "read", "written", "dated ahead", "online"), [list(document.values())])
    )


def _newest(catalog: Catalog, project: str, name: str) -> str:
    """The newest version of a batch view. Raises UnknownFeatureError."""
    views = catalog.batch_views(project)
    versions = [view for view in views if view.name == name]
    if not versions:
        raise UnknownFeatureError(name=name, known=[view.ref for view in views], kind="batch view")
    return max(versions, key=lambda view: view.version).ref


def train(
    store: Store,
    service: str,
    frame: Path,
    out: Path,
    *,
    as_served: bool,
    with_statuses: bool,
    time_column: str,
    quiet: bool,
) -> Answer:
    """A training set: the frame with the service's features, as a Parquet file."""
    if not frame.is_file():
        raise CliError(f"there is no file {frame}")
    if out.suffix.lower() != ".parquet":
        raise CliError(f"--out {out} is to be a .parquet file")
    if out.resolve() == frame.resolve() or (out.exists() and out.samefile(frame)):
        raise CliError(f"--out {out} is the frame itself; give another file")
    if not out.parent.is_dir():
        raise CliError(f"there is no directory {out.parent} for {out.name}")
    catalog = Catalog(store.list_definitions())
    found = service_of(catalog, store.project, service)
    keys, fields = values.inputs(catalog, store.project, found)
    types = {name: ARROW_TYPES[kind] for name, kind in (keys | fields).items()}
    types |= (
        {"request_id": pa.string(), "row": pa.int64()} if as_served else {time_column: ARROW_TYPES[ValueType.TIMESTAMP]}
    )
    rows = _read(frame, types)
    with bar(f"{found.ref} for {rows.num_rows} rows", quiet=quiet):
        result = store.get_historical_features(
            rows,
            found.ref,
            knowledge="as_served" if as_served else "event_time",
            request_time_column=time_column,
            with_statuses=with_statuses,
        )
    _write(result, out)
    features = [pin.label for pin in found.pins]
    document = {
        "feature_service": found.ref,
        "knowledge": "as_served" if as_served else "event_time",
        "rows": result.num_rows,
        "features": features,
        "file": str(out),
    }
    return Answer(document, f"{result.num_rows} rows, {len(features)} features of {found.ref} -> {out}")


def _read(path: Path, types: dict[str, pa.DataType]) -> pa.Table:
    """A frame of a file; columns of a CSV file that the features need get their types. Raises CliError."""
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return pa.parquet.read_table(path)
        if path.suffix.lower() == ".csv":
            options = pa.csv.ConvertOptions(column_types=types)
            return pa.csv.read_csv(path, convert_options=options)
    except (OSError, pa.ArrowException) as error:
        raise CliError(f"{path} cannot be read: {error}") from error
    raise CliError(f"{path} is neither .parquet nor .csv")


def _write(result: pa.Table, path: Path) -> None:
    """The whole file or none. Raises CliError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            pa.parquet.write_table(result, fresh)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except (OSError, pa.ArrowException) as error:
        raise CliError(f"{path} cannot be written: {error}; make room there or give another file with --out") from error


def replay(store: Store, request_ids: Sequence[str], since: str | None, until: str | None, *, quiet: bool) -> Answer:
    """Computes served vectors again and compares; the exit code says whether any differs."""
    with bar("replaying", quiet=quiet) as show:

        def on_progress(so_far: Replay) -> None:
            show(so_far.replayed + so_far.not_yet_logged + so_far.unanswered + so_far.not_replayed, so_far.vectors)

        found = store.replay(
            list(request_ids),
            served_from=values.instant(since, "--from"),
            served_until=values.instant(until, "--to"),
            on_progress=on_progress,
        )
    counts = {
        "vectors": found.vectors,
        "replayed": found.replayed,
        "equal": found.equal,
        "different": found.different,
        "not_yet_logged": found.not_yet_logged,
        "unanswered": found.unanswered,
        "not_answered": found.not_answered,
        "not_replayed": found.not_replayed,
    }
    document = {**counts, "differences": list(map(_difference, found.differences)), "outcomes": dict(found.outcomes)}
    lines = [table([name.replace("_", " ") for name in counts], [list(counts.values())])]
    if found.differences:
        rows = [
            (d.request_id, d.row, d.feature, *map(values.shown, (d.served, d.served_status.name)),
             *map(values.shown, (d.replayed, d.replayed_status.name)))
            for d in found.differences[:_SHOWN]
        ]  # fmt: skip
        lines.append(table(("request", "row", "feature", "served", "status", "replayed", "status"), rows))
        if len(found.differences) > _SHOWN:
            lines.append(f"... and {len(found.differences) - _SHOWN} more; --json has them")
    return Answer(document, "\n".join(lines), Exit.NOT_GOOD if found.different else Exit.OK)


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "request_id": found.request_id,
        "row": found.row,
        "feature": found.feature,
        "served": values.plain(found.served),
        "served_status": found.served_status.name,
        "replayed": values.plain(found.replayed),
        "replayed_status": found.replayed_status.name,
    }


def explain(store: Store, request_id: str, feature: str, row: int, max_events: int) -> Answer:
    """What one served value was made of."""
    found = store.explain(request_id, feature, row=row, max_events=max_events)
    document = {
        "request_id": request_id,
        "row": row,
        "feature": feature,
        "value": values.plain(found.value),
        "status": found.status.name if found.status else None,
        "replayed": values.plain(found.replayed),
        "replayed_status": found.replayed_status.name if found.replayed_status else None,
        "request_time": values.moment(found.request_time_us),
        "entity": found.entity,
        "view": found.view,
        "meaning_hash": found.meaning_hash.hex(),
        "knowledge": found.knowledge,
        "event_count": found.event_count,
        "events": _events(found.events),
        "inputs": [
            {
                "name": item.name,
                "feature": item.feature,
                "value": values.plain(item.value),
                "status": item.status.name if item.status else None,
                "event_count": item.event_count,
                "events": _events(item.events),
            }
            for item in found.inputs
        ],
        "predictions": [
            {"model": model, "score": score, "predicted_at": values.moment(time)}
            for model, score, time in found.predictions
        ],
    }
    return Answer(document, _explained(document, found))


def _events(events: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {
            "event_time": values.moment(event.event_time_us),
            "log": event.log,
            "partition": event.partition,
            "offset": event.offset,
            "source_partition": event.source_partition,
            "source_offset": event.source_offset,
            "payload": values.plain(event.payload),
        }
        for event in events
    ]


def _explained(document: dict[str, Any], found: Explanation) -> str:
    again = f"{values.shown(found.replayed)} ({document['replayed_status']})"
    lines = [
        f"{document['feature']} = {values.shown(found.value)} ({document['status']}); computed again: {again}",
        f"view {found.view}" + (f", {found.entity}" if found.entity else "") + f", at {document['request_time']}",
        f"known: {found.knowledge}" if found.knowledge else "",
    ]
    lines += _listed(found.event_count, document["events"])
    for item in document["inputs"]:
        name = f"{item['name']} = {item['feature']}" if item["feature"] else f"{item['name']} (of the request)"
        lines.append(
            f"input {name}: {values.shown(item['value'])}" + (f" ({item['status']})" if item["status"] else "")
        )
        lines += _listed(item["event_count"], item["events"])
    lines += [f"predicted by {p['model']}: {p['score']} at {p['predicted_at']}" for p in document["predictions"]]
    return "\n".join(filter(None, lines))


def _listed(count: int, events: list[dict[str, Any]]) -> list[str]:
    if not events:
        return []
    rows = [(e["event_time"], f"{e['log']}/{e['partition']}/{e['offset']}", e["payload"]) for e in events]
    note = f"the newest {len(events)} of {count} events:" if count > len(events) else f"{count} events:"
    return [note, table(("event time", "position", "payload"), rows)]
