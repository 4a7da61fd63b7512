"""The kernel's wheel for images: the release build of this checkout, without what only a debugger reads."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from tools.images.command import run

# The oldest time that an archive can hold, so that equal contents are equal files.
EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def build(root: Path, out: Path) -> Path:
    """Builds the wheel; cargo does nothing if no source changed. Returns it. Raises CommandError."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as fresh:
        maturin = Path(sys.executable).parent / "maturin"
        run(maturin, "build", "--release", "--locked", "--out", fresh, cwd=root / "kernel")
        (wheel,) = Path(fresh).glob("*.whl")
        return repack(wheel, out / wheel.name, root)


def repack(wheel: Path, to: Path, root: Path) -> Path:
    """Copies a wheel: its libraries without line tables (names of functions stay), its bill of materials without
    what differs from build to build and machine to machine. Equal builds are equal files. Raises CommandError."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as target:
        record = next(name for name in source.namelist() if name.endswith(".dist-info/RECORD"))
        lines = []
        for info in source.infolist():
            if info.filename == record:
                continue
            content = source.read(info)
            if info.filename.endswith(".so"):
                content = _stripped(content)
            elif "/sboms/" in info.filename:
                content = _settled(content, root)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.append(f"{info.filename},sha256={digest},{len(content)}\n")
            _write(target, info.filename, content, info.external_attr)
        _write(target, record, "".join([*lines, f"{record},,\n"]).encode(), 0o644 << 16)
    return to


def _stripped(library: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "library.so"
        file.write_bytes(library)
        run("strip", "--strip-debug", file)
        return file.read_bytes()


def _settled(bill: bytes, root: Path) -> bytes:
    """A CycloneDX bill without number, time, and the place of the checkout."""
    told = json.loads(bill.replace(f"path+file://{root}/".encode(), b"path+file:///"))
    told.pop("serialNumber", None)
    told.get("metadata", {}).pop("timestamp", None)
    return json.dumps(told).encode()


def _write(archive: zipfile.ZipFile, name: str, content: bytes, attributes: int) -> None:
    info = zipfile.ZipInfo(name, EPOCH)
    info.external_attr = attributes
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content)
