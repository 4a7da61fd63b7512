"""Generates the Python stubs of the contracts: messages, gRPC and their types.

    python -m tools.protogen [--out SRC]

Reads ``protos/`` and ``third_party/protos/``; writes, below SRC (``src/`` by default),
``skewless/api/<area>/v1/*`` and ``buf/validate/*``. Proto package paths are Python package paths, so the
generated imports work as they are. The stubs of ``google.rpc`` come from googleapis-common-protos; those of
``buf.validate`` come from no package, and ``buf`` stays a namespace package so that others may share it.
Output appears in place only when all of it was generated.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN = ROOT / "protos"
VENDORED = ROOT / "third_party" / "protos"
VENDORED_TO_GENERATE = ("buf/validate/validate.proto",)


class GenerationError(Exception):
    """The protobuf compiler refused the contracts; it has said why on stderr."""


def generate(out: Path, own: Path = OWN) -> None:
    """Writes the stubs of all contracts in ``own`` below ``out``, replacing earlier ones."""
    contracts = sorted(str(p.relative_to(own)) for p in own.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        _protoc(fresh, own, [*contracts, *VENDORED_TO_GENERATE], services=False)
        _protoc(fresh, own, [c for c in contracts if _has_service(own / c)], services=True)
        api = fresh / "skewless" / "api"
        api.mkdir(parents=True, exist_ok=True)
        for folder in [api, *(p for p in api.rglob("*") if p.is_dir())]:
            name = ".".join(folder.relative_to(fresh).parts)
            (folder / "__init__.py").write_text(f'"""Generated from protos/: {name}."""\n', encoding="utf-8")
        _replace(api, out / "skewless" / "api")
        _replace(fresh / "buf" / "validate", out / "buf" / "validate")


def _has_service(contract: Path) -> bool:
    lines = contract.read_text(encoding="utf-8").splitlines()
    return any(line.startswith("service ") for line in lines)


def _protoc(out: Path, own: Path, files: list[str], *, services: bool) -> None:
    if not files:
        return
    # Imported here: this module is also read where only the build's own requirements exist.
    from grpc_tools import protoc  # noqa: PLC0415

    well_known = Path(protoc.__file__).parent / "_proto"
    if services:
        plugin = _plugin("protoc-gen-mypy_grpc")
        outputs = [
            f"--grpc_python_out={out}",
            f"--plugin=protoc-gen-mypy_grpc={plugin}",
            f"--mypy_grpc_out=quiet:{out}",
        ]
    else:
        outputs = [f"--python_out={out}", f"--pyi_out={out}"]
    arguments = ["protoc", f"-I{own}", f"-I{VENDORED}", f"-I{well_known}", *outputs, *files]
    if protoc.main(arguments) != 0:
        raise GenerationError(f"the contracts do not compile: {' '.join(arguments)}")


def _plugin(name: str) -> Path:
    """The plugin that belongs to the running interpreter, wherever PATH points."""
    for folder in (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent):
        if (folder / name).is_file():
            return folder / name
    found = shutil.which(name)
    if found is None:
        raise GenerationError(f"{name} is missing; it comes with the package mypy-protobuf")
    return Path(found)


def _replace(fresh: Path, target: Path) -> None:
    """Puts a freshly generated folder in place, leaving files that did not change untouched."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = {p.relative_to(fresh) for p in fresh.rglob("*") if p.is_file()}
    for old in sorted(target.rglob("*"), reverse=True):
        if old.is_file() and old.relative_to(target) not in wanted:
            old.unlink()
        elif old.is_dir() and not any(old.iterdir()):
            old.rmdir()
    for name in sorted(wanted):
        source, destination = fresh / name, target / name
        if destination.is_file() and destination.read_bytes() == source.read_bytes():
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, destination)


def main() -> int:
    parser = argparse.ArgumentParser(description="Generate the Python stubs of the contracts.")
    parser.add_argument("--out", type=Path, default=ROOT / "src", help="folder that receives the packages")
    try:
        generate(parser.parse_args().out)
    except GenerationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
