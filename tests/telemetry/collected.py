"""Spans as they were collected, and how they hang together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Span:
    """One span of the file exporter."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int
    error: str | None
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[dict[str, str]]

    @property
    def id(self) -> str:
        """Its entry in the declarations; an application's own span goes by its kind."""
        if "rpc.method" in self.attributes:
            return f"rpc.{self.kind}"
        return self.kind if self.service == "application" else self.name

    @property
    def label(self) -> str:
        """As edges name it."""
        method = self.attributes.get("rpc.method")
        return f"{self.service}: {self.id}" + (f" {method}" if method else "")


class Spans:
    """All spans of a run."""

    def __init__(self, path: Path) -> None:
        self.all = [Span(**json.loads(line)) for line in path.read_text().splitlines()]
        self._by_id = {(span.trace_id, span.span_id): span for span in self.all}

    def edges(self) -> Iterator[tuple[Span, str, Span]]:
        """What follows from what: (earlier, child or link, later)."""
        for span in self.all:
            if span.parent_id is not None and (parent := self._by_id.get((span.trace_id, span.parent_id))):
                yield parent, "child", span
            for link in span.links:
                if earlier := self._by_id.get((link["trace_id"], link["span_id"])):
                    yield earlier, "link", span

    def tree(self, root: Span) -> str:
        """Everything that follows from a span, by time, one a line, each once."""
        followers: dict[str, list[tuple[str, Span]]] = {}
        for earlier, by, later in self.edges():
            followers.setdefault(earlier.span_id, []).append((by, later))
        seen: set[str] = set()

        def lines(span: Span, by: str, depth: int) -> Iterable[str]:
            if span.span_id in seen:
                return
            seen.add(span.span_id)
            began, took = (span.start_ns - root.start_ns) / 1e6, (span.end_ns - span.start_ns) / 1e6
            sign = {"child": "", "link": "~ "}[by]
            yield f"{began:9.1f} ms {took:8.1f} ms  {'  ' * depth}{sign}{span.label}"
            for how, later in sorted(followers.get(span.span_id, ()), key=lambda pair: pair[1].start_ns):
                yield from lines(later, how, depth + 1)

        return "\n".join(lines(root, "child", 0))
