"""Where reading goes on, and where it would start again after a stop so that nothing undecided is lost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A record that was read; holds its place until it is decided."""

    _undecided: OrderedDict[int, None]
    _offset: int

    def decide(self) -> None:
        """The record need not be read again. Harmless when said twice."""
        self._undecided.pop(self._offset, None)


class _Partition:
    def __init__(self, following: int) -> None:
        self.following = following
        self.undecided: OrderedDict[int, None] = OrderedDict()


class Positions:
    """The served log's partitions: how far they are read, and what of that is undecided."""

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}

    def start(self, partition: int, offset: int) -> None:
        """Reading begins, or begins anew, at this offset; marks of what was read before count no more."""
        self._partitions[partition] = _Partition(offset)

    def read(self, partition: int, offset: int) -> Mark:
        """A record was read. Within a partition that was started, offsets come in ascending order."""
        found = self._partitions[partition]
        found.following = offset + 1
        found.undecided[offset] = None
        return Mark(found.undecided, offset)

    def following(self) -> Mapping[int, int]:
        """By partition, the offset to be read next."""
        return {partition: found.following for partition, found in self._partitions.items()}

    def resume(self) -> Mapping[int, int]:
        """By partition, the lowest undecided offset, or the next one to be read where all are decided."""
        return {
            partition: next(iter(found.undecided), found.following) for partition, found in self._partitions.items()
        }


@dataclass(frozen=True, slots=True)
class Start:
    """Where to read a partition from.

    wanted: where reading would have gone on; None where nothing was read or committed before.
    """

    offset: int
    wanted: int | None

    @property
    def skipped(self) -> int:
        """Records that the log dropped before they were read."""
        return 0 if self.wanted is None else max(0, self.offset - self.wanted)

    @property
    def anew(self) -> bool:
        """Whether the log is shorter than what was read of it: it is another one."""
        return self.wanted is not None and self.wanted > self.offset


def choose_start(wanted: int | None, first: int, end: int) -> Start:
    """Where to read on: as wanted if the log, which has the offsets ``first`` to ``end``, can; else from its first."""
    if wanted is not None and first <= wanted <= end:
        return Start(wanted, wanted)
    return Start(first, wanted)
