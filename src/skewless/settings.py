"""Settings of a service: one frozen dataclass, read from the environment once, at the start.

    @dataclass(frozen=True)
    class Settings(ServiceSettings):
        listen: str = setting("127.0.0.1:0", "address to listen on")
        database_url: Secret = setting(Secret("sqlite:///registry.db"), "where the catalogue is kept")

    settings = load(Settings)

The field ``listen`` is read from ``SKEWLESS_LISTEN``. Every fault is reported at once.
Secrets are not shown.
"""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

PREFIX = "SKEWLESS_"

T = TypeVar("T")


class SettingsError(Exception):
    """The environment does not make valid settings; the message lists every fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("invalid settings:\n" + "\n".join(f"  {fault}" for fault in faults))
        self.faults = faults


class Secret:
    """A text that is not shown."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; never log it."""
        return self._text

    def __repr__(self) -> str:
        return "'***'"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def setting(
    default: Any = dataclasses.MISSING,
    doc: str = "",
    *,
    env: str | None = None,
    check: Callable[[Any], str | None] | None = None,
) -> Any:
    """A field of settings.

    default: its value when the variable is not set; without one the variable must be set.
    doc: what it is, with its unit.
    env: the variable's name if it is not the field's name in capitals behind ``SKEWLESS_``.
    check: gives what is wrong with a value, or None.
    """
    return dataclasses.field(default=default, metadata={"doc": doc, "env": env, "check": check})


def at_least(least: float) -> Callable[[Any], str | None]:
    """A check that a number is not below ``least``."""
    return lambda value: None if value >= least else f"must be at least {least}"


def one_of(*words: str) -> Callable[[str], str | None]:
    """A check that a text is one of ``words``, in capitals or not."""
    return lambda value: None if value.upper() in words else f"must be one of {', '.join(words)}"


def _endpoint_fault(url: str) -> str | None:
    """What is wrong with the address of a collector."""
    if url and not url.startswith(("http://", "https://")):
        return "must be a URL with http(s)"
    if "@" in url:
        return "must be without user and password, which gRPC does not take there; see OTEL_EXPORTER_OTLP_HEADERS"
    return None


@dataclasses.dataclass(frozen=True)
class ServiceSettings:
    """What every service is told at its start."""

    ready_file: Path | None = setting(None, "file that gets `host:port` once the service answers; empty: none")
    log_level: str = setting("INFO", "DEBUG, INFO, WARNING or ERROR", check=one_of("DEBUG", "INFO", "WARNING", "ERROR"))
    log_format: str = setting("text", "text, or json: an object a line", check=one_of("TEXT", "JSON"))
    otlp_endpoint: Secret = setting(
        Secret(""),
        "where traces are sent by OTLP over gRPC, as http://host:port or https://host:port; empty: nowhere",
        check=lambda url: _endpoint_fault(url.reveal()),
    )
    spans_file: Path | None = setting(None, "file that spans are appended to, a JSON object a line; empty: none")
    trace_ratio: float = setting(
        0.01,
        "share of the traces begun here that are kept, 0 to 1; those that callers keep are always continued",
        check=lambda value: None if 0 <= value <= 1 else "must be from 0 to 1",
    )
    metrics_listen: str = setting("", "address of the Prometheus endpoint; port 0: any free one; empty: none")
    metrics_file: Path | None = setting(None, "file that gets `host:port` of the Prometheus endpoint; empty: none")

    @property
    def traced(self) -> bool:
        """Whether spans go anywhere."""
        return bool(self.otlp_endpoint.reveal() or self.spans_file)


def load(kind: type[T], environ: Mapping[str, str] | None = None) -> T:
    """The settings from the environment. Raises SettingsError with every fault."""
    source = os.environ if environ is None else environ
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        name = variable(field)
        text = source.get(name)
        if text is None or (text == "" and hints[field.name] is not str):
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                faults.append(f"{name}: must be set ({field.metadata.get('doc', '')})")
            continue
        try:
            values[field.name] = _parse(text, hints[field.name])
        except ValueError as error:
            faults.append(f"{name}: {error}")
            continue
        check = field.metadata.get("check")
        fault = check(values[field.name]) if check else None
        if fault:
            faults.append(f"{name}: {fault}, got {values[field.name]!r}")
    if faults:
        raise SettingsError(faults)
    return kind(**values)


def variable(field: dataclasses.Field[Any]) -> str:
    """The environment variable of a field."""
    return field.metadata.get("env") or PREFIX + field.name.upper()


def describe(settings: object) -> str:
    """One line per setting: variable, value, what it is. Secrets are masked."""
    return "\n".join(
        f"{variable(field)}={getattr(settings, field.name)!s}  # {field.metadata.get('doc', '')}"
        for field in dataclasses.fields(settings)  # type: ignore[arg-type]
    )


def _parse(text: str, hint: Any) -> Any:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        (hint,) = (option for option in typing.get_args(hint) if option is not type(None))
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
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 (NaN is the number unequal to itself)
        raise ValueError(f"expected a finite number, got {text!r}")
    return value
