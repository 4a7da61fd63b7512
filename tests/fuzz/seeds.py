"""What fuzzing starts from: inputs for every judge, out of tests/spec/, tests/golden/ and what once was found."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rfc8785
import yaml

from skewless import kernel
from tests.fuzz.targets import FOUND
from tests.golden.states import files, load
from tests.oracle.blake3 import blake3
from tests.roads.cases import SPEC, StreamCase, VerdictCase, cases
from tests.roads.expressions import cases as expressions
from tests.roads.meaning import stream_meaning

MARK = b"BODYMARK"
"""What a judge replaces by the mark of the body."""
LETTERS = {"int64": "ij", "float64": "xy", "bool": "bc", "string": "su", "timestamp": "tv"}
"""The columns that the judge of expressions has."""


def write(folder: Path) -> None:
    """One file per input, in a folder per judge."""
    for judge, data in seeds():
        path = folder / judge / hashlib.sha256(data).hexdigest()[:16]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def seeds() -> Iterator[tuple[str, bytes]]:
    """Judge and input."""
    for path in sorted(FOUND.glob("*/*")):
        yield path.parent.name, path.read_bytes()
    yield from _golden()
    yield from _verdicts()
    yield from _documents()
    for case in expressions():
        yield "expression", json.dumps(_renamed(case.ir, case.types)).encode()
    for names in ([], ["i.7"], ["s.JFK", "i.-1"], ["s." + "é" * 60, "h." + "x" * 120]):
        yield "entity_id", b"".join(_part(name) for name in names)
    yield "entity_id", b"1.20.3"
    meaning = bytes(range(16))
    yield "token", kernel.write_token(0, [], [])[:-8]
    views = [(meaning, "window"), (meaning, "latest_table"), (meaning, "latest_stream")]
    yield "token", kernel.write_token(-5, views, [[(1, 2, 3), 4, None], [None, None, (1, 2**32 - 1, 2**60)]])[:-8]


def _golden() -> Iterator[tuple[str, bytes]]:
    for path in files():
        golden = load(path)
        name = path.stem.encode() + b"\n"
        yield "meaning", rfc8785.dumps(golden["meaning"])
        yield "meaning", rfc8785.dumps(golden["meaning"]["source"])
        for state in golden["stored"].values():
            head, body = bytes.fromhex(state["head"]), bytes.fromhex(state["body"] or "")
            if "rows" in golden:
                yield "latest_row", name + head
            elif golden["meaning"]["kind"] == "window_view":
                head = head.replace(blake3(body)[: len(MARK)], MARK)
                yield "window", name + len(head).to_bytes(2, "big") + head + body
            else:
                yield "latest_stream", name + head
        for record in golden.get("records", []):
            yield "json_payload", json.dumps(record["value"]).encode()


def _verdicts() -> Iterator[tuple[str, bytes]]:
    for case in cases("verdict"):
        assert isinstance(case.body, VerdictCase)
        if case.body.payload is not None:
            yield "json_payload" if case.body.fields is None else "protobuf_payload", case.body.payload
    # As the judge's own message is laid out, which the cases are not.
    whole = bytes.fromhex("0a014a1005220909000000000000044010012000e012052a0608904e10c801")
    yield "protobuf_payload", whole
    yield "protobuf_payload", bytes.fromhex("2a00")
    yield "json_payload", b'{"k":"a","n":-7,"x":1.5e3,"b":true,"s":"\\u00e9","t":5,"at":"2013-06-30T23:59:60.25+01:00"}'


def _documents() -> Iterator[tuple[str, bytes]]:
    for case in cases("window", "latest_stream"):
        if isinstance(case.body, StreamCase):
            yield "meaning", stream_meaning(case.body)
    for path in sorted((SPEC / "plan").glob("*.yaml")):
        for written in yaml.safe_load(path.read_text())["cases"]:
            yield "meaning", json.dumps(written).encode()


def _part(name: str) -> bytes:
    kind, text = name[0], name[2:]
    if kind == "i":
        return b"\0" + int(text).to_bytes(8, "big", signed=True)
    return bytes([1 + 2 * min(len(text.encode()), 127)]) + text.encode()


def _renamed(ir: Any, types: Any) -> Any:
    """The expression over the columns that the judge has, by their types."""
    if ir["op"] == "col":
        same = [name for name, kind in types.items() if kind == types[ir["name"]]]
        letters = LETTERS[types[ir["name"]]]
        return {"op": "col", "name": letters[same.index(ir["name"]) % len(letters)]}
    if ir["op"] == "call":
        return {**ir, "args": [_renamed(arg, types) for arg in ir["args"]]}
    return ir
