"""The program of a process that runs functions. It is started as a file and imports nothing but the standard library
and the modules whose names it is given, so that what it has loaded is what the functions need.

Arguments: file descriptors to read calls from, to write answers to, and of the shared progress; then module names.
Messages are JSON, each behind two big-endian 32-bit lengths: of the message and of the bytes that follow it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import math
import mmap
import os
import platform
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

LENGTHS = struct.Struct(">II")
PROGRESS = struct.Struct("<qqq")
"""The row that is being called, when it began (monotonic nanoseconds), and the row again, written last."""
OVERFLOW, FUNCTION_FAILED, NOT_COMPUTED = 6, 11, 12
LONGEST_TEXT = 64 * 1024
LONGEST_LIST = 1000
LONGEST_FAILURE = 200
INSTANTS = (-62_135_596_800_000_000, 253_402_300_799_999_999)

Result = list[Any]


def main(arguments: list[str]) -> None:
    """Imports the modules, says what was found, and answers calls until there are no more."""
    calls, answers, shared = (int(text) for text in arguments[:3])
    source, sink = os.fdopen(calls, "rb"), os.fdopen(answers, "wb")
    _keep_apart()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    progress = mmap.mmap(shared, PROGRESS.size)
    before = set(sys.modules)
    modules = {name: _load(name) for name in arguments[3:]}
    _send(sink, {"environment": _environment(before), "modules": modules})
    while (call := _receive(source)) is not None:
        message, body = call
        _send(sink, {}, json.dumps(_run(message, json.loads(body), progress), allow_nan=False).encode())


def _keep_apart() -> None:
    """What a function prints goes to the log, and it has nothing to read."""
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def _load(name: str) -> dict[str, str]:
    """The hash of a module's source, or why it cannot be imported."""
    try:
        module = importlib.import_module(name)
        return {"source": hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()}
    except Exception as error:  # noqa: BLE001 (whatever the module raises is why its functions are not served)
        return {"error": _told(error)}


def _environment(before: Iterable[str]) -> dict[str, str]:
    """What values depend on: the interpreter, the machine, and all that was loaded besides the standard library."""
    loaded = {name: _file_hash(name) for name in set(sys.modules).difference(before) if _is_foreign(name)}
    owners = importlib.metadata.packages_distributions()
    tops = {name.partition(".")[0] for name in loaded}
    distributions = {owner: importlib.metadata.version(owner) for top in tops for owner in owners.get(top, ())}
    lock = json.dumps([sorted(loaded.items()), sorted(distributions.items())]).encode()
    major, minor = sys.version_info[:2]
    return {
        "interpreter": f"{sys.implementation.name}-{major}.{minor}",
        "machine": platform.machine(),
        "lock": hashlib.sha256(lock).hexdigest(),
    }


def _is_foreign(name: str) -> bool:
    return name.partition(".")[0] not in sys.stdlib_module_names and name != "__main__"


def _file_hash(name: str) -> str:
    path = getattr(sys.modules[name], "__file__", None)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""


def _run(message: dict[str, Any], rows: list[list[Any] | None], progress: mmap.mmap) -> list[Result | None]:
    """Calls the function for every row that is not null and not to be skipped."""
    function = getattr(sys.modules.get(message["module"]), message["name"], None)
    if not callable(function):
        text = f"{message['module']} has no function {message['name']}"
        return [None if row is None else [None, FUNCTION_FAILED, text] for row in rows]
    names, check = message["arguments"], _CHECKS[message["type"]]
    skipped, clock, mark = set(message["skipped"]), time.monotonic_ns, PROGRESS.pack_into
    end = clock() + message["limit_ns"]
    results: list[Result | None] = []
    for place, row in enumerate(rows):
        if row is None or place in skipped:
            results.append(None)
            continue
        now = clock()
        if now > end:
            results.append([None, NOT_COMPUTED, "the time for the functions of the request is over"])
            continue
        mark(progress, 0, place, now, place)
        try:
            results.append(check(function(**dict(zip(names, row, strict=True)))))
        except BaseException as error:  # noqa: BLE001 (a function may raise anything; it is an outcome of its row)
            results.append([None, FUNCTION_FAILED, _told(error)])
    mark(progress, 0, -1, 0, -1)
    return results


def _told(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 (an exception that cannot be shown)
        text = type(error).__name__
    return text.encode(errors="replace").decode()[:LONGEST_FAILURE]


def _failed(value: object, kind: str) -> Result:
    return [None, FUNCTION_FAILED, f"returned {type(value).__name__}, not {kind}"]


def _whole(value: object) -> Result:
    if value is None:
        return [None]
    if not isinstance(value, int) or isinstance(value, bool):
        return _failed(value, "int64")
    return [int(value)] if -(2**63) <= value < 2**63 else [None, OVERFLOW, "the integer does not fit 64 bits"]


def _real(value: object) -> Result:
    if value is None:
        return [None]
    if isinstance(value, int) and not isinstance(value, bool):
        value = _double(value)
    if not isinstance(value, float):
        return _failed(value, "float64")
    return [float(value)] if math.isfinite(value) else [None]


def _double(value: int) -> int | float:
    """The double that is this integer, if there is one."""
    try:
        return float(value) if int(float(value)) == value else value
    except OverflowError:
        return value


def _truth(value: object) -> Result:
    return [value] if value is None or isinstance(value, bool) else _failed(value, "bool")


def _text(value: object) -> Result:
    if value is None:
        return [None]
    if not isinstance(value, str):
        return _failed(value, "string")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return [None, FUNCTION_FAILED, "returned a text with half of a surrogate pair"]
    if size > LONGEST_TEXT:
        return [None, FUNCTION_FAILED, f"returned a text of {size} bytes, more than {LONGEST_TEXT}"]
    return [str(value)]


def _instant(value: object) -> Result:
    if value is None:
        return [None]
    if not isinstance(value, int) or isinstance(value, bool):
        return _failed(value, "timestamp (an int of microseconds)")
    if not INSTANTS[0] <= value <= INSTANTS[1]:
        return [None, FUNCTION_FAILED, "returned an instant outside the years 1 to 9999"]
    return [int(value)]


_CHECKS: dict[str, Callable[[object], Result]] = {
    "int64": _whole,
    "float64": _real,
    "bool": _truth,
    "string": _text,
    "timestamp": _instant,
}


def _joined(items: list[Result]) -> Result:
    """The list of what each item was found to be."""
    for place, item in enumerate(items):
        if len(item) > 1:
            return [None, item[1], f"item {place}: {item[2]}"]
        if item[0] is None:
            return [None, FUNCTION_FAILED, f"item {place} is None; a list has items only"]
    found = [item[0] for item in items]
    size = sum(len(item.encode()) for item in found if isinstance(item, str))
    if size > LONGEST_TEXT:
        return [None, FUNCTION_FAILED, f"returned texts of {size} bytes, more than {LONGEST_TEXT}"]
    return [found]


def _list_of(kind: str) -> Callable[[object], Result]:
    one = _CHECKS[kind]

    def check(value: object) -> Result:
        if value is None:
            return [None]
        if not isinstance(value, list | tuple):
            return _failed(value, f"list<{kind}>")
        if len(value) > LONGEST_LIST:
            return [None, FUNCTION_FAILED, f"returned a list of {len(value)} items, more than {LONGEST_LIST}"]
        return _joined([one(item) for item in value])

    return check


_CHECKS.update({f"list<{kind}>": _list_of(kind) for kind in tuple(_CHECKS)})


def _send(sink: BinaryIO, message: dict[str, Any], body: bytes = b"") -> None:
    head = json.dumps(message).encode()
    sink.write(LENGTHS.pack(len(head), len(body)) + head + body)
    sink.flush()


def _receive(source: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    lengths = source.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head, body = LENGTHS.unpack(lengths)
    return json.loads(source.read(head)), source.read(body)


if __name__ == "__main__":
    main(sys.argv[1:])
