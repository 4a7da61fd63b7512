"""The commands, their options and their help; `main` runs one and turns failures into words and exit codes."""

from __future__ import annotations

import importlib.util
import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

try:
    import typer
except ImportError:
    sys.exit("skewless: the command line is not installed; pip install 'skewless[cli]', or 'skewless[local]' for all")

from skewless.cli.answer import Answer, CliError, Exit


def _lazy(name: str) -> Any:
    """A module that is imported when something of it is first used."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(name)
    loader = importlib.util.LazyLoader(spec.loader)
    spec.loader = loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    package, _, own = name.rpartition(".")
    setattr(sys.modules[package], own, module)
    loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from skewless.cli import deadletters, finding, history, keys, mesh, repository, serving
    from skewless.cli import doctor as doctoring
else:
    repository = _lazy("skewless.cli.repository")
    finding = _lazy("skewless.cli.finding")
    mesh = _lazy("skewless.cli.mesh")
    doctoring = _lazy("skewless.cli.doctor")
    serving = _lazy("skewless.cli.serving")
    history = _lazy("skewless.cli.history")
    deadletters = _lazy("skewless.cli.deadletters")
    keys = _lazy("skewless.cli.keys")

_EPILOG = (
    "Exit codes: 0 done; 1 done, but something is not as it should be (differences, an unhealthy part, a refused "
    "change); 2 bad input; 3 no mesh, or a part of it does not answer; 4 a mesh runs already; 5 the mesh could not be "
    "started; 70 a fault of Skewless itself; 130 interrupted."
)

app = typer.Typer(
    name="skewless",
    help="A feature store that serves, trains and replays the very same values.",
    epilog=_EPILOG,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
deadletter = typer.Typer(help="List refused records, or send them again.", rich_markup_mode=None)
app.add_typer(deadletter, name="deadletter")
key = typer.Typer(help="Make, list or revoke API keys of the online service.", rich_markup_mode=None)
app.add_typer(key, name="key")

Data = Annotated[Path, typer.Option("--data", envvar="SKEWLESS_DATA", help="Data directory of the mesh.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; errors as JSON on stderr.")]
Project = Annotated[
    str | None, typer.Option("--project", help="Project; else SKEWLESS_PROJECT, else that of ./skewless.toml.")
]
Directory = Annotated[Path, typer.Argument(help="Directory with skewless.toml.")]
Ports = Annotated[list[str], typer.Option("--port", help="NAME=PORT of a part, repeated; 0 takes a free one.")]
HERE = Path()
DATA = Path(".skewless")


def _say(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer.document, ensure_ascii=False))
    elif answer.text:
        typer.echo(answer.text)


def _finish(answer: Answer, *, as_json: bool) -> None:
    _say(answer, as_json=as_json)
    raise typer.Exit(answer.code)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version  # noqa: PLC0415 (slow, and needed here only)

        typer.echo(f"skewless {version('skewless')}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """A feature store that serves, trains and replays the very same values."""


@app.command()
def up(
    *,
    data: Data = DATA,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and stop on Ctrl-C.")] = False,
    port: Ports = [],  # noqa: B006 (typer copies it)
    sources: Annotated[
        Path | None,
        typer.Option("--sources", help="Where paths of batch sources begin; else as ./skewless.toml says, else here."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start the mesh on this machine.

    Store, broker and all services, in the background. Returns when every part answers.
    """
    asked = mesh.order(data.resolve(), sources, port)
    if foreground:
        _finish(mesh.up_here(asked, lambda answer: _say(answer, as_json=as_json)), as_json=False)
    _finish(mesh.up(asked, quiet=as_json), as_json=as_json)


@app.command()
def down(
    data: Data = DATA,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait.")] = 60.0,
    as_json: Json = False,
) -> None:
    """Stop the mesh in order. Data stay."""
    _finish(mesh.down(data.resolve(), timeout), as_json=as_json)


@app.command()
def status(data: Data = DATA, as_json: Json = False) -> None:
    """Show how the parts and the streams are.

    Exit code 1 if a part does not answer, a stream is stopped or the disk is full.
    """
    state, addresses = mesh.find(data.resolve())
    with finding.open_store(data.resolve(), "") as store:
        _finish(mesh.status(data.resolve(), store, state, addresses), as_json=as_json)


@app.command()
def doctor(data: Data = DATA, port: Ports = [], as_json: Json = False) -> None:  # noqa: B006 (likewise)
    """Name what this machine lacks.

    Python, kernel, packages, embedded store and broker, ports, data directory, disk. Exit code 1 if any is missing.
    """
    _finish(doctoring.doctor(data.resolve(), port), as_json=as_json)


@app.command()
def init(
    directory: Directory = HERE,
    project: Annotated[str | None, typer.Option("--project", help="Its name; else the directory's.")] = None,
    as_json: Json = False,
) -> None:
    """Write a small feature repository."""
    _finish(repository.init(directory, project), as_json=as_json)


@app.command()
def plan(directory: Directory = HERE, data: Data = DATA, as_json: Json = False) -> None:
    """Show what applying would change. Changes nothing; exit code 1 if something would be refused."""
    found = repository.Repository.open(directory)
    with finding.open_store(data.resolve(), found.project, "registry") as store:
        _finish(repository.plan(found, store), as_json=as_json)


@app.command()
def apply(
    *,
    directory: Directory = HERE,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Apply the definitions: all of them or none. Asks first on a terminal."""
    found = repository.Repository.open(directory)
    with finding.open_store(data.resolve(), found.project, "registry") as store:
        prepared = repository.prepare(found, store)
        if not (yes or as_json) and repository.applicable(prepared[1]) and sys.stdin.isatty():
            typer.echo(repository.summary(prepared[1]))
            if not typer.confirm("Apply?"):
                _finish(Answer({}, "not applied", Exit.NOT_GOOD), as_json=False)
        _finish(repository.apply(found, store, prepared, reason), as_json=as_json)


@app.command()
def diff(directory: Directory = HERE, data: Data = DATA, as_json: Json = False) -> None:
    """Show where definitions and registry differ.

    Exit code 1 if they do.
    """
    found = repository.Repository.open(directory)
    with finding.open_store(data.resolve(), found.project, "registry") as store:
        _finish(repository.diff(found, store), as_json=as_json)


@app.command()
def get(
    *,
    service: Annotated[str | None, typer.Argument(help="Feature service, name@1.0.0; a bare name: the newest.")] = None,
    feature: Annotated[list[str], typer.Option("--feature", help="view@1.0.0:name instead, repeated.")] = [],  # noqa: B006
    entity: Annotated[list[str], typer.Option("--entity", "-e", help="KEY=VALUE of an entity, repeated.")] = [],  # noqa: B006
    request: Annotated[list[str], typer.Option("--request", "-r", help="FIELD=VALUE, repeated; empty: null.")] = [],  # noqa: B006
    at: Annotated[str | None, typer.Option("--at", help="The time it is about, with a zone; else now.")] = None,
    project: Project = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Get a feature vector, as a model gets it."""
    with finding.project_store(data.resolve(), project, "registry", "online") as store:
        _finish(serving.get(store, service, features=feature, entities=entity, request=request, at=at), as_json=as_json)


@app.command()
def materialize(
    *,
    view: Annotated[str, typer.Argument(help="Batch view, name@1.0.0; a bare name: the newest.")],
    as_of: Annotated[str | None, typer.Option("--as-of", help="Up to this time, with a zone; else now.")] = None,
    project: Project = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Bring a batch view up to date and online."""
    with finding.project_store(data.resolve(), project, "registry", "offline") as store:
        _finish(history.materialize(store, view, as_of, quiet=as_json), as_json=as_json)


@app.command()
def train(
    *,
    service: Annotated[str, typer.Argument(help="Feature service, name@1.0.0; a bare name: the newest.")],
    frame: Annotated[Path, typer.Argument(help="Entities and times, .parquet or .csv.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The Parquet file to write.")],
    as_served: Annotated[bool, typer.Option("--as-served", help="Values as served to each request_id.")] = False,
    with_statuses: Annotated[bool, typer.Option("--with-statuses", help="A status column per feature.")] = False,
    time_column: Annotated[str, typer.Option("--time-column", help="Column of request times.")] = "request_time",
    project: Project = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Pull a training set.

    The rows of a frame, with the features as they were at each row's time.
    """
    with finding.project_store(data.resolve(), project, "registry", "offline") as store:
        answer = history.train(
            store, service, frame, out,
            as_served=as_served, with_statuses=with_statuses, time_column=time_column, quiet=as_json,
        )  # fmt: skip
        _finish(answer, as_json=as_json)


@app.command()
def replay(
    *,
    since: Annotated[str | None, typer.Option("--from", help="Served at or after this time.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Served before this time.")] = None,
    request_id: Annotated[list[str], typer.Option("--request-id", help="Only this request, repeated.")] = [],  # noqa: B006
    project: Project = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Compute served vectors again and compare.

    Bit by bit; exit code 1 if any differs.
    """
    with finding.project_store(data.resolve(), project, "offline") as store:
        _finish(history.replay(store, request_id, since, until, quiet=as_json), as_json=as_json)


@app.command()
def explain(
    *,
    request_id: Annotated[str, typer.Argument(help="The request, as `get` shows it.")],
    feature: Annotated[str, typer.Argument(help="view:feature.")],
    row: Annotated[int, typer.Option("--row", min=0, help="Row of the request.")] = 0,
    max_events: Annotated[int, typer.Option("--max-events", min=0, max=10_000, help="0: 100.")] = 0,
    project: Project = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Say what one served value was made of."""
    with finding.project_store(data.resolve(), project, "offline") as store:
        _finish(history.explain(store, request_id, feature, row, max_events), as_json=as_json)


Source = Annotated[str, typer.Argument(help="The source, by its name in the definitions.")]


@deadletter.command("list")
def list_letters(
    *,
    source: Source,
    reason: Annotated[str | None, typer.Option("--reason", help="Only those of this reason.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")] = 100,
    project: Project = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List the refused records of a source, oldest first."""
    with finding.project_store(data.resolve(), project, "stream_agg") as store:
        _finish(deadletters.listed(store, source, reason, limit), as_json=as_json)


@deadletter.command("replay")
def replay_letters(
    *,
    source: Source,
    at: Annotated[list[str], typer.Option("--at", help="EPOCH/PARTITION/OFFSET of a letter, repeated.")] = [],  # noqa: B006
    reason: Annotated[str | None, typer.Option("--reason", help="All letters of this reason.")] = None,
    project: Project = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Send refused records to their source again.

    As new events, each letter once, unless the service dies meanwhile; a record that is refused again is a new letter.
    """
    with finding.project_store(data.resolve(), project, "stream_agg") as store:
        _finish(deadletters.replayed(store, source, at, reason), as_json=as_json)


@key.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What it is called, for people.")],
    *,
    service: Annotated[list[str], typer.Option("--service", help="Only this feature service, repeated.")] = [],  # noqa: B006
    expires_in: Annotated[
        str | None, typer.Option("--expires-in", help="How long it holds, such as 90d or 12h.")
    ] = None,
    project: Project = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Make a key of a project and show it, once."""
    with finding.project_store(data.resolve(), project, "registry") as store:
        _finish(keys.created(store, name, service, expires_in), as_json=as_json)


@key.command("list")
def list_keys(*, project: Project = None, data: Data = DATA, as_json: Json = False) -> None:
    """List the keys of a project, revoked and expired ones too."""
    with finding.project_store(data.resolve(), project, "registry") as store:
        _finish(keys.listed(store), as_json=as_json)


@key.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `skewless key list` shows it.")],
    *,
    project: Project = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """End a key; servers refuse it some seconds later."""
    with finding.project_store(data.resolve(), project, "registry") as store:
        _finish(keys.revoked(store, key_id), as_json=as_json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code; failures are told on stderr, one line or one JSON document."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    as_json = "--json" in given
    try:
        code = app(given, prog_name="skewless", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads any more, e.g. `| head`
        sys.stdout = open("/dev/null", "w", encoding="utf-8")  # noqa: PTH123, SIM115 (for the flush at exit)
        return Exit.OK
    except (KeyboardInterrupt, typer.Abort):
        return _failed("interrupted", Exit.INTERRUPTED, {}, as_json=as_json)
    except typer.TyperException as error:
        return _usage(error, as_json=as_json)
    except CliError as error:
        return _failed(error.message, error.code, error.document, as_json=as_json)
    except Exception as error:  # noqa: BLE001 (the last place that can tell it)
        return _failed(*_told(error), as_json=as_json)
    return int(code or Exit.OK)


def _usage(error: typer.TyperException, *, as_json: bool) -> int:
    words = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    if words and context is not None:
        words = f"{words.rstrip('.')}; see `{context.command_path} --help`"
    return _failed(words, Exit.BAD_INPUT, {}, as_json=as_json)


def _told(error: Exception) -> tuple[str, Exit, dict[str, Any]]:
    """The words, the exit code and more about a failure; one that nobody foresaw is shown with its traceback."""
    from skewless.errors import Fault, SkewlessError  # noqa: PLC0415 (only when something has failed)
    from skewless.local.ports import LocalError  # noqa: PLC0415

    if isinstance(error, LocalError):
        return str(error), Exit.NOT_STARTED, {}
    if not isinstance(error, SkewlessError):
        words = f"{type(error).__name__}: {error}; this is a fault of Skewless, please report it"
        return words, Exit.INTERNAL, {"traceback": traceback.format_exc()}
    code = {Fault.USER: Exit.BAD_INPUT, Fault.EXTERNAL: Exit.NOT_REACHABLE, Fault.INTERNAL: Exit.INTERNAL}[error.fault]
    document = {
        "reason": error.reason.value,
        "retry": error.retry,
        "violations": [{"path": v.path, "message": v.message, "reason": v.reason} for v in error.violations],
    }
    return "; ".join([str(error), *getattr(error, "__notes__", [])]), code, document


def _failed(message: str, code: Exit, document: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        typer.echo(json.dumps({"error": {"message": message, "exit_code": int(code), **document}}), err=True)
    else:
        typer.echo(f"{document.get('traceback', '')}skewless: {message}", err=True)
    return code
