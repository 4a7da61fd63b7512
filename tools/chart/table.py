"""The table of values in the chart's README, from the comments of ``values.yaml``."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

from tools.chart.settings import CHART

VALUES: Final = CHART / "values.yaml"
README: Final = CHART / "README.md"
BEGIN: Final = "<!-- values: made by `make chart-examples` from values.yaml -->"
END: Final = "<!-- end of values -->"
_DEFAULTS: Final = "#/$defs/defaults"


def described() -> dict[str, tuple[str, Any]]:
    """By path (``lake.volume.size``) the comment above a value and its default; maps of values count as values if a
    comment stands above them and none above what is in them."""
    found: dict[str, tuple[str, Any]] = {}
    root = yaml.compose(VALUES.read_text())
    assert isinstance(root, yaml.MappingNode)  # noqa: S101 (a map, as values are)
    _walk(root, (), VALUES.read_text().splitlines(), found)
    return found


def _walk(node: yaml.MappingNode, path: tuple[str, ...], lines: list[str], found: dict[str, tuple[str, Any]]) -> None:
    for key, value in node.value:
        here = (*path, key.value)
        comment = _above(lines, key.start_mark.line)
        before = len(found)
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            _walk(value, here, lines, found)
        if len(found) == before and comment:
            found[".".join(here)] = (comment, yaml.safe_load(yaml.serialize(value)))


def _above(lines: list[str], line: int) -> str:
    """The comment right above a line, as one text."""
    words: list[str] = []
    while line > 0 and (comment := re.fullmatch(r"\s*# ?(.*)", lines[line - 1])):
        words.insert(0, comment[1])
        line -= 1
    return " ".join(words)


def with_descriptions(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of values with the comments as descriptions, for editors; where a definition is shared by several
    values it has its own."""
    for path, (comment, _) in described().items():
        node: dict[str, Any] | None = schema
        for name in path.split("."):
            node = _property(schema, node, name) if node is not None else None
        if node is not None:
            node["description"] = comment
    return schema


def _property(schema: dict[str, Any], node: dict[str, Any], name: str) -> dict[str, Any] | None:
    """What a map's schema says of a key; the keys of the defaults stand in a definition of their own."""
    if any(part.get("$ref") == _DEFAULTS for part in node.get("allOf", ())):
        node = schema["$defs"]["defaults"]
    found: dict[str, Any] | None = node.get("properties", {}).get(name)
    return found


def table() -> str:
    """The table, between its marks."""
    rows = [f"| `{path}` | `{_shown(value)}` | {_cell(comment)} |" for path, (comment, value) in described().items()]
    return "\n".join([BEGIN, "", "| Value | Default | Is |", "| --- | --- | --- |", *rows, "", END])


def _shown(value: Any) -> str:
    return json.dumps(value).replace("|", "\\|")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def renewed(readme: str) -> str:
    """The README with the table as it is now. Raises ValueError if it has no place for it."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README} has no lines {BEGIN} and {END}")
    return head + table() + tail
