"""What a data directory says of its mesh: who holds it, where its parts are, and the format of what it keeps."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from skewless.local.ports import LocalError

DATA_FORMAT: Final = 1
"""Of all that is kept in a data directory. A new one comes with a way to bring older directories up to it."""
_LOCK: Final = "mesh.lock"
_FORMAT: Final = "format"
_STATE: Final = Path("run") / "mesh.json"
_PROBE_BYTES: Final = 4 << 20
_LOCK_TRIES: Final = 20
_LOCK_PAUSE_S: Final = 0.02
_SETTLED: Final = "give another directory"
_REMEDIES: Final = {
    errno.ENOSPC: "make room there (`df {data}`), or " + _SETTLED,
    errno.EDQUOT: "make room there (`quota`), or " + _SETTLED,
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`), or " + _SETTLED,
    errno.EACCES: "see to its permissions, or " + _SETTLED,
    errno.EPERM: "see to its permissions, or " + _SETTLED,
    errno.EROFS: _SETTLED,
    errno.ENOTDIR: "a file stands where a directory is to be; remove it, or " + _SETTLED,
    errno.EEXIST: "a file stands where a directory is to be; remove it, or " + _SETTLED,
    errno.EISDIR: "a directory stands where a file is to be; remove it, or " + _SETTLED,
    errno.EMFILE: "raise the limit on open files (`ulimit -n`)",
}
"""By the number of the error; of another one only the general words are known."""


class HeldError(LocalError):
    """Another process holds the directory."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        self.pid = pid
        by = "another process" if pid is None else f"process {pid}"
        super().__init__(f"{data_dir} is in use by {by}; stop that mesh or give another directory")


@dataclass(frozen=True)
class PartState:
    """One part, as the supervisor sees it."""

    address: str
    pid: int | None
    """None: it does not run now."""
    restarts: int = 0
    """How often it was started again after it had ended by itself."""
    last_exit: str = ""
    """How it ended the last time; empty if it never did."""

    def __post_init__(self) -> None:
        """Raises ValueError for an address that is none, TypeError for a process id that is no number."""
        host, _, port = str(self.address).rpartition(":")
        if not (host and port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
            raise ValueError(f"{self.address!r} is no HOST:PORT")
        if not isinstance(self.pid, int | None):
            raise TypeError(f"{self.pid!r} is no process id")


@dataclass(frozen=True)
class MeshState:
    """``run/mesh.json``: where the parts are. It outlives the mesh, so that the next start takes the same ports."""

    version: str
    """Of Skewless."""
    pid: int
    """Of the supervisor."""
    started_at: str
    """RFC 3339, UTC."""
    parts: Mapping[str, PartState] = field(default_factory=dict)

    @property
    def addresses(self) -> dict[str, str]:
        """``host:port`` by part."""
        return {name: part.address for name, part in self.parts.items()}

    @classmethod
    def read(cls, data_dir: Path) -> Self | None:
        """What stands there; None if there never was a supervisor. Raises LocalError if it cannot be read."""
        path = data_dir / _STATE
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            parts = {name: PartState(**part) for name, part in document.pop("parts").items()}
            return cls(**document, parts=parts)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise LocalError(f"{path} cannot be read ({error}); remove it and start the mesh again") from error

    def write(self, data_dir: Path) -> None:
        """Appears at once, whole."""
        path = data_dir / _STATE
        document: dict[str, Any] = dataclasses.asdict(self)
        _write_whole(path, json.dumps(document, indent=2) + "\n")


def metrics_file(data_dir: Path, service: str) -> Path:
    """Where a service writes the address of its metrics once it has one."""
    return data_dir / "run" / f"{service}.metrics"


def own(data_dir: Path) -> int:
    """Makes this process the holder of a directory and gives the descriptor of the lock; closing it lets go.

    Two stores in one directory would destroy its files. The lock goes with this process, however it ends.
    Raises HeldError if another process holds it.
    """
    lock = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    for _ in range(_LOCK_TRIES):  # who asks for the holder has the lock for a moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_S)
            continue
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return lock
    named = os.read(lock, 32).decode(errors="replace").strip()
    os.close(lock)
    raise HeldError(data_dir, int(named) if named.isdecimal() else None)


def holder(data_dir: Path) -> int | None:
    """The process that holds a directory; None if none does, whatever files an earlier one has left."""
    try:
        lock = os.open(data_dir / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(lock, 32).decode(errors="replace").strip()
        return int(text) if text.isdecimal() else None
    finally:
        os.close(lock)
    return None


def prepare(data_dir: Path) -> None:
    """Makes a directory ready to be used, or says why it cannot be.

    Raises LocalError naming what cannot be written, and for data of another format.
    """
    try:
        for name in ("logs", "run", "store", "broker", "lake"):
            (data_dir / name).mkdir(parents=True, exist_ok=True)
        _probe(data_dir / "run" / ".probe")
        found = data_format(data_dir)
        if found is None:
            _write_whole(data_dir / _FORMAT, f"{DATA_FORMAT}\n")
    except OSError as error:
        raise LocalError(cannot_write(error, data_dir)) from error
    if found not in {None, DATA_FORMAT}:
        raise LocalError(
            f"{data_dir} holds data of format {found}, and this version of Skewless keeps format {DATA_FORMAT}; "
            "use the version that made it, or another directory"
        )


def data_format(data_dir: Path) -> int | None:
    """The format of what a directory keeps; None if nothing is kept there yet. An unknown one is -1."""
    try:
        text = (data_dir / _FORMAT).read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    if not text:  # cut off while it was first written
        return None
    return int(text) if text.isdecimal() else -1


def cannot_write(error: OSError, data_dir: Path) -> str:
    """The message for a directory that does not take what must be written."""
    place = error.filename or data_dir
    remedy = _REMEDIES.get(error.errno or 0, "see to its room and permissions, or " + _SETTLED)
    return f"{place} cannot be written: {error.strerror or error}; {remedy.format(data=data_dir)}"


def _write_whole(path: Path, text: str) -> None:
    """The file is the old one or the new one, also after a power cut. Raises OSError naming it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("w", encoding="utf-8") as sink:
            sink.write(text)
            sink.flush()
            os.fsync(sink.fileno())
        fresh.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        fresh.unlink(missing_ok=True)


def _probe(path: Path) -> None:
    """Some MiB must fit. Raises OSError."""
    try:
        with path.open("wb") as sink:
            sink.write(bytes(_PROBE_BYTES))
            sink.flush()
            os.fsync(sink.fileno())
    except OSError as error:
        error.filename = error.filename or str(path.parent)
        raise
    finally:
        path.unlink(missing_ok=True)
