"""Runs programs in an unpacked image: as its user, on its own file system, read-only but for /tmp and /data.

This needs root, because it mounts; a container engine is not needed. Of the host, programs see devices and network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.images import archive

USER: Final = 65532
# The root, Python, a program of Python, and what that gets.
_ENTER: Final = """
set -e
mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"
for folder in tmp data; do mount -t tmpfs -o mode=1777 tmpfs "$1/$folder"; done
if [ -d "$1/proc" ]; then mount -t proc proc "$1/proc"; fi
if [ -d "$1/dev" ]; then mount --rbind /dev "$1/dev"; fi
exec "$2" -I -S -c "$3" "$@"
"""
_BECOME: Final = """
import json, os, sys, warnings
root, _, _, user, environ, *command = sys.argv[1:]
os.chroot(root); os.chdir("/")
os.setgroups([]); os.setgid(int(user)); os.setuid(int(user))
os.execvpe(command[0], command, json.loads(environ))
"""


class CheckError(Exception):
    """An image is not as it should be."""


@dataclass(frozen=True)
class Root:
    """An unpacked image: where it lies, and what it is told to run."""

    path: Path
    environ: dict[str, str]
    entrypoint: list[str]

    def output(self, *command: str) -> str:
        """What a command prints. Raises CheckError if it fails."""
        done = subprocess.run(self._command(command), check=False, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise CheckError(f"{' '.join(command)[:200]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    @contextmanager
    def server(self, *command: str) -> Iterator[Path]:
        """Runs a server; gives its log, and ends it with all it started. Raises CheckError if it ended before."""
        log = self.path.with_suffix(".log")
        with log.open("wb") as written:
            process = subprocess.Popen(self._command(command), stdout=written, stderr=written)
        try:
            yield log
            if process.poll() is not None:
                raise CheckError(f"{command[0]} ended with {process.returncode}:\n{log.read_text()}")
        finally:
            process.kill()  # the first of its own processes goes with it, and with that one the others
            process.wait()
            log.unlink()

    def _command(self, command: tuple[str, ...]) -> list[str]:
        inside = [str(self.path), sys.executable, _BECOME, str(USER), json.dumps(self.environ), *command]
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, "sh", *inside]


@contextmanager
def unpacked(tar: Path, to: Path) -> Iterator[tuple[Root, archive.Image]]:
    """The image's file system below ``to``, for as long as it is wanted."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    try:
        archive.unpack(tar, to)
        image = archive.read(tar)
        environ = dict(entry.split("=", 1) for entry in image.config["Env"])
        yield Root(to, environ, image.config["Entrypoint"]), image
    finally:
        shutil.rmtree(to)
