"""Build hook: stubs are generated when the package is built, not checked in."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StubHook(BuildHookInterface):  # type: ignore[type-arg]
    """Generates ``src/skewless/api`` and ``src/buf`` before files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        sys.path.insert(0, str(root))
        try:
            from tools.protogen import generate  # noqa: PLC0415
        finally:
            sys.path.remove(str(root))
        generate(root / "src")
        # Ignored by git, so named here, or they would be left out of the wheel.
        build_data["artifacts"] += ["src/skewless/api/**", "src/buf/**"]
