"""Which spans are kept."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes


def by_links(ratio: float) -> Sampler:
    """A span goes with its parent. A root is kept if it links to a sampled span, else by ``ratio``, 0 to 1."""
    return ParentBased(_LinkedOrRatio(ratio))


class _LinkedOrRatio(TraceIdRatioBased):
    def should_sample(  # noqa: PLR0917 (the signature is the SDK's)
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        linked = any(link.context.trace_flags.sampled for link in links or ())
        decide = ALWAYS_ON.should_sample if linked else super().should_sample
        return decide(parent_context, trace_id, name, kind, attributes, links, trace_state)
