"""Texts of the command line as typed values, and values as texts."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from skewless.cli.answer import CliError
from skewless.definitions.meanings import FeatureService, OnDemandView
from skewless.errors import SkewlessError, UnknownFeatureError
from skewless.types import ValueType, check_cell, from_micros, to_micros

if TYPE_CHECKING:
    from skewless.definitions.catalog import Catalog
    from skewless.definitions.meanings import View


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """``NAME=VALUE`` texts by name. Raises CliError for another form or a name given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CliError(f"{option} takes NAME=VALUE, got {text!r}")
        if name in found:
            raise CliError(f"{option} {name} is given twice")
        found[name] = value
    return found


def instant(text: str | None, option: str) -> dt.datetime | None:
    """An RFC 3339 text, or ``now``, as an instant; None stays None. Raises CliError; a zone is never guessed."""
    if text is None:
        return None
    if text == "now":
        return dt.datetime.now(dt.UTC)
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise CliError(f"{option} takes a time such as 2026-01-31T12:00:00Z, or now; got {text!r}") from None
    if found.tzinfo is None:
        if not re.search(r"[T ]", text):
            raise CliError(f"{option} {text} has no time of day and no zone; say e.g. {text}T00:00:00Z")
        raise CliError(f"{option} {text} has no zone; add one, e.g. {text}Z or {text}+01:00")
    try:
        return found.astimezone(dt.UTC)
    except OverflowError:
        raise CliError(f"{option} {text} is outside the years 1 to 9999 of UTC") from None


def typed(texts: Mapping[str, str], types: Mapping[str, ValueType], option: str, what: str) -> dict[str, Any]:
    """Values of the declared types; an empty text is null where it cannot be a string.

    what: who needs these names, for messages. Raises CliError naming every fault.
    """
    faults = []
    values: dict[str, Any] = {}
    for name, text in texts.items():
        kind = types.get(name)
        if kind is None:
            needs = ", ".join(f"{known} ({wanted})" for known, wanted in types.items()) or "none"
            faults.append(f"{option} {name}: {what} takes {needs}")
            continue
        try:
            values[name] = _value(text, kind, f"{option} {name}")
        except (SkewlessError, CliError) as error:
            faults.append(str(error))
    if faults:
        raise CliError("; ".join(faults))
    return values


def _value(text: str, kind: ValueType, field: str) -> object:
    value: object = text
    if kind is not ValueType.STRING and text == "":
        return None
    if (
        kind in {ValueType.INT64, ValueType.FLOAT64} or kind.decimal
    ) and "_" in text:  # Python's own spelling, nobody else's
        return check_cell(text, kind, field=field)
    try:
        if kind is ValueType.INT64:
            value = int(text)
        elif kind is ValueType.FLOAT64:
            value = float(text)
        elif kind is ValueType.TIMESTAMP:
            found = instant(text, field)
            value = None if found is None else to_micros(found)
        elif kind.decimal is not None:
            value = decimal.Decimal(text)
        elif kind.element is not None:
            value = json.loads(text, parse_float=decimal.Decimal if kind.element.decimal else None)
        elif kind is ValueType.BOOL:
            value = {"true": True, "false": False}.get(text.lower(), text)
    except (ValueError, decimal.InvalidOperation):
        value = text
    return check_cell(value, kind, field=field)


def inputs(catalog: Catalog, project: str, asked: FeatureService | Iterable[str]) -> tuple[dict[str, ValueType], ...]:
    """What must be given for a feature service or for features: entity keys and request fields with their types.

    Raises UnknownFeatureError for a feature that is not known.
    """
    keys: dict[str, ValueType] = {}
    request: dict[str, ValueType] = {}

    def need(view: View) -> None:
        if isinstance(view, OnDemandView):
            request.update({column.name: column.type for column in view.request})
            for item in view.inputs:
                need(catalog.view_ref(project, item.pin.view_ref))
        else:
            keys.update({key.name: key.type for key in view.entity.keys})

    if isinstance(asked, FeatureService):
        for pin in asked.pins:
            need(catalog.view_ref(project, pin.view_ref))
    else:
        for name in asked:
            need(_view_of(catalog, project, name))
    return keys, request


def _view_of(catalog: Catalog, project: str, feature: str) -> View:
    """Raises UnknownFeatureError with features as they are to be given: those of the view that is meant, else all."""
    try:
        return catalog.feature(project, feature)[0]
    except UnknownFeatureError:
        meant = re.split("[@:]", feature)[0]
        views = catalog.views(project)
        near = [view for view in views if view.name == meant] or views
        known = [f"{view.ref}:{name}" for view in near for name in view.by_name]
        raise UnknownFeatureError(name=feature, known=known) from None


def plain(value: Any) -> Any:
    """The value as JSON holds it: an instant as RFC 3339, a decimal as its digits, bytes as text."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value


def shown(value: Any) -> str | None:
    """The value for people; None stays None."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return str(plain(value))


def moment(micros: int | None) -> str | None:
    """Microseconds as RFC 3339; a number where no calendar reaches; None stays None."""
    if micros is None:
        return None
    try:
        return from_micros(micros).isoformat()
    except OverflowError:
        return str(micros)


def age(seconds: float | None) -> str | None:
    """A length of time for people, in two units; None stays None."""
    if seconds is None:
        return None
    if seconds < 0:
        return f"-{age(-seconds)}"
    if seconds < 60:
        return f"{seconds:.3g}s"
    for size, unit, below, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} {int(seconds % size // below)}{smaller}"
    raise AssertionError(seconds)
