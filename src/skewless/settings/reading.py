"""Reading settings: the settings file, the environment on top of it, and secrets from files of their own."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import tomllib
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from skewless.settings.declaring import PREFIX, Secret, bare_type, variable
from skewless.settings.service import ServiceSettings

SETTINGS_FILE: Final = PREFIX + "SETTINGS_FILE"
"""The variable that names the settings file; without it there is none."""
_MOST_BYTES: Final = 1 << 20

T = TypeVar("T")


class SettingsError(Exception):
    """File and environment do not make valid settings; the message lists every fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("invalid settings:\n" + "\n".join(f"  {fault}" for fault in faults))
        self.faults = faults


class SecretsAwaitedError(Exception, Generic[T]):
    """All is well but for secrets whose files are not there or empty; they may come.

    awaited: which, by variable and file.
    provisional: the settings, with defaults in their place: enough to log and to say that one waits.
    """

    def __init__(self, awaited: list[str], provisional: T) -> None:
        super().__init__("waiting for " + "; ".join(awaited))
        self.awaited = awaited
        self.provisional = provisional


class _Awaited(Exception):  # noqa: N818 (caught where it is raised from)
    """A secret's file is not there yet, or empty."""


def load(kind: type[T], environ: Mapping[str, str] | None = None) -> T:
    """The settings.

    environ: in place of the process's environment.
    Raises SettingsError with every fault, else SecretsAwaitedError with every secret that is not there yet.
    """
    source = os.environ if environ is None else environ
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    faults: list[str] = []
    awaited: list[str] = []
    values: dict[str, Any] = {}
    file = _settings_file(source.get(SETTINGS_FILE, ""), fields, hints, faults)
    for field in fields:
        try:
            values |= _value(field, _found(field, hints[field.name], source, file))
        except _Awaited as missing:
            awaited.append(str(missing))
        except ValueError as fault:
            faults.append(str(fault))
    if faults:
        raise SettingsError(faults)
    settings = kind(**values)
    if awaited:
        raise SecretsAwaitedError(awaited, settings)
    if isinstance(settings, ServiceSettings) and (faults := list(settings.contradictions())):
        raise SettingsError(faults)
    return settings


def describe(settings: object) -> str:
    """One line per setting: variable, value, what it is. Secrets are masked."""
    return "\n".join(
        f"{variable(field)}={getattr(settings, field.name)!s}  # {field.metadata.get('doc', '')}"
        for field in dataclasses.fields(settings)  # type: ignore[arg-type]
    )


_Place = tuple[str, Callable[[], Any]]
"""Where a value stands, for faults, and what reads it."""


def _value(field: dataclasses.Field[Any], found: list[_Place]) -> dict[str, Any]:
    """The field's value by its name; nothing if its default counts. Raises _Awaited and ValueError, with the place."""
    if len(found) > 1:
        raise ValueError(f"{' and '.join(place for place, _ in found)}: give one of them")
    if not found:
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{variable(field)}: must be set ({field.metadata.get('doc', '')})")
        return {}
    ((place, read),) = found
    try:
        value = read()
    except _Awaited as missing:
        raise _Awaited(f"{place}={missing}") from None
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    check = field.metadata.get("check")
    if check and (fault := check(value)):
        raise ValueError(f"{place}: {fault}, got {value!r}")
    return {field.name: value}


def _found(
    field: dataclasses.Field[Any], hint: Any, environ: Mapping[str, str], file: Mapping[str, _Place]
) -> list[_Place]:
    """The places that give the field, of the source that counts: the environment, else the file."""
    name = variable(field)
    given: list[_Place] = []
    text = environ.get(name)
    if text is not None and (text or hint is str):
        given.append((name, lambda: _parse(text, hint)))
    if hint is Secret and (path := environ.get(f"{name}_FILE")):
        given.append((f"{name}_FILE", lambda: _secret(Path(path))))
    return given or [file[key] for key in (field.name, f"{field.name}_file") if key in file]


def _settings_file(
    path: str, fields: tuple[dataclasses.Field[Any], ...], hints: Mapping[str, Any], faults: list[str]
) -> dict[str, _Place]:
    """The keys of the settings file; what is wrong with it or with its keys is added to the faults."""
    if not path:
        return {}
    try:
        text = _text(Path(path))
        document = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        faults.append(f"{SETTINGS_FILE}={path}: {getattr(error, 'strerror', None) or error}")
        return {}
    secrets = {field.name for field in fields if hints[field.name] is Secret}
    known = {field.name for field in fields if field.name not in secrets} | {f"{name}_file" for name in secrets}
    found: dict[str, _Place] = {}
    for key, value in document.items():
        place = f"{path}: {key}"
        if key in secrets:
            faults.append(f"{place}: is a secret and must not stand here; name a file that has it as {key}_file")
        elif key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; is {near[0]} meant?" if near else f"; there are {', '.join(sorted(known))}"
            faults.append(f"{place}: no such setting{hint}")
        elif key in hints:
            found[key] = place, _reader(_typed, value, hints[key])
        elif isinstance(value, str) and value:
            found[key] = place, _reader(_secret, Path(value))
        else:
            faults.append(f"{place}: expected the path of a file, got {value!r}")
    return found


def _reader(read: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    return lambda: read(*arguments)


def _text(path: Path) -> str:
    """A small file of UTF-8. Raises OSError and ValueError."""
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"is larger than {_MOST_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None


def _secret(path: Path) -> Secret:
    """The secret in a file, without the end of its line. Raises _Awaited and ValueError, neither with its text."""
    if ":/" in str(path):  # of a URL a path has but one slash left
        raise ValueError("expected the path of a file that has the secret, got what looks like the secret itself")
    try:
        text = _text(path).rstrip("\r\n")
    except FileNotFoundError:
        raise _Awaited(f"{path} (no such file)") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if not text:
        raise _Awaited(f"{path} (empty)")
    return Secret(text)


def _typed(value: Any, hint: Any) -> Any:
    """A value of the settings file as the setting's type. Raises ValueError."""
    hint = bare_type(hint)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"expected a list, got {value!r}")
        return tuple(_typed(item, typing.get_args(hint)[0]) for item in value)
    what, kinds = {
        bool: ("true or false", (bool,)),
        int: ("a whole number", (int,)),
        float: ("a number", (int, float)),
    }.get(hint, ("a text", (str,)))
    if not isinstance(value, kinds) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"expected {what}, got {value!r}")
    if isinstance(value, int | float) and hint is not bool:
        value = _finite(value, value)
    return hint(value)


def _parse(text: str, hint: Any) -> Any:
    """A text of the environment as the setting's type. Raises ValueError."""
    hint = bare_type(hint)
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return tuple(_parse(part.strip(), item) for part in text.split(",") if part.strip())
    if hint is bool:
        return _flag(text)
    if hint in {int, float}:
        return _number(text, hint)
    if hint in {str, Path, Secret}:
        return hint(text)
    raise TypeError(f"settings cannot be of type {hint!r}")


def _flag(text: str) -> bool:
    word = text.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError(f"expected true or false, got {text!r}")


def _number(text: str, kind: type[int] | type[float]) -> int | float:
    try:
        value = kind(text.replace("_", ""))
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"expected {what}, got {text!r}") from None
    return _finite(value, text)


def _finite(value: int | float, given: object) -> int | float:
    try:
        finite = math.isfinite(value)
    except OverflowError:  # a whole number beyond all floating-point ones
        finite = False
    if not finite:
        raise ValueError(f"expected a finite number, got {given!r}")
    return value
