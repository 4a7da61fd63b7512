"""SQL text to the JSON form of expressions (docs/expressions.md). Pure.

Steps: text → tokens with their places → a tree (`sql_parser`) → JSON document. Columns and types are checked by the
kernel, which names the JSON path of a fault; `Translation.place` leads from there back to the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from skewless.definitions.sql_parser import FUNCTIONS, MAX_DEPTH, ExpressionFault, Node, Parser, StoppedError

__all__ = [
    "FUNCTIONS",
    "MAX_DEPTH",
    "MAX_NODES",
    "MAX_TEXT_BYTES",
    "Document",
    "ExpressionFault",
    "Translation",
    "translate",
]

MAX_TEXT_BYTES: Final = 10 * 1024
"""The longest text, in bytes of UTF-8."""
MAX_NODES: Final = 2000
"""The most nodes of the document."""

Document: TypeAlias = dict[str, Any]
"""A node of the JSON form."""


@dataclass(frozen=True, slots=True)
class Translation:
    """What a text says."""

    document: Document | None
    """The JSON form; None if there are faults."""
    faults: tuple[ExpressionFault, ...]
    """Everything wrong: all unsupported or unknown parts, and the first error of syntax."""
    places: Mapping[str, tuple[int, int]]
    """JSON path of each node (`$.args[0]`) to line and column in the text; empty if there are faults."""

    def place(self, path: str) -> tuple[int, int]:
        """Where in the text the node at this JSON path stands; of a member, its node's place."""
        while path not in self.places and path:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.places.get(path, (1, 1))


def translate(text: str) -> Translation:
    """Reads an expression. Never raises for what the text says: faults are returned, all of them."""
    if len(text.encode(errors="surrogatepass")) > MAX_TEXT_BYTES:
        message = f"the text is longer than {MAX_TEXT_BYTES} bytes; split the feature in two"
        return Translation(None, (ExpressionFault(1, 1, "EXPRESSION_TOO_LARGE", message),), {})
    parser = Parser(text)
    try:
        node = parser.whole()
    except StoppedError:
        node = None
    if node is None or parser.faults:
        return Translation(None, tuple(parser.faults), {})
    places: dict[str, tuple[int, int]] = {}
    document = _document(node, "$", places)
    if len(places) > MAX_NODES:
        message = f"more than {MAX_NODES} columns, literals and calls; split the feature in two"
        return Translation(None, (ExpressionFault(1, 1, "EXPRESSION_TOO_LARGE", message),), {})
    return Translation(document, (), places)


def _document(node: Node, path: str, places: dict[str, tuple[int, int]]) -> Document:
    places[path] = (node.at.line, node.at.column)
    document: Document = {"op": node.op, **node.members}
    if node.args is not None and len(places) <= MAX_NODES:
        document["args"] = [_document(arg, f"{path}.args[{place}]", places) for place, arg in enumerate(node.args)]
    return document
