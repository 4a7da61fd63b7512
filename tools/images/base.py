"""A base for images without a registry: Python and its libraries from Debian's packages."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from tools.images.command import run

PACKAGES: Final = (
    "base-files",
    "ca-certificates",
    "coreutils",
    "dash",
    "libpython3.11-stdlib",
    "libstdc++6",
    "netbase",
    "python3-minimal",
    "python3.11",
    "tar",
    "tzdata",
    "zlib1g",
)
MIRROR: Final = "http://deb.debian.org"
SOURCES: Final = (
    f"deb {MIRROR}/debian bookworm main",
    f"deb {MIRROR}/debian bookworm-updates main",
    f"deb {MIRROR}/debian-security bookworm-security main",
)
# Packages are unpacked, not installed, so their scripts do not run: what those would do is done here. Which packages
# there are, and their files, is noted as dpkg does.
AFTER: Final = (
    """cd "$1/var/lib/dpkg"; mkdir -p status.d info; for file in "$1"/var/cache/apt/archives/*.deb; do
    name=$(dpkg-deb --field "$file" Package); dpkg-deb --field "$file" > "status.d/$name"
    dpkg-deb --fsys-tarfile "$file" | tar --list | sed 's/^[.]//' > "info/$name.list"; done""",
    """cd "$1"; mkdir -p etc/ssl/certs
    cat usr/share/ca-certificates/mozilla/*.crt > etc/ssl/certs/ca-certificates.crt""",
)


def week() -> str:
    """This week. A base is kept for one, so that Debian's security updates come in."""
    return time.strftime("%G-%V", time.gmtime())


def make(to: Path) -> None:
    """Writes the base as a tar. Raises CommandError."""
    partial = to.with_suffix(".partial.tar")
    partial.unlink(missing_ok=True)
    command = ["mmdebstrap", "--quiet", "--variant=extract", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    command += [f"--include={','.join(PACKAGES)}", '--aptopt=Apt::Install-Recommends "false"']
    command += [f"--extract-hook={hook}" for hook in AFTER]
    run(*command, "bookworm", str(partial), *SOURCES)
    partial.rename(to)
