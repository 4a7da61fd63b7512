"""``doctor``: what this machine lacks for running the mesh."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from skewless.cli.answer import Answer, Exit
from skewless.cli.mesh import ports_of
from skewless.local.mesh import broker_program, store_program
from skewless.local.ports import LocalError, PortTakenError, refuse_taken
from skewless.local.state import DATA_FORMAT, data_format, holder
from skewless.local.supervisor import planned_ports

_PYTHON: Final = (3, 11)
_FREE_MB: Final = 512
_MODULES: Final = {
    "sqlalchemy": "registry",
    "confluent_kafka": "stream_agg",
    "deltalake": "offline",
    "duckdb": "offline",
    "pyarrow": "offline",
    "redis": "offline",
    "prometheus_client": "validator",
    "grpc_health": "online",
    "services": "local",
}


class Check(NamedTuple):
    """One thing that must be there."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def doctor(data: Path, ports: Sequence[str]) -> Answer:
    """Every check; the exit code says whether something is missing."""
    checks = list(_checks(data, ports))
    missing = [check for check in checks if not check.ok]
    document = {"ok": not missing, "checks": [check._asdict() for check in checks]}
    lines = []
    for check in checks:
        lines.append(f"  {'ok      ' if check.ok else 'MISSING '} {check.name}: {check.found}")
        if not check.ok:
            lines.append(f"           {check.remedy}")
    lines.append(f"{len(missing)} missing" if missing else "nothing is missing")
    return Answer(document, "\n".join(lines), Exit.NOT_GOOD if missing else Exit.OK)


def _checks(data: Path, ports: Sequence[str]) -> Iterator[Check]:
    own = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", sys.version_info >= _PYTHON, own, "install Python 3.11 or newer")
    yield _kernel()
    lacking = {module: extra for module, extra in _MODULES.items() if find_spec(module) is None}
    yield Check("packages", not lacking, ", ".join(lacking) or "all there", "pip install 'skewless[local]'")
    yield _program("embedded store", lambda: str(store_program()), "--version")
    yield _program("embedded broker", broker_program, "-help")
    yield from _ports(data, ports)
    yield _data(data)
    yield _disk(data)


def _kernel() -> Check:
    try:
        from skewless import kernel  # noqa: PLC0415 (its absence is what is looked for)

        found = f"{version('skewless-kernel')}, semantics revision {kernel.SEMANTICS_REVISION}"
    except (ImportError, PackageNotFoundError) as error:
        return Check("kernel", ok=False, found=str(error), remedy="pip install skewless-kernel, or `make setup`")
    return Check("kernel", ok=True, found=found)


def _program(name: str, find: Callable[[], str], argument: str) -> Check:
    try:
        path = find()
        subprocess.run([path, argument], capture_output=True, timeout=10, check=False)
    except LocalError as error:
        message, _, remedy = str(error).partition(": ")
        return Check(name, ok=False, found=message, remedy=remedy)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, ok=False, found=str(error), remedy="install skewless[local] again, or `make setup`")
    return Check(name, ok=True, found=path)


def _ports(data: Path, given: Sequence[str]) -> Iterator[Check]:
    try:
        planned = planned_ports(data, ports_of(given))
        if holder(data) is not None:
            yield Check("ports", ok=True, found=f"a mesh runs in {data} and has them")
            return
    except (LocalError, OSError) as error:
        yield Check("ports", ok=False, found=str(error), remedy="see above")
        return
    for name, port in planned.items():
        if not port:
            continue
        try:
            refuse_taken(name, port)
        except PortTakenError as error:
            taken = f"{port} is taken" + (f" by {error.holder}" if error.holder else "")
            yield Check(f"port of {name}", ok=False, found=taken, remedy=f"skewless up --port {name}=NUMBER")
        else:
            yield Check(f"port of {name}", ok=True, found=f"{port} is free")


def _data(data: Path) -> Check:
    place = _existing(data)
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(bytes(1 << 20))
            probe.flush()
        found = data_format(data)
    except OSError as error:
        return Check(
            "data directory", ok=False, found=f"{place}: {error.strerror}", remedy="another --data, or make room"
        )
    if found not in {None, DATA_FORMAT}:
        words = f"{data} holds format {found}, this version keeps {DATA_FORMAT}"
        return Check("data directory", ok=False, found=words, remedy="use the version that made it, or another --data")
    return Check("data directory", ok=True, found=f"{data}, {'new' if found is None else f'format {found}'}")


def _disk(data: Path) -> Check:
    place = _existing(data)
    free = shutil.disk_usage(place).free >> 20
    return Check("disk", free >= _FREE_MB, f"{free} MiB free at {place}", f"make room: {_FREE_MB} MiB at least")


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    while not path.is_dir():
        path = path.parent
    return path
