"""The part of ``values.schema.json`` that says which settings services have, of which type."""

from __future__ import annotations

import dataclasses
import importlib
import json
import typing
from pathlib import Path
from typing import Any, Final

import yaml

from skewless.settings import OneOf, Range, Secret, ServiceSettings, bare_type

CHART: Final = Path(__file__).resolve().parents[2] / "charts" / "skewless"
SCHEMA: Final = CHART / "values.schema.json"
_TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}
_PREFIX: Final = "settings-"


def facts() -> dict[str, dict[str, Any]]:
    """What the chart knows of its components, by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((CHART / "files" / "components.yaml").read_text())
    return found


def reserved() -> dict[str, str]:
    """The settings that the chart gives, and what to write instead."""
    found: dict[str, str] = yaml.safe_load((CHART / "files" / "reserved.yaml").read_text())
    return found


def kinds() -> dict[str, type[ServiceSettings]]:
    """The settings of each service, by the component's name."""
    services = {name: fact["service"] for name, fact in facts().items() if "service" in fact}
    return {
        name: importlib.import_module(f"services.{service}.settings").Settings for name, service in services.items()
    }


def definition(kind: type[ServiceSettings]) -> dict[str, Any]:
    """The JSON schema of the settings that values may give. The reserved ones are left to the chart's own check, which
    says what to write instead."""
    hints = typing.get_type_hints(kind)
    properties: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.name in reserved():
            properties[field.name] = {"description": f"Not for settings: {reserved()[field.name]}."}
        else:
            properties[field.name] = {
                "description": field.metadata["doc"],
                **_type(hints[field.name]),
                **_bounds(field.metadata["check"]),
            }
    return {"type": "object", "additionalProperties": False, "properties": dict(sorted(properties.items()))}


def _type(hint: Any) -> dict[str, Any]:
    hint = bare_type(hint)
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "items": _type(typing.get_args(hint)[0])}
    if hint is Secret:
        raise TypeError("a secret does not stand in values: add the setting to files/reserved.yaml of the chart")
    return {"type": _TYPES[hint]}


def _bounds(check: object) -> dict[str, Any]:
    """What a check is in JSON schema; nothing for one that only the service makes."""
    match check:
        case Range(least, None):
            return {"minimum": least}
        case Range(least, most):
            return {"minimum": least, "maximum": most}
        case OneOf(words):
            return {"pattern": f"^(?i:{'|'.join(words)})$"}
    return {}


def renewed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of values with the settings as services have them now."""
    others = {name: value for name, value in schema["$defs"].items() if not name.startswith(_PREFIX)}
    declared: dict[str, type[ServiceSettings]] = {"common": ServiceSettings, **kinds()}
    settings = {f"{_PREFIX}{name}": definition(kind) for name, kind in declared.items()}
    return {**schema, "$defs": {**others, **settings}}


def text(schema: dict[str, Any]) -> str:
    """The schema as it is written."""
    return json.dumps(schema, indent=2) + "\n"
