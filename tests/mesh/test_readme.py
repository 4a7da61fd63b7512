"""The first feature of the README, as it stands there, against a real mesh."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from skewless.types import Status

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_readme_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "readme"}
    try:
        for block in blocks:
            exec(compile(block, str(README), "exec"), names)  # noqa: S102 (it is our own)
    finally:
        if "mesh" in names:
            names["mesh"].stop()
    printed = capsys.readouterr().out
    shown = re.search(r"^# (\[\{.*\}\])$", "\n".join(blocks), re.MULTILINE)
    assert shown is not None
    assert printed.splitlines()[:2] == [shown[1], "1 0"]
    answer = names["answer"]
    assert {status for column in answer.statuses.values() for status in column} == {Status.PRESENT}
    vector = answer.to_rows()[0]
    for frame in (names["as_served"], names["by_event_time"]):
        row = frame.to_pylist()[0]
        assert {name: row[name] for name in vector} == vector
    assert [event.offset for event in names["why"].events] == [2, 1, 0]
    assert names["why"].predictions[0][:2] == ("fraud-model@1", 0.8)
