"""The gate on contracts: the true ones pass against the baseline, a broken copy does not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASELINE = ROOT / "protos" / "baseline.binpb"
# A field or an enum value: "<indent><type and name> = <number>" up to the options or the end.
NUMBERED = re.compile(r"^( +(?!option\b|reserved\b)[A-Za-z_][\w.<>, ]*= )(\d+)(?=;| \[)", re.MULTILINE)


def buf(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "buf"
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("protos", "third_party/protos"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    return tmp_path


def test_the_contracts_break_no_promise(copy: Path) -> None:
    run = buf(copy, "breaking", "protos", "--against", str(BASELINE))
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_changed_number_is_refused(copy: Path) -> None:
    # A contract of the baseline: one that is new since may still change.
    for contract in sorted((copy / "protos").rglob("*.proto")):
        if contract.relative_to(copy / "protos").as_posix().encode() not in BASELINE.read_bytes():
            continue
        text = contract.read_text(encoding="utf-8")
        broken, changes = NUMBERED.subn(lambda m: f"{m[1]}{int(m[2]) + 700}" if m[2] != "0" else m[0], text)
        if changes:
            contract.write_text(broken, encoding="utf-8")
            break
    else:
        pytest.fail("no contract of the baseline has a number to change")
    run = buf(copy, "breaking", "protos", "--against", str(BASELINE))
    assert run.returncode == 100, run.stdout + run.stderr
    assert "deleted" in run.stdout
