"""What images there are, and which packages of the lock each one holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Content = Literal["python", "valkey", "kafka", "postgres"]
Floor = Literal["plain", "arrow", "lake"]


@dataclass(frozen=True)
class Component:
    """One image.

    name: of the image and of its stage in the Dockerfile.
    title: what it is, for its label.
    extra: of the package `skewless`; None for an image without it.
    group: a dependency group whose packages it holds besides; None for none.
    floor: the stage of the Dockerfile, with the third-party packages of several images, that it stands on.
    content: the stage that it is made of.
    licences: of the program it is there for, as an SPDX expression.
    """

    name: str
    title: str
    extra: str | None = None
    group: str | None = None
    floor: Floor = "plain"
    content: Content = "python"
    licences: str = "Apache-2.0"


COMPONENTS: Final = (
    Component("registry", "Skewless: registry", extra="registry"),
    Component("online", "Skewless: online service", extra="online"),
    Component("offline", "Skewless: offline service", extra="offline", floor="lake"),
    Component("stream-agg", "Skewless: stream aggregator", extra="stream_agg", floor="lake"),
    Component("validator", "Skewless: validator", extra="validator"),
    Component("cli", "Skewless: command line", extra="cli", group="image-cli", floor="arrow"),
    Component(
        "trial-valkey",
        "Valkey, one node for trials of Skewless",
        group="image-trial-valkey",
        content="valkey",
        licences="BSD-3-Clause",
    ),
    Component("trial-kafka", "Embedded broker, one node for trials of Skewless", content="kafka"),
    Component(
        "trial-postgres",
        "PostgreSQL, one node for trials of Skewless",
        group="image-trial-postgres",
        content="postgres",
        licences="PostgreSQL",
    ),
)

# Packages that lie in a layer of their own, because they are large and several images hold them. Each floor stands
# on the one before it.
FLOORS: Final[dict[Floor, frozenset[str]]] = {
    "plain": frozenset(),
    "arrow": frozenset({"pyarrow"}),
    "lake": frozenset({"deltalake", "arro3-core"}),
}


def chosen(names: str) -> tuple[Component, ...]:
    """The components of a list of names separated by blanks, all if it is empty. Raises ValueError."""
    known = {component.name: component for component in COMPONENTS}
    wanted = names.split()
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"no such image: {', '.join(unknown)}; there are: {', '.join(known)}")
    return tuple(known[name] for name in wanted) if wanted else COMPONENTS
