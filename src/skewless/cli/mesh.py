"""``up``, ``down``, ``status``: the mesh of a data directory."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from skewless.cli import figures, finding
from skewless.cli.answer import Answer, CliError, Exit, table
from skewless.cli.progress import bar
from skewless.cli.repository import Repository
from skewless.errors import SkewlessError
from skewless.local.answering import broker_answers, store_answers
from skewless.local.mesh import BROKER, SERVICES, STORE
from skewless.local.ports import LocalError
from skewless.local.state import HeldError, MeshState, cannot_write, holder, prepare
from skewless.local.supervisor import DEFAULT_PORTS, Order, equal_ports, supervise

if TYPE_CHECKING:
    from skewless.client import Store

SUPERVISOR: Final = "skewless.local.supervisor"
_POLL_S: Final = 0.05
_ANSWERS: Final[Mapping[str, Callable[[str], bool]]] = {STORE: store_answers, BROKER: broker_answers}
_PARTS: Final = len(DEFAULT_PORTS)
_TAKEN: Final = "; e.g. skewless up --port {part}=NUMBER (0: any free one); the next start remembers it"
_STREAM: Final = ("project", "log", "end", "visible", "logged", "lag")
_SOURCE: Final = ("project", "source", "consumed", "on time", "late", "duplicate", "malformed", "too far future")


def ports_of(texts: Iterable[str]) -> dict[str, int]:
    """``NAME=PORT`` texts by part. Raises CliError naming every fault."""
    found: dict[str, int] = {}
    faults = []
    for text in texts:
        name, _, port = text.partition("=")
        if name not in DEFAULT_PORTS:
            faults.append(f"{name!r} is no part; there are {', '.join(DEFAULT_PORTS)}")
        elif not (port.isascii() and port.isdecimal()) or int(port) >= 1 << 16:
            faults.append(f"{text!r} is not NAME=PORT, with a port of 0 to 65535")
        else:
            found[name] = int(port)
    faults += equal_ports(found)
    if faults:
        raise CliError(f"--port: {'; '.join(faults)}")
    return found


def order(data: Path, sources: Path | None, ports: Iterable[str]) -> Order:
    """What is to be started. Raises CliError, also if a mesh runs in the directory already."""
    if sources is None:
        here = Repository.find(Path.cwd())
        sources = here.sources if here is not None else Path.cwd()
    if not sources.is_dir():
        raise CliError(f"{sources} is no directory; batch sources are read from there, see --sources")
    asked = Order(data, sources.resolve(), ports_of(ports))
    try:
        pid = holder(data)
    except OSError as error:
        raise CliError(cannot_write(error, data), Exit.NOT_STARTED) from error
    try:
        state = MeshState.read(data)
    except LocalError as error:  # only the ports of the last start are lost
        state = None
        sys.stderr.write(f"skewless: warning: {error}; the ports are the default ones\n")
    if pid is not None:
        raise _runs_already(data, pid, state)
    return asked


def _runs_already(data: Path, pid: int, state: MeshState | None) -> CliError:
    ready = state if state is not None and state.pid == pid else None
    where = ", ".join(f"{name} at {address}" for name, address in ready.addresses.items()) if ready else "not ready"
    return CliError(
        f"a mesh runs already in {data}: process {pid}, {where}; stop it with `skewless down --data {data}`",
        Exit.RUNS_ALREADY,
        {"pid": pid, "data": str(data), "addresses": ready.addresses if ready else {}},
    )


def up(asked: Order, *, quiet: bool) -> Answer:
    """Starts a supervisor in the background and returns when every part answers."""
    began = time.monotonic()
    try:
        prepare(asked.data)
        log = (asked.data / "logs" / "supervisor.log").open("ab")
    except LocalError as error:
        raise CliError(str(error), Exit.NOT_STARTED) from error
    except OSError as error:
        raise CliError(cannot_write(error, asked.data), Exit.NOT_STARTED) from error
    with log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", SUPERVISOR, asked.to_json()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=asked.data,
            start_new_session=True,
        )
    assert supervisor.stdout is not None  # noqa: S101 (it is a pipe)
    try:
        with supervisor.stdout as news, bar("starting", quiet=quiet) as show:
            ready = _follow(news, show)
    except KeyboardInterrupt:
        supervisor.terminate()
        supervisor.wait()
        raise
    if ready is None:
        code = supervisor.wait()
        raise CliError(
            f"the supervisor ended with exit code {code}; {asked.data / 'logs' / 'supervisor.log'} says why",
            Exit.NOT_STARTED,
        )
    if "failed" in ready:
        supervisor.wait()
        raise _not_started(ready)
    supervisor.returncode = 0  # it goes on, and is not waited for
    return _up(asked, ready, time.monotonic() - began)


def up_here(asked: Order, ready: Callable[[Answer], None]) -> Answer:
    """Runs the mesh in this process until Ctrl-C or SIGTERM; ``ready`` is called when every part answers."""
    began = time.monotonic()

    def report(news: Mapping[str, Any]) -> None:
        if news.get("ready"):
            ready(_up(asked, news, time.monotonic() - began))

    try:
        supervise(asked, report)
    except LocalError as error:
        news = {"failed": str(error), "taken": getattr(error, "name", ""), "held": isinstance(error, HeldError)}
        raise _not_started(news) from error
    return Answer({"stopped": True}, "stopped")


def _follow(news: IO[bytes], show: Callable[[int, int], None]) -> dict[str, Any] | None:
    """What the supervisor says in the end; None if it ended without a word."""
    for started, line in enumerate(news, start=1):
        document: dict[str, Any] = json.loads(line)
        if "part" not in document:
            return document
        show(started, _PARTS)
    return None


def _not_started(news: Mapping[str, Any]) -> CliError:
    hint = _TAKEN.format(part=news["taken"]) if news.get("taken") else ""
    return CliError(f"{news['failed']}{hint}", Exit.RUNS_ALREADY if news.get("held") else Exit.NOT_STARTED)


def _up(asked: Order, ready: Mapping[str, Any], seconds: float) -> Answer:
    document = {
        "pid": ready["pid"],
        "data": str(asked.data),
        "sources": str(asked.sources),
        "seconds": round(seconds, 3),
        "addresses": ready["addresses"],
    }
    rows = list(ready["addresses"].items())
    return Answer(document, f"{table(('part', 'address'), rows)}\nup in {seconds:.1f} s, data in {asked.data}")


def down(data: Path, timeout_s: float) -> Answer:
    """Stops the mesh in order and waits for its end; data stay."""
    try:
        pid = holder(data)
    except OSError as error:
        raise CliError(str(error)) from error
    if pid is None:
        return Answer({"stopped": False, "data": str(data)}, f"no mesh runs in {data}")
    try:
        state = MeshState.read(data)
    except LocalError:  # the process itself then says whether it is one of `up`
        state = None
    if (state is None or state.pid != pid) and not _is_supervisor(pid):
        raise CliError(
            f"process {pid} holds {data} and was not started by `skewless up`, so it is left alone; "
            "end that program itself",
            Exit.NOT_GOOD,
        )
    began = time.monotonic()
    _ask_to_stop(pid, data)
    while holder(data) is not None or _lives(pid):
        if time.monotonic() - began > timeout_s:
            raise CliError(
                f"process {pid} did not stop within {timeout_s:g} s; `kill -9 {pid}` ends it with all its parts, "
                "and the next start takes its data up",
                Exit.NOT_GOOD,
            )
        time.sleep(_POLL_S)
    seconds = time.monotonic() - began
    return Answer(
        {"stopped": True, "pid": pid, "data": str(data), "seconds": round(seconds, 3)},
        f"stopped in {seconds:.1f} s; the data stay in {data}",
    )


def _lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _ask_to_stop(pid: int, data: Path) -> None:
    """Raises CliError if the process cannot be told; one that has just ended needs no telling."""
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError as error:
        raise CliError(
            f"process {pid} holds {data} and belongs to another user; stop it as that user", Exit.NOT_GOOD
        ) from error
    except ProcessLookupError as error:
        if holder(data) is not None:
            raise CliError(
                f"process {pid} holds {data} and cannot be seen from here, as from another container; "
                "stop it where it was started",
                Exit.NOT_GOOD,
            ) from error


def _is_supervisor(pid: int) -> bool:
    """Whether a process that is not ready yet is one of `up`, in the background or in the foreground."""
    try:
        words = (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    if _runs(words, SUPERVISOR):
        return True
    command = _runs(words, "skewless.cli") or any(Path(word).name == "skewless" for word in words[:2])
    return command and "up" in words and "--foreground" in words


def _runs(words: Sequence[str], module: str) -> bool:
    """Whether a command line is that of an interpreter with ``-m module``."""
    return ("-m", module) in pairwise(words)


def status(data: Path, store: Store, state: MeshState | None, addresses: Mapping[str, str]) -> Answer:
    """Each part and whether it answers, and how far the streams are."""
    from skewless.local.health import SERVING, UNREACHABLE, health  # noqa: PLC0415 (gRPC, when it is needed)

    def ask(name: str) -> str:
        if name not in _ANSWERS:
            return health(addresses[name])
        if state is not None and state.parts[name].pid is None:
            return "DOWN"
        return "RUNNING" if _ANSWERS[name](addresses[name]) else UNREACHABLE

    with ThreadPoolExecutor(len(addresses) or 1) as pool:
        answers = dict(zip(addresses, pool.map(ask, addresses), strict=True))
    serving = [name for name in SERVICES if answers.get(name) == SERVING]
    parts = []
    for name, address in addresses.items():
        part = state.parts[name] if state is not None else None
        parts.append(
            {
                "part": name,
                "address": address,
                "metrics": figures.metrics_address(data, name) if part else None,
                "pid": part.pid if part else None,
                "health": answers[name],
                "restarts": part.restarts if part else None,
                "last_exit": part.last_exit if part else "",
            }
        )
    found, fault = _streams(store) if answers.get("stream_agg") == SERVING else ({"streams": [], "sources": []}, "")
    disk = _disk(data) if state is not None else None
    healthy = (
        all(part["health"] in {SERVING, "RUNNING"} for part in parts)
        and not fault
        and not any(log["stopped"] for log in found["streams"])
        and (disk is None or not disk["full"])
    )
    document = {
        "healthy": healthy,
        "data": str(data) if state is not None else None,
        "version": state.version if state is not None else None,
        "started_at": state.started_at if state is not None else None,
        "disk": disk,
        "parts": parts,
        **found,
        "figures": figures.figures(data, serving) if state is not None else None,
        "fault": fault,
    }
    return Answer(document, _status_text(document), Exit.OK if healthy else Exit.NOT_GOOD)


def _disk(data: Path) -> dict[str, Any]:
    space = os.statvfs(data)
    free = space.f_bavail * space.f_frsize
    return {"free_mb": free >> 20, "full": free < 16 << 20}


def _streams(store: Store) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """Input logs and sources, or why they are not known."""
    try:
        logs, sources = store.stream_status(), store.source_status()
    except SkewlessError as error:
        return {"streams": [], "sources": []}, str(error)
    streams = [
        {
            "project": log.project,
            "log": log.log,
            "source": log.source,
            "views": list(log.views),
            "end": sum(part.end_offset for part in log.partitions),
            "visible": sum(part.next_offset for part in log.partitions),
            "logged": sum(part.logged_offset for part in log.partitions),
            "lag": sum(max(0, part.end_offset - part.next_offset) for part in log.partitions),
            "below_horizon": log.below_horizon,
            "stopped": log.stopped,
            "partitions": [
                {
                    "partition": part.partition,
                    "end": part.end_offset,
                    "visible": part.next_offset,
                    "logged": part.logged_offset,
                    "committed": part.committed_offset,
                }
                for part in log.partitions
            ],
        }
        for log in logs
    ]
    return {"streams": streams, "sources": [dataclasses.asdict(source) for source in sources]}, ""


def _status_text(document: Mapping[str, Any]) -> str:
    rows = [
        (part["part"], part["address"], part["pid"], part["health"],
         f"{part['restarts']} ({part['last_exit']})" if part["restarts"] else part["restarts"])
        for part in document["parts"]
    ]  # fmt: skip
    lines = [table(("part", "address", "pid", "health", "restarts"), rows)]
    for name, head in (("streams", _STREAM), ("sources", _SOURCE)):
        if document[name]:
            lines += ["", table(head, [[row[column.replace(" ", "_")] for column in head] for row in document[name]])]
    lines += [
        f"{log['project']} {log['log']} is stopped: {log['stopped']}" for log in document["streams"] if log["stopped"]
    ]
    if document["figures"] is not None and (told := list(figures.lines(document["figures"]))):
        lines += ["", table(("since the services started", ""), told), ""]
    if document["fault"]:
        lines.append(f"stream_agg: {document['fault']}")
    if document["disk"] is not None:
        full = "; the disk is full: make room" if document["disk"]["full"] else ""
        lines.append(f"data in {document['data']}, {document['disk']['free_mb']} MiB free{full}")
    return "\n".join(lines)


def find(data: Path) -> tuple[MeshState | None, dict[str, str]]:
    """The mesh to report on: addresses by part, and its state if it is one of this machine. Raises CliError."""
    found = finding.addresses(data)
    return (None if finding.given_address() else finding.running(data)), found
