"""A feature repository: a directory with ``skewless.toml`` and definitions; ``init``, ``plan``, ``apply``, ``diff``."""

from __future__ import annotations

import contextlib
import re
import sys
import tomllib
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from skewless.cli.answer import Answer, CliError, Exit, table

if TYPE_CHECKING:
    from skewless.client import Plan, Store
    from skewless.definitions.project import Project

FILE: Final = "skewless.toml"
_KNOWN: Final = {"project", "definitions", "sources"}
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MODULE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_TOML: Final = """\
# Which project this directory defines; `skewless plan` and `skewless apply` read it.
project = "{project}"
# The file (or module) with the definitions, from here.
definitions = "features.py"
# The directory that relative paths of batch sources begin at, from here.
sources = "."
"""

_FEATURES: Final = '''\
"""What a payment is, and what a model of fraud wants to know about it."""

import skewless as sk

user = sk.Entity("user", keys={{"user_id": "string"}})
columns = {{"at": "timestamp", "user_id": "string", "amount": "float64"}}
payments = sk.StreamSource("payments", topic="payments", record_key=["user_id"], event_time="at", columns=columns)
aggregates = [sk.count("n", windows=["1h"]), sk.avg("usual", "amount", windows=["1h", "7d"])]
spending = sk.StreamFeatureView("spending", entity=user, source=payments, features=aggregates)
inputs = {{"usual": spending["usual_7d"]}}
request = sk.RequestSource({{"amount": "float64"}})
ratio = sk.OnDemandFeatureView("ratio", request=request, inputs=inputs, features={{"ratio": "amount / usual"}})
project = sk.Project("{project}", sk.FeatureService("fraud", features=[spending, ratio]))
'''


@dataclass(frozen=True)
class Repository:
    """What ``skewless.toml`` says."""

    directory: Path
    project: str
    definitions: str
    sources: Path

    @classmethod
    def find(cls, directory: Path) -> Repository | None:
        """The repository in a directory; None if there is no ``skewless.toml``. Raises CliError if it is faulty."""
        path = directory / FILE
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise CliError(f"{path} cannot be read: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise CliError(f"{path} is no TOML: {error}") from error
        faults = [f"{name!r} is no setting" for name in document if name not in _KNOWN]
        values = {"definitions": "features.py", "sources": ".", **document}
        faults += [f"{name} must be a text" for name in sorted(_KNOWN) if not isinstance(values.get(name), str)]
        if isinstance(values.get("project"), str) and not _NAME.fullmatch(values["project"]):
            faults.append(f"project must match {_NAME.pattern}, got {values['project']!r}")
        named = values["definitions"]
        if isinstance(named, str) and not named.endswith(".py") and not _MODULE.fullmatch(named):
            faults.append(f"definitions must be a .py file or a module such as shop.features, got {named!r}")
        if faults:
            raise CliError(f"{path}: {'; '.join(faults)}; it has {', '.join(sorted(_KNOWN))}")
        return cls(directory, values["project"], values["definitions"], (directory / values["sources"]).resolve())

    @classmethod
    def open(cls, directory: Path) -> Repository:
        """The repository in a directory. Raises CliError if there is none."""
        found = cls.find(directory)
        if found is None:
            raise CliError(f"there is no {FILE} in {directory.resolve()}; make one with `skewless init {directory}`")
        return found

    def load(self) -> Project:
        """The definitions; what they print goes to stderr.

        Raises CliError for what is wrong in the file, and InvalidDefinitionError.
        """
        from skewless.definitions.loading import load  # noqa: PLC0415 (pulls the kernel in)

        target: str | Path = self.definitions
        if self.definitions.endswith(".py"):
            target = self.directory / self.definitions
            if not target.is_file():
                raise CliError(f"{self.directory / FILE} names the definitions {target}, which is no file")
        sys.path.insert(0, str(self.directory.resolve()))  # files beside it can be imported
        try:
            with contextlib.redirect_stdout(sys.stderr):
                project = load(target)
        except SystemExit as error:
            where = _in_own_code(error, self.directory) or self.definitions
            raise CliError(
                f"{where}: SystemExit: {error}; definitions must not end the program, take the exit out"
            ) from error
        except Exception as error:
            if where := _in_own_code(error, self.directory):
                raise CliError(f"{where}: {type(error).__name__}: {error}") from error
            if isinstance(error, ModuleNotFoundError):
                raise CliError(
                    f"{self.directory / FILE} names the definitions {self.definitions!r}: {error}"
                ) from error
            raise
        finally:
            sys.path.pop(0)
        if project.name != self.project:
            raise CliError(
                f"{self.definitions} defines the project {project.name!r}, and {self.directory / FILE} says "
                f"{self.project!r}; make them one"
            )
        return project


def _in_own_code(error: BaseException, directory: Path) -> str:
    """``file:line`` of the user's code that an error comes from; empty if it comes from elsewhere."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    root = directory.resolve()
    files = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    frames = [f for f in files if Path(f.filename).resolve().is_relative_to(root)]
    own = [f for f in frames if ".venv" not in Path(f.filename).parts and "site-packages" not in Path(f.filename).parts]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""


def init(directory: Path, project: str | None) -> Answer:
    """Writes a repository whose definitions apply as they are."""
    name = project or re.sub(r"[^a-z0-9_]", "_", directory.resolve().name.lower())
    if not _NAME.fullmatch(name):
        raise CliError(f"{name!r} is no name of a project, which must match {_NAME.pattern}; give --project NAME")
    files = {FILE: _TOML.format(project=name), "features.py": _FEATURES.format(project=name)}
    if there := [file for file in files if (directory / file).exists()]:
        raise CliError(f"{directory / there[0]} is there already; give another directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (directory / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"{error.filename or directory} cannot be written: {error.strerror}") from error
    written = [str(directory / file) for file in files]
    return Answer({"project": name, "files": written}, "\n".join([*written, f"next: skewless apply {directory}"]))


def plan(repository: Repository, store: Store) -> Answer:
    """What applying would change."""
    found = store.plan(repository.load())
    code = Exit.NOT_GOOD if found.refused else Exit.OK
    return Answer(_document(repository, found), _text(found, "would be "), code)


def prepare(repository: Repository, store: Store) -> tuple[Project, Plan]:
    """The definitions, and what applying them would change."""
    project = repository.load()
    return project, store.plan(project)


def applicable(found: Plan) -> bool:
    """Whether applying would change something, and would not be refused."""
    return not found.refused and any(change.kind != "unchanged" for change in found.changes)


def summary(found: Plan) -> str:
    """A plan for people."""
    return _text(found, "would be ")


def apply(repository: Repository, store: Store, prepared: tuple[Project, Plan], reason: str) -> Answer:
    """Applies what was planned; nothing else can have come between."""
    project, planned = prepared
    done = store.apply(project, reason=reason, after=planned)
    return Answer(_document(repository, done), _text(done, ""))


def diff(repository: Repository, store: Store) -> Answer:
    """Where definitions and registry differ, either way."""
    own = repository.load().definitions()
    changes = [change for change in store.plan(own).changes if change.kind != "unchanged"]
    names = {definition.place for definition in own}
    lost = [definition for definition in store.list_definitions() if definition.place not in names]
    marks = {"add": "+", "describe": "~", "refused": "!"}
    lines = []
    for change in changes:
        lines.append(f"{marks[change.kind]} {change.definition.kind.words} {change.definition.ref}")
        lines += [f"    {difference}" for difference in change.differences]
    lines += [f"- {definition.kind.words} {definition.ref}" for definition in lost]
    document = {
        "project": repository.project,
        "changes": [_change(change) for change in changes],
        "only_in_registry": [{"kind": definition.kind.value, "ref": definition.ref} for definition in lost],
    }
    equal = not lines
    return Answer(document, "\n".join(lines) or "no difference", Exit.OK if equal else Exit.NOT_GOOD)


def _change(change: Any) -> dict[str, Any]:
    return {
        "change": change.kind,
        "kind": change.definition.kind.value,
        "ref": change.definition.ref,
        "differences": list(change.differences),
        "next_version": change.next_version,
        "state_bytes_per_key": change.state_bytes_per_key,
    }


def _document(repository: Repository, found: Plan) -> dict[str, Any]:
    return {
        "project": repository.project,
        "revision": found.revision,
        "changes": [_change(change) for change in found.changes],
    }


def _text(found: Plan, would: str) -> str:
    words = {
        "add": f"{would}added",
        "describe": f"{would}described anew",
        "unchanged": "unchanged",
        "refused": "refused",
    }
    rows = [
        (words[change.kind], change.definition.kind.words, change.definition.ref, change.state_bytes_per_key or None)
        for change in found.changes
    ]
    lines = [table(("change", "kind", "definition", "bytes per key"), rows)]
    for change in found.refused:
        lines.append(f"{change.definition.ref} would change its meaning; give it the version {change.next_version}:")
        lines += [f"    {difference}" for difference in change.differences]
    return "\n".join([*lines, f"revision {found.revision}"])
