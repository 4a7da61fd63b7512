"""Tries what is in the images' tars: what they hold and lack, and that their programs run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from tools.images import archive
from tools.images.components import Component
from tools.images.rootfs import USER, CheckError, Root, unpacked

FORBIDDEN: Final = {
    *("pip", "pip3", "apt", "apt-get", "dpkg", "perl", "gcc", "cc", "c++", "g++", "ld", "as", "make", "cargo"),
    *("uv", "curl", "wget", "su", "sudo", "mount"),
}
SHELLS: Final = {"sh", "bash", "dash"}
WITH_SHELL: Final = {"cli", "trial-postgres"}
READY_S: Final = 60
_READ_ONLY: Final = """
import errno, os, pwd, ssl, sys, zoneinfo
assert os.getuid() == os.getgid() == 65532, os.getuid()
assert pwd.getpwuid(65532).pw_name == "skewless"
for path in ("/x", "/opt/skewless/x", "/etc/x"):
    try: open(path, "w")
    except OSError as error: assert error.errno in (errno.EROFS, errno.EACCES), error
    else: sys.exit(f"{path} can be written")
open("/tmp/x", "w").close(); open("/data/x", "w").close()
assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 100
zoneinfo.ZoneInfo("America/New_York")
"""
_VERSIONS: Final = """
import importlib.metadata, sys
importlib.import_module(sys.argv[1])
import skewless_kernel
print(importlib.metadata.version("skewless"), "kernel", skewless_kernel.__build__[:12])
"""


def check(parts: Iterable[Component], out: Path) -> int:
    """Tries images; prints a line for each. Returns 0 if all are as they should be, else 1."""
    if os.geteuid() != 0:
        print("images: trying them needs root, because it mounts", file=sys.stderr)
        return 1
    code = 0
    for part in parts:
        began = time.monotonic()
        try:
            with unpacked(out / f"{part.name}.tar", out / "work" / "check" / part.name) as (root, image):
                _look(part, root.path, image)
                said = _run(part, root)
        except (CheckError, OSError, KeyError, subprocess.SubprocessError) as error:
            code = 1
            print(f"{part.name:16} FAILED {error}")
        else:
            print(f"{part.name:16} ok     {said} ({time.monotonic() - began:.1f} s)")
    return code


def _look(part: Component, root: Path, image: archive.Image) -> None:
    """What can be seen without running it."""
    if image.config["User"] != f"{USER}:{USER}":
        raise CheckError(f"runs as {image.config['User']!r}")
    for name in ("title", "version", "licenses"):
        if not image.config["Labels"].get(f"org.opencontainers.image.{name}"):
            raise CheckError(f"has no label org.opencontainers.image.{name}")
    forbidden = FORBIDDEN | (set() if part.name in WITH_SHELL else SHELLS)
    for path in root.rglob("*"):
        mode = path.lstat().st_mode
        if path.is_file() and not path.is_symlink() and (mode & 0o6000 or (mode & 0o111 and path.name in forbidden)):
            raise CheckError(f"holds {path.relative_to(root)}, mode {mode:o}")
    installed = {_normal(path.name) for path in root.glob("opt/skewless/**/*.dist-info")}
    if "pip" in installed:
        raise CheckError("holds pip")
    components = json.loads((root / "opt/skewless/sbom.json").read_text())["components"]
    told = {entry["purl"].partition("pkg:pypi/")[2].partition("@")[0] for entry in components}
    if lacking := installed - told:
        raise CheckError(f"its bill of materials lacks {', '.join(sorted(lacking))}")


def _normal(name: str) -> str:
    return name.partition("-")[0].lower().replace("_", "-").replace(".", "-")


def _run(part: Component, root: Root) -> str:
    """Runs what it is there for; returns what that said."""
    if part.content == "kafka":
        return _kafka(root)
    root.output("python3", "-c", _READ_ONLY)
    if part.content == "valkey":
        return _valkey(root)
    if part.content == "postgres":
        return _postgres(root)
    if part.name == "cli":
        root.output("python", "-c", "import confluent_kafka, pyarrow.dataset, pyarrow.parquet")
        root.output("sh", "-c", "tar --version && ls / && cat /etc/passwd && sleep 0")
        return root.output(*root.entrypoint, "--version")
    if part.floor == "lake":
        root.output("python", "-c", "import deltalake, pyarrow.dataset, pyarrow.parquet, pyarrow.fs")
    return root.output("python", "-c", _VERSIONS, root.entrypoint[-1])


def _kafka(root: Root) -> str:
    port = _free_port()
    flags = ["--listen", "127.0.0.1", "--port", str(port), "--advertise", f"broker:{port}", "--data-dir", "/data/log"]
    with root.server(*root.entrypoint, *flags) as log:
        _until(lambda: f"ready 127.0.0.1:{port}" in log.read_text(), log)
        return log.read_text().strip()


def _valkey(root: Root) -> str:
    port = _free_port()

    def answers() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            return False

    with root.server(*root.entrypoint, "--port", str(port), "--bind", "127.0.0.1", "--dir", "/data") as log:
        _until(answers, log)
        return "answers PING"


def _postgres(root: Root) -> str:
    import psycopg  # noqa: PLC0415 (only this needs it)

    port = _free_port()
    found: list[Any] = []

    def answers() -> bool:
        try:
            with psycopg.connect(f"postgresql://skewless@127.0.0.1:{port}/skewless", connect_timeout=5) as connection:
                found.extend(connection.execute("SHOW server_version").fetchone() or ())
        except psycopg.OperationalError:
            return False
        return True

    with root.server(*root.entrypoint, "-c", f"port={port}", "-c", "listen_addresses=127.0.0.1") as log:
        _until(answers, log)
        return f"PostgreSQL {found[0]}, database skewless"


def _until(answers: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + READY_S
    while not answers():
        if time.monotonic() > until:
            raise CheckError(f"did not answer in {READY_S} s:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
