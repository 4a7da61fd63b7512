"""The doors stand open to the pyarrow 16 of a Flink environment, which is beside the kernel and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import rfc8785
import skewless_kernel

from skewless import kernel
from tests.kernel.test_arrow_doors import GOLDEN, asked, events

HERE = Path(__file__).with_name("old_arrow")
UV = Path(__file__).resolve().parents[2] / ".tools/uv/bin/uv"
READ = ["entity_id", "event_time_us", "partition", "offset", "c_x", "c_s"]


@pytest.mark.long
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="there is no wheel of pyarrow 16 for this Python")
def test_a_frame_through_an_old_pyarrow(tmp_path: Path) -> None:
    meaning = json.loads(json.dumps(GOLDEN["meaning"]))
    meaning["features"] = [f for f in meaning["features"] if f["column"] in {None, "x", "s"}]
    own, rows = events().select(READ), asked()
    given = tmp_path / "given.json"
    text = rfc8785.dumps(meaning)
    given.write_text(json.dumps({"meaning": text.decode(), "events": own.to_pydict(), "rows": rows.to_pydict()}))

    target = tmp_path / "site"
    install = [str(UV), "pip", "install", "--quiet", "--target", str(target)]
    packages = ["--requirement", str(HERE / "requirements.txt"), "--python", sys.executable]
    subprocess.run([*install, *packages], check=True)
    (target / "skewless_kernel").symlink_to(Path(skewless_kernel.__file__).parent)
    run = subprocess.run(
        [sys.executable, "-S", HERE / "frame.py", given],
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    got = json.loads(run.stdout)
    assert got["pyarrow"] == "16.1.0"
    wanted = json.loads(json.dumps(pa.table(kernel.StreamView(text).frame(own, rows)).to_pydict(), default=str))
    assert got["answers"] == [wanted] * 4
