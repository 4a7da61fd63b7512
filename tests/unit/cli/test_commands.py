"""The command line without a mesh: help, options, repositories, and every way to be refused."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from skewless.cli import main as cli
from skewless.cli.answer import Exit
from skewless.cli.repository import Repository
from skewless.local.supervisor import DEFAULT_PORTS

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "cli.md"
HEAVY = ("grpc", "google.protobuf", "pyarrow", "numpy", "rich", "pydantic", "skewless.client", "skewless_kernel")
COMMANDS = ["up", "down", "status", "doctor", "init", "plan", "apply", "diff"]
COMMANDS += ["get", "materialize", "train", "replay", "explain", "deadletter", "key"]


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory, and no settings."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SKEWLESS_")]:
        monkeypatch.delenv(name)


def run(*arguments: str) -> int:
    return cli.main(arguments)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code and the words of a command that fails; nothing is on stdout, and it says the same as JSON."""
    code = run(*arguments)
    plain = capsys.readouterr()
    assert plain.out == ""
    assert plain.err.startswith("skewless: ")
    assert run(*arguments, "--json") == code
    as_json = capsys.readouterr()
    assert as_json.out == ""
    error: dict[str, Any] = json.loads(as_json.err)["error"]
    assert error["exit_code"] == code
    assert error["message"] == plain.err.removeprefix("skewless: ").rstrip("\n")
    return code, error["message"]


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    assert re.findall(r"^  ([a-z]+) +[A-Z]", result.output, re.MULTILINE) == COMMANDS
    assert "..." not in result.output.replace("[ARGS]...", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_takes_json(command: str) -> None:
    own = {"deadletter": ["list", "replay"], "key": ["create", "list", "revoke"]}
    for words in [[command, *([sub] if sub else [])] for sub in own.get(command, [""])]:
        result = CliRunner().invoke(cli.app, [*words, "--help"])
        assert result.exit_code == 0
        assert "--json" in result.output


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == Exit.OK
    assert "Commands:" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    program = "import sys; from skewless.cli.main import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "typer" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_the_exit_codes_are_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.partition("## Exit codes")[2].partition("\n## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == [code.value for code in Exit]
    help_text = CliRunner().invoke(cli.app, ["--help"]).output
    assert all(re.search(rf"\b{code.value} ", help_text) for code in Exit)


def test_the_commands_and_ports_are_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.partition("## Commands")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert list(dict.fromkeys(name for row in rows for name in re.findall(r"`([a-z]+)", row))) == COMMANDS
    services = ("registry", "online", "offline", "stream_agg", "validator")
    assert [DEFAULT_PORTS[name] for name in services] == [50051, 50052, 50053, 50054, 50055]
    assert "| store | 50056 |" in text
    assert "| broker | 9092 |" in text
    assert (DEFAULT_PORTS["store"], DEFAULT_PORTS["broker"]) == (50056, 9092)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "No such command 'fly'"),
        (["get", "--bogus"], "No such option: --bogus"),
        (["train", "fraud"], "Missing argument"),
        (["train", "fraud", "f.csv"], "--out"),
        (["explain", "r", "v:f", "--row", "-1"], "--row"),
        (["up", "--port", "brokr=1"], "'brokr' is no part; there are registry"),
        (["up", "--port", "broker=99999"], "'broker=99999' is not NAME=PORT"),
        (["up", "--sources", "nowhere"], "nowhere is no directory"),
        (["doctor", "--port", "store"], "'store' is not NAME=PORT"),
        (["get", "fraud"], "which project? Give --project NAME"),
        (["plan"], "no skewless.toml"),
        (["apply", "elsewhere"], "`skewless init elsewhere`"),
        (["deadletter", "list"], "Missing argument"),
        (["deadletter", "list", "payments", "--limit", "9" * 30], "--limit"),
        (["init", "Ünder/9"], "is no name of a project"),
    ],
)
def test_bad_input_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    code, message = refused(capsys, *arguments)
    assert code == Exit.BAD_INPUT
    assert words in message


@pytest.mark.parametrize("command", ["status", "get fraud --project shop", "replay --project shop"])
def test_without_a_mesh_both_ways_to_one_are_named(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, message = refused(capsys, *command.split())
    assert code == Exit.NOT_REACHABLE
    assert f"no mesh runs in {Path.cwd() / '.skewless'}" in message
    assert "skewless up" in message
    assert "SKEWLESS_ADDRESS" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("127.0.0.1:50051", "is no service"),
        ("registry=127.0.0.1", "'registry=127.0.0.1' is not NAME=HOST:PORT"),
        ("registry=h:1,onlin=h:2,offline=h:0", "'offline=h:0' is not NAME=HOST:PORT"),
    ],
)
def test_faulty_addresses_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    monkeypatch.setenv("SKEWLESS_ADDRESS", text)
    code, message = refused(capsys, "replay", "--project", "shop")
    assert code == Exit.BAD_INPUT
    assert words in message


def test_an_address_that_is_needed_and_not_given_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKEWLESS_ADDRESS", "registry=127.0.0.1:9")
    code, message = refused(capsys, "get", "fraud", "--project", "shop")
    assert code == Exit.NOT_REACHABLE
    assert "does not name online" in message


def test_a_service_that_does_not_answer_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKEWLESS_ADDRESS", "offline=127.0.0.1:9")
    code = run("replay", "--project", "shop", "--json")
    error = json.loads(capsys.readouterr().err)["error"]
    assert code == error["exit_code"] == Exit.NOT_REACHABLE
    assert error["reason"] == "DEPENDENCY_UNAVAILABLE"
    assert error["retry"] is True
    assert "127.0.0.1:9" in error["message"]


def test_stopping_what_does_not_run_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("down", "--json") == Exit.OK
    assert json.loads(capsys.readouterr().out) == {"stopped": False, "data": str(Path.cwd() / ".skewless")}


def test_what_init_writes_is_about_ten_lines_and_loads(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", "shop", "--json") == Exit.OK
    assert json.loads(capsys.readouterr().out) == {
        "project": "shop",
        "files": ["shop/skewless.toml", "shop/features.py"],
    }
    code = [line for line in Path("shop/features.py").read_text().splitlines() if line and not line.startswith('"""')]
    assert len(code) <= 12
    assert Repository.open(Path("shop")).load().name == "shop"
    assert refused(capsys, "init", "shop")[0] == Exit.BAD_INPUT


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("project = 1", "project must be a text"),
        ("definitions = 'features.py'", "project must be a text"),
        ("project = 'shop'\ncolour = 'red'", "'colour' is no setting"),
        ("project = 'Shop'", "project must match"),
        ("project = ", "is no TOML"),
        ("project = 'shop'\ndefinitions = 'other.py'", "other.py, which is no file"),
        ("project = 'shop'\ndefinitions = 'no.such.module'", "No module named 'no'"),
        ("project = 'shop'\ndefinitions = '../../etc/passwd'", "must be a .py file or a module such as"),
        ("project = 'store'", "defines the project 'shop'"),
    ],
)
def test_a_faulty_repository_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, file: str, words: str, inside: bool
) -> None:
    monkeypatch.setenv("SKEWLESS_ADDRESS", "registry=127.0.0.1:9")
    assert run("init", "shop") == Exit.OK
    capsys.readouterr()
    Path("shop/skewless.toml").write_text(file)
    if inside:
        monkeypatch.chdir("shop")
    code, message = refused(capsys, "plan", *([] if inside else ["shop"]))
    assert code == Exit.BAD_INPUT
    assert words in message
    assert "skewless.toml" in message


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import skewless as sk\n\nuser = sk.Entty('user')\n", r"features.py:3: AttributeError: .*Entty"),
        ("import skewless as sk\nuser = (\n", r"features.py:2: SyntaxError: '\(' was never closed"),
        ("import beside\n", r"beside.py:1: ZeroDivisionError: division by zero"),
        ("import nothing_of_that_name\n", r"features.py:1: ModuleNotFoundError: No module named"),
        ("import sys\nsys.exit(3)\n", r"features.py:2: SystemExit: 3; definitions must not end the program"),
        ("x = 1\n", r"expected one project, found 0"),
        ("import skewless as sk\nproject = sk.Project('shop', sk.Entity('User'))\n", r"the name 'User' must match"),
    ],
)
def test_faulty_definitions_are_told_with_their_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: str, words: str, inside: bool
) -> None:
    monkeypatch.setenv("SKEWLESS_ADDRESS", "registry=127.0.0.1:9")
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    assert run("init", "shop") == Exit.OK
    capsys.readouterr()
    Path("shop/beside.py").write_text("1 / 0\n")
    Path("shop/features.py").write_text(code)
    if inside:
        monkeypatch.chdir("shop")
    found, message = refused(capsys, "plan", *([] if inside else ["shop"]))
    assert found == Exit.BAD_INPUT
    assert re.search(words, message)


def test_what_definitions_print_is_not_in_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", "shop") == Exit.OK
    capsys.readouterr()
    with Path("shop/features.py").open("a") as file:
        file.write("print('loud')\n")
    assert Repository.open(Path("shop")).load().name == "shop"
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "loud\n")


@pytest.mark.parametrize(
    ("out", "words"),
    [("frame.csv", "is to be a .parquet file"), ("frame.parquet", "is the frame itself"),
     ("link.parquet", "is the frame itself"), ("nowhere/t.parquet", "no directory")],
)  # fmt: skip
def test_a_training_set_does_not_go_over_its_frame(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, out: str, words: str
) -> None:
    monkeypatch.setenv("SKEWLESS_ADDRESS", "registry=127.0.0.1:9,offline=127.0.0.1:9")
    Path("frame.parquet").write_bytes(b"kept")
    Path("link.parquet").hardlink_to("frame.parquet")
    code, message = refused(capsys, "train", "fraud", "frame.parquet", "--out", out, "--project", "shop")
    assert code == Exit.BAD_INPUT
    assert words in message
    assert Path("frame.parquet").read_bytes() == b"kept"


def test_doctor_finds_all_that_a_set_up_machine_has(capsys: pytest.CaptureFixture[str]) -> None:
    free = [word for name in DEFAULT_PORTS for word in ("--port", f"{name}=0")]
    code = run("doctor", "--json", *free)
    document = json.loads(capsys.readouterr().out)
    assert [check for check in document["checks"] if not check["ok"]] == []
    assert code == Exit.OK
    names = [check["name"] for check in document["checks"]]
    assert names == ["python", "kernel", "packages", "embedded store", "embedded broker", "data directory", "disk"]


def test_doctor_names_what_is_missing_and_the_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKEWLESS_BROKER_PROGRAM", "/nowhere/broker")
    Path(".skewless").mkdir()
    Path(".skewless/format").write_text("77\n")
    free = [word for name in DEFAULT_PORTS for word in ("--port", f"{name}=0")]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run("doctor", *free, "--port", f"broker={port}") == Exit.NOT_GOOD
    text = capsys.readouterr().out
    assert f"port of broker: {port} is taken by" in text
    assert f"(pid {os.getpid()})" in text
    assert "skewless up --port broker=NUMBER" in text
    assert "embedded broker: [Errno 2] No such file or directory: '/nowhere/broker'" in text
    assert "holds format 77, this version keeps 1" in text
    assert text.endswith("3 missing\n")


def test_what_nobody_foresaw_is_a_fault_of_skewless(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("gone wrong")

    monkeypatch.setattr("skewless.cli.repository.init", broken)
    assert run("init") == Exit.INTERNAL
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert told.endswith("skewless: RuntimeError: gone wrong; this is a fault of Skewless, please report it\n")
    assert run("init", "--json") == Exit.INTERNAL
    assert "gone wrong" in json.loads(capsys.readouterr().err)["error"]["traceback"]


def test_the_entry_point_is_declared() -> None:
    project = (DOCUMENT.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.scripts]\nskewless = "skewless.cli.main:main"' in project
    assert isinstance(typer.main.get_command(cli.app).name, str)
