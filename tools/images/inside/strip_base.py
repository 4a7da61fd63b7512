"""Runs in an image build: takes from a Debian what a service does not need, and adds its user.

What stays: the interpreter with its standard library, shared libraries, certificates, time zones, licences. What is
left of which package is noted in ``/var/lib/dpkg/status.d``, where scanners look.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import sys
import sysconfig
from pathlib import Path

USER = 65532
PROGRAMS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/local/sbin")
STANDARD_LIBRARY = ("ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test", "tkinter", "turtledemo")
# Paths and patterns below the root.
REMOVED = (
    "boot",
    "build",
    "etc/apt",
    "etc/alternatives",
    "etc/cron.daily",
    "etc/debconf.conf",
    "etc/dpkg",
    "etc/logrotate.d",
    "usr/libexec",
    "usr/include",
    "usr/lib/*/gconv",
    "usr/lib/*/libapt-*",
    "usr/lib/*/libperl.so*",
    "usr/lib/*/perl",
    "usr/lib/*/perl-base",
    "usr/lib/apt",
    "usr/lib/dpkg",
    "usr/lib/python3",
    "usr/local/include",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/debconf",
    "usr/share/debianutils",
    "usr/share/dpkg",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/share/zoneinfo/posix",
    "usr/share/zoneinfo/right",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg/[!s]*",
    "var/lib/dpkg/status-old",
    "var/log",
)
STATUS = Path("/var/lib/dpkg/status")
NOTES = Path("/var/lib/dpkg/status.d")


def main() -> None:
    files_of = package_files()
    library = Path(sysconfig.get_paths()["stdlib"])
    for name in STANDARD_LIBRARY:
        remove(library / name)
    for pattern in REMOVED:
        for path in list(Path("/").glob(pattern)):
            remove(path)
    for note in Path("/usr/share/doc").rglob("*"):
        if not note.is_dir() and note.name != "copyright":
            note.unlink()
    for archive in Path("/usr").rglob("*.a"):
        archive.unlink()
    strip_programs(Path(sys.executable))
    # Mode unchecked-hash: a read-only root has no place for caches, and layers may lose modification times.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(library, quiet=1, force=True, workers=os.cpu_count() or 1, invalidation_mode=mode)
    note_packages(files_of)
    add_user()


def package_files() -> dict[str, list[Path]]:
    """The files of each package, its documents left out."""
    lists = {path.stem.partition(":")[0]: path.read_text() for path in Path("/var/lib/dpkg/info").glob("*.list")}
    return {
        name: [Path(line) for line in text.splitlines() if line.startswith("/") and "/share/doc/" not in line]
        for name, text in lists.items()
    }


def note_packages(files_of: dict[str, list[Path]]) -> None:
    """Leaves a note for each package of which a file is left."""
    NOTES.mkdir(exist_ok=True)
    for entry in STATUS.read_text().split("\n\n") if STATUS.exists() else ():
        if "\nStatus: install ok installed\n" in entry:
            name = entry.partition("Package: ")[2].partition("\n")[0]
            (NOTES / name).write_text(f"{entry.strip()}\n")
    remove(STATUS)
    for note in NOTES.iterdir():
        if not any(file.is_file() for file in files_of[note.name]):
            note.unlink()


def strip_programs(interpreter: Path) -> None:
    """Leaves the interpreter and its names as the only programs."""
    kept = interpreter.resolve()
    for folder in dict.fromkeys(Path(name).resolve() for name in PROGRAMS):
        for program in folder.iterdir() if folder.is_dir() else ():
            if program.resolve() != kept:
                remove(program)


def add_user() -> None:
    entries = f"skewless:x:{USER}:{USER}:skewless:/tmp:/sbin/nologin\n"
    Path("/etc/passwd").write_text(f"root:x:0:0:root:/:/sbin/nologin\n{entries}")
    Path("/etc/group").write_text(f"root:x:0:\nskewless:x:{USER}:\n")
    for name in ("shadow", "gshadow", "passwd-", "group-", "shadow-", "gshadow-"):
        remove(Path("/etc") / name)
    Path("/tmp").chmod(0o1777)  # noqa: S108 (the directory itself)
    data = Path("/data")
    data.mkdir(exist_ok=True)
    os.chown(data, USER, USER)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
