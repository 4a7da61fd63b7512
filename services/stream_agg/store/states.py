"""States in the online store."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from services.stream_agg.ports import Found, StateWrite, WrongPartitionError
from skewless.kernel import WRITE_STREAM_STATE
from skewless.settings import NO_FILES, Secret, TlsFiles
from skewless.store import Primaries, Store, StoreRefusedError

_LOOKED_AT = 256
"""Places whose sentinels one look reads."""


class ValkeyStore:
    """`Store` at a URL.

    replicas: how many of each primary must have a state before it counts as durable.
    files: of TLS.
    """

    def __init__(self, url: Secret, replicas: int = 0, files: TlsFiles = NO_FILES) -> None:
        self._store = Store(url, WRITE_STREAM_STATE, replicas, files)

    def ask(self) -> None:
        """Returns if the store answers and is of use. Raises StoreLostError and StoreRefusedError."""
        self._store.ask()

    def connect(self) -> ValkeyStates:
        return ValkeyStates(self._store.connect())


class ValkeyStates:
    """`States` over a connection to each primary; a sentinel stands in every place of keys. For one thread."""

    def __init__(self, primaries: Primaries) -> None:
        self._primaries = primaries
        self._look_from = itertools.cycle(range(0, len(primaries.places), _LOOKED_AT))

    def load(self, sentinel: str, heads: Sequence[str]) -> list[Found] | None:
        numbers = self._by_place(heads)
        answers = self._primaries.each(
            {
                place: [("MGET", self._primaries.key_at(place, sentinel), *_with_bodies(heads[n] for n in own))]
                for place, own in numbers.items()
            }
        )
        found: list[Found] = [(None, None)] * len(heads)
        for place, ((there, *states),) in answers.items():
            if there is None:
                return None
            for number, state in zip(numbers[place], zip(states[::2], states[1::2], strict=True), strict=True):
                found[number] = state
        return found

    def write(self, writes: Sequence[StateWrite]) -> list[bool]:
        numbers = self._by_place([write.key for write in writes])
        calls = {place: [_call(writes[number]) for number in own] for place, own in numbers.items()}
        accepted = [False] * len(writes)
        try:
            answers = self._primaries.call(calls)
        except StoreRefusedError as error:
            if "OTHER_PARTITION" not in str(error):
                raise
            raise WrongPartitionError(
                f"{error}: keys have moved between the log's partitions; open a new epoch of the source",
                metadata=error.metadata,
            ) from error
        for place, own in numbers.items():
            for number, answer in zip(own, answers[place], strict=True):
                accepted[number] = answer == 1
        return accepted

    def barrier(self) -> None:
        self._primaries.barrier()

    def sentinel(self, key: str) -> bytes | None:
        """The value if all places have the same; None if one has none; else the rarest."""
        values = Counter(self._read(key, self._primaries.places))
        return None if None in values else min(values, key=values.__getitem__)

    def holds(self, key: str) -> bool:
        """Looks at some places of every primary, each time at others: what is loaded is looked at as it is loaded."""
        first = next(self._look_from)
        some = self._primaries.places[first : first + _LOOKED_AT]
        return None not in self._read(key, {*some, *self._primaries.one_each})

    def set_sentinel(self, key: str, value: bytes, *, where_absent: bool = False) -> None:
        condition = ("NX",) if where_absent else ()
        primaries = self._primaries
        primaries.each(
            {place: [("SET", primaries.key_at(place, key), value, *condition)] for place in primaries.places}
        )

    def close(self) -> None:
        self._primaries.close()

    def _by_place(self, keys: Sequence[str]) -> dict[int, list[int]]:
        """Of each place the numbers of the keys that lie there."""
        numbers: dict[int, list[int]] = defaultdict(list)
        for number, key in enumerate(keys):
            numbers[self._primaries.place(key)].append(number)
        return numbers

    def _read(self, key: str, places: Iterable[int]) -> list[bytes | None]:
        commands = {place: [("GET", self._primaries.key_at(place, key))] for place in places}
        return [value for (value,) in self._primaries.each(commands).values()]


def _with_bodies(heads: Iterable[str]) -> Iterator[str]:
    for head in heads:
        yield head
        yield head + ":b"


def _call(write: StateWrite) -> tuple[tuple[str, str], tuple[bytes, bytes, bytes]]:
    expiry = b"" if write.expire_at_ms is None else b"%d" % write.expire_at_ms
    return (write.key, write.key + ":b"), (write.head, write.body or b"", expiry)
