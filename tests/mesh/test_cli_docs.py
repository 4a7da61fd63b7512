"""Every command of docs/cli.md, as it stands there, against a real mesh on other ports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mesh.commands import FREE_PORTS, environ, processes_in

pytestmark = pytest.mark.timeout(300)  # a score of commands, each with an interpreter of its own

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^```\n(FEATURE .*?)^```$", re.MULTILINE | re.DOTALL)


def script(text: str) -> str:
    """The blocks of a document as one script of bash, in which each command is told before it runs."""
    lines = ["set -e"]
    for language, block in BLOCK.findall(text):
        if language == "python":
            lines += ["cat > events.py <<'EVENTS'", block, "EVENTS"]
        else:
            commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
            lines += [word for command in commands for word in ("echo '@@'", command)]
    ports = " ".join(FREE_PORTS)
    return re.sub(r"^(skewless (?:up|doctor))$", rf"\1 {ports}", "\n".join(lines), flags=re.MULTILINE)


def test_the_session_runs_as_it_is_told(tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    commands = script(text)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    assert commands.count("skewless up") == 1
    try:
        done = subprocess.run(
            ["/bin/bash", "-c", commands], cwd=tmp_path, env=environ(PATH=path), capture_output=True, text=True,
            check=False, timeout=240,
        )  # fmt: skip
    finally:
        down = [sys.executable, "-m", "skewless.cli", "down"]
        subprocess.run(down, cwd=tmp_path, env=environ(), capture_output=True, check=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert processes_in(tmp_path / ".skewless") == []
    answers = done.stdout.split("@@\n")[1:]
    assert "nothing is missing" in answers[0]
    shown = SHOWN.search(text)
    assert shown is not None
    vectors = [answer for answer in answers if answer.startswith("FEATURE")]
    assert [like(vector) for vector in vectors] == [like(shown[1])]
    assert any(
        answer.startswith("VECTORS") and re.search(r"^\d+ +3 +3 +0 ", answer, re.MULTILINE) for answer in answers
    )
    assert "stopped in" in answers[-1]


def like(vector: str) -> str:
    """An answer without what differs each time."""
    vector = re.sub(r"\d{4}-\d\d-\d\dT\S+", "TIME", vector)
    vector = re.sub(r"request \w{26}", "request ID", vector)
    return re.sub(r"\d+m \d+s", "AGE", vector)


@pytest.mark.parametrize("file", ["README.md", "docs/cli.md"])
def test_every_command_line_that_is_shown_is_one(file: str) -> None:
    """Its command and its options exist."""
    text = (DOCUMENT.parents[1] / file).read_text(encoding="utf-8")
    helps: dict[str, str] = {}
    for line in re.findall(r"`skewless ([^`]+)`|^\$ skewless (.+)$", text, re.MULTILINE):
        words = next(filter(None, line)).split()
        name = " ".join(words[: 2 if words[0] == "deadletter" else 1])
        if name not in helps:
            command = [sys.executable, "-m", "skewless.cli", *name.split(), "--help"]
            done = subprocess.run(command, env=environ(), capture_output=True, text=True, check=False)
            assert done.returncode == 0, name
            helps[name] = done.stdout
        options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
        assert [option for option in options if not re.search(rf"(^|\s){option}[,\s]", helps[name])] == []
