"""What the suite is made of, without a cluster: it must not pass because it looked away."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.k8s import guide, images
from tests.k8s.checks import Checks, Step
from tests.k8s.shell import CommandError, SuiteError, eventually, run


def tar(path: Path, **members: Any) -> None:
    with tarfile.open(path, "w") as archive:
        for name, document in members.items():
            content = json.dumps(document).encode()
            info = tarfile.TarInfo(f"{name}.json")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def image_tars(directory: Path, name: str = "docker.io/skewless/{part}:abc") -> None:
    for part in images.PARTS:
        tar(directory / f"{part}.tar", manifest=[{"RepoTags": [name.format(part=part)]}])


def failing() -> None:
    raise SuiteError("it is not so")


def broken() -> None:
    raise ZeroDivisionError


def test_what_cannot_be_checked_counts_as_failed(capsys: pytest.CaptureFixture[str]) -> None:
    checks, taken = Checks(), list[str]()
    assert checks.run([Step("a", lambda: taken.append("a")), Step("b", failing), Step("c", broken)])
    assert not checks.run(
        [Step("d", failing, vital=True), Step("e", lambda: taken.append("e")), Step("f", lambda: None)]
    )
    assert taken == ["a"]
    assert [bool(outcome.fault) for outcome in checks.outcomes] == [False, True, True, True, True, True]
    assert "needs: d" in checks.outcomes[-1].fault
    assert "ZeroDivisionError" in checks.outcomes[2].fault
    assert checks.closing_line().startswith("=== 1 passed, 5 failed in ")
    assert "it is not so" in capsys.readouterr().out


def test_images_are_known_by_what_their_tars_say(tmp_path: Path) -> None:
    image_tars(tmp_path)
    annotations = {"io.containerd.image.name": "docker.io/skewless/cli:abc"}
    tar(tmp_path / "cli.tar", index={"manifests": [{"annotations": annotations}]})
    found = images.found_in(tmp_path)
    assert (found.repository, found.tag) == ("skewless", "abc")
    assert found.by_part["trial-kafka"].name == "skewless/trial-kafka:abc"
    assert set(found.sizes()) == set(images.PARTS)
    found.load("test -s")
    with pytest.raises(CommandError, match="ended with 1"):
        found.load("test -d")


def test_images_that_are_not_of_one_commit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"lacks registry\.tar, .*: run `make images`"):
        images.found_in(tmp_path)
    image_tars(tmp_path, "registry.example.com:5000/features/{part}:1")
    assert images.found_in(tmp_path).repository == "registry.example.com:5000/features"
    tar(tmp_path / "online.tar", manifest=[{"RepoTags": ["registry.example.com:5000/features/online:2"]}])
    with pytest.raises(SuiteError, match="not of one kind"):
        images.found_in(tmp_path)
    tar(tmp_path / "online.tar", manifest=[{"RepoTags": ["features/offline:1"]}])
    with pytest.raises(SuiteError, match="no image whose name ends with /online:TAG, but features/offline:1"):
        images.found_in(tmp_path)


def test_the_guide_has_commands_for_any_namespace() -> None:
    commands = guide.in_guide("elsewhere")
    assert commands.count("--namespace elsewhere ") >= 3
    assert f"--namespace {guide.NAMESPACE}" not in commands
    assert "skewless apply" in commands
    notes = "THIS IS A TRIAL.\n\nThe first feature:\n\n  skewless get a\n\n`helm -n x uninstall y` leaves nothing.\n"
    assert guide.in_notes(notes).strip() == "skewless get a"
    with pytest.raises(SuiteError, match="no commands"):
        guide.in_notes("Welcome.\n")


def test_a_command_that_fails_or_takes_too_long_is_told_with_its_words() -> None:
    assert run(["cat"], stdin=b"abc") == "abc"
    with pytest.raises(CommandError, match="ended with 3: no such thing"):
        run(["sh", "-c", "echo no such thing >&2; exit 3"])
    with pytest.raises(CommandError, match=r"longer than 0\.2 s"):
        run(["sleep", "5"], timeout_s=0.2)
    with pytest.raises(CommandError, match="cannot be run"):
        run(["/no/such/program"])


def test_waiting_ends_with_how_things_stand() -> None:
    tries = iter([None, None, "there"])
    assert eventually("it comes", lambda: next(tries), within_s=5, every_s=0.01) == "there"
    begun = time.monotonic()
    with pytest.raises(SuiteError, match=r"not within 0\.1 s: it comes; it is late"):
        eventually("it comes", lambda: None, within_s=0.1, every_s=0.02, state=lambda: "it is late")
    assert time.monotonic() - begun < 2
