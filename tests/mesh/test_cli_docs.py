"""Every command of docs/cli.md and of the README, as it stands there, against a real mesh on other ports."""

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
            lines_of = [line.partition("  #")[0].rstrip() for line in block.splitlines()]
            commands = [line.removeprefix("$ ") for line in lines_of if line.startswith("$ ")]
            lines += [word for command in commands for word in ("echo '@@'", command)]
    ports = " ".join(FREE_PORTS)
    return re.sub(r"^(skewless (?:up|doctor))$", rf"\1 {ports}", "\n".join(lines), flags=re.MULTILINE)


def session(text: str, directory: Path) -> list[str]:
    """Runs the blocks of a document in the directory; what each command printed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    try:
        done = subprocess.run(
            ["/bin/bash", "-c", script(text)], cwd=directory, env=environ(PATH=path), capture_output=True, text=True,
            check=False, timeout=240,
        )  # fmt: skip
    finally:
        down = [sys.executable, "-m", "skewless.cli", "down"]
        subprocess.run(down, cwd=directory, env=environ(), capture_output=True, check=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert processes_in(directory / ".skewless") == []
    return done.stdout.split("@@\n")[1:]


def test_the_readme_starts_a_mesh_applies_and_stops(tmp_path: Path) -> None:
    text = (DOCUMENT.parents[1] / "README.md").read_text(encoding="utf-8")
    blocks = [block for block in BLOCK.finditer(text) if "$ skewless up" in block[2]]
    assert len(blocks) == 1
    answers = session(blocks[0][0], tmp_path)
    assert [len(answers), "stopped in" in answers[-1]] == [5, True]
    assert (tmp_path / "shop" / "skewless.toml").is_file()


def test_the_session_runs_as_it_is_told(tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert script(text).count("skewless up") == 1
    answers = session(text, tmp_path)
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
