"""Builds the images and tries them.

    python -m tools.images build [--tag TAG] [--images "online cli"] [--base IMAGE] [--out DIR]
    python -m tools.images check [--images "online cli"] [--out DIR]

``build`` writes DIR/<image>.tar, DIR/<image>.sbom.json and DIR/report.json, and prints the sizes. ``check`` runs what
is in the tars there. Exit code 1 if an image cannot be built or is not as it should be, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tools.images import build, check, components
from tools.images.command import CommandError, alone
from tools.images.context import ROOT
from tools.images.engine import STORAGE, EngineError, engine


def main() -> int:
    """Runs a command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="tools.images", description="Build the container images, and try them.")
    parser.add_argument("command", choices=("build", "check"))
    parser.add_argument("--tag", default="", help="of the images; the commit by default")
    parser.add_argument("--images", default="", help="names, separated by blanks; all by default")
    parser.add_argument("--base", default="", help="an image with Python 3.11 on Debian to build upon")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "images")
    given = parser.parse_args()
    out = given.out.resolve()
    try:
        parts = components.chosen(given.images)
        build.check_tag(given.tag)
    except ValueError as error:
        parser.error(str(error))
    try:
        with alone(out / "work"):
            if given.command == "check":
                return check.check(parts, out)
            with alone(STORAGE):
                builder = engine(given.base, out / "work")
                report = build.build(builder, parts, build.version(given.tag), out)
        print(build.table(report))
    except (EngineError, CommandError) as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
