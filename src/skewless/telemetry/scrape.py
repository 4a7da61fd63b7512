"""What the parts of a process publish as metrics, and its text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

Source: TypeAlias = "Callable[[], Iterable[Family]]"

_SOURCES: Final[list[Source]] = []


def publish(source: Source) -> None:
    """What ``source`` gives when it is asked, from any thread, is among the metrics of this process from now on."""
    _SOURCES.append(source)


def text(sources: Iterable[Source], *, openmetrics: bool = False) -> bytes:
    """The metrics of these sources in Prometheus' text format; or in that of OpenMetrics, which has exemplars."""
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 (when somebody asks)
    from prometheus_client.openmetrics import exposition  # noqa: PLC0415
    from prometheus_client.registry import Collector  # noqa: PLC0415

    class Everything(Collector):
        def collect(self) -> Iterable[Family]:
            for source in sources:
                yield from source()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Everything())
    if openmetrics:
        found: bytes = exposition.generate_latest(registry)  # type: ignore[no-untyped-call]
        return found
    return generate_latest(registry)


def everything(*, openmetrics: bool = False) -> bytes:
    """All metrics of this process."""
    return text(_SOURCES, openmetrics=openmetrics)
