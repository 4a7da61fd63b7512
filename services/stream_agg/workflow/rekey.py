"""Re-keying: every record of a source, in order, into the partition of its entity.

The record keeps its bytes, its append time and its trace context, and gains its source position as a header. A
record that belongs to no entity goes to the partition of its source partition's number, so that it gets its verdict
and its row in the log like any other. Sending stops at the first refused record and begins again at the committed
source offsets: what is sent twice is recognized by the log's reader.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from services.stream_agg.domain.notes import Note
from services.stream_agg.domain.opening import Begin, Stop, TopicFacts, open_log
from services.stream_agg.domain.sources import write_position
from services.stream_agg.ports import Records, RekeyedLog, RekeyedRecord, Topics
from services.stream_agg.workflow.board import Board, LogState
from services.stream_agg.workflow.rereading import Errands, Rereader
from skewless.clock import AWAY
from skewless.definitions.catalog import InputLog
from skewless.errors import SkewlessError
from skewless.kernel import StreamDecoder, partition_of
from skewless.lake import EPOCH
from skewless.telemetry import names
from skewless.telemetry.spans import Active, carried, consumed

log = logging.getLogger(__name__)

_IDLE_S = 0.25


class Rekeyer:
    """The thread that fills one re-keyed log from its source.

    open_log: makes the log's topic if need be and gives a writer for it.
    """

    def __init__(
        self,
        input_log: InputLog,
        topics: Topics,
        writer: Callable[[str, int], RekeyedLog],
        board: Board,
        *,
        gather_s: float,
        gather_records: int,
        commit_s: float,
    ) -> None:
        self._log = input_log
        self._topics = topics
        self._writer = writer
        self._board = board
        self._gather_s = gather_s
        self._gather_records = gather_records
        self._commit_s = commit_s
        self._group = f"skewless.rekey.{input_log.project}.{input_log.entity.name}.{input_log.source.name}"
        self._decoder = StreamDecoder(input_log.source.document, input_log.entity.key_types, False)
        self.errands = Errands()
        """What is to be done with the reader of the source."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"rekey-{input_log.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; what is stored is committed."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._session()
            except SkewlessError as error:
                self._say(f"trying again: {error}")
                log.warning("re-keying into %s: %s; trying again", self._log.name, error)
            except Exception as error:
                self._say(f"trying again after a fault: {error}")
                log.exception("re-keying into %s: a fault; again from the committed offsets", self._log.name)
            long = time.monotonic() - began > 2 * AWAY.longest_s
            failures = 1 if long else failures + 1
            self._stop.wait(AWAY.after(failures))

    def _session(self) -> None:
        """From the facts to the first failure."""
        source = self._log.source.topic
        found = self._topics.facts(source, self._group)
        if found is None:
            self._say(f"trying again: the topic {source} does not exist yet: create it")
            return
        topic, partitions = found
        begins = open_log(topic, partitions)
        if isinstance(begins, Stop):
            self._say(begins.reason)
            log.error("re-keying into %s is stopped: %s", self._log.name, begins.reason)
            self._stop.wait()
            return
        writer = self._writer(self._log.name, topic.partitions)
        reader: Rereader | None = None
        try:
            positions = {begin.partition: begin.position for begin in begins}
            self._tell(positions, self._topics.ends(self._log.name))
            reader = Rereader(self._topics, source, positions)
            self._change(lambda state: state.stopped.pop("re-keying", None))
            self._loop(reader, writer, topic, begins, positions)
        finally:
            if reader is not None:
                reader.close()
            writer.close()

    def _loop(
        self,
        reader: Rereader,
        writer: RekeyedLog,
        topic: TopicFacts,
        begins: tuple[Begin, ...],
        positions: dict[int, int],
    ) -> None:
        committed, idle, committed_at = dict(positions), False, time.monotonic()
        notes = {b.partition: Note(b.origin, topic.id, topic.partitions) for b in begins}
        while True:
            ending = self._stop.is_set()
            if not ending:
                self.errands.do(reader)
                positions.update(reader.positions)  # who moved it has told so; the way back may be one read
                taken = reader.read(
                    max_records=1 if idle else self._gather_records,
                    wait_s=_IDLE_S if idle else self._gather_s,
                )
                idle = not taken.parts
                with self._span(taken.parts):
                    for part in taken.parts:
                        self._send(part, writer)
                    while not writer.flush(0.5):
                        if self._stop.is_set():
                            return  # the broker is away: what waits is sent again after the next start
                moved = {p: at for p, at in reader.positions.items() if at != positions[p]}
                if moved:
                    positions.update(moved)
                    self._tell(moved, writer.ends())
            late = time.monotonic() - committed_at > self._commit_s
            if positions != committed and (late or ending):
                self._topics.commit(self._group, topic.name, {p: (at, notes[p]) for p, at in positions.items()})
                committed, committed_at = dict(positions), time.monotonic()
            if ending:
                return

    def _span(self, parts: Sequence[Records]) -> Active:
        headers, attributes = [part.headers for part in parts], {names.PROJECT: self._log.project}
        return consumed(names.REKEY, self._log.source.topic, headers, attributes)

    def _send(self, part: Records, writer: RekeyedLog) -> None:
        entities = self._decoder.decode(part.keys, part.values, part.times_us).row_entities()
        writer.send(
            [
                RekeyedRecord(
                    part.partition % writer.partitions
                    if entity_id is None
                    else partition_of(entity_id, writer.partitions),
                    None if entity_id is None else entity_id.encode(),
                    part.values[index],
                    write_position(EPOCH, part.partition, part.offsets[index]),
                    part.times_us[index],
                    carried(part.headers[index]),
                )
                for index, entity_id in enumerate(entities)
            ]
        )

    def _tell(self, rekeyed: Mapping[int, int], ends: Mapping[int, int]) -> None:
        def tell(state: LogState) -> None:
            state.rekeyed.update(rekeyed)
            for partition, end in ends.items():
                state.sent[partition] = max(end, state.sent.get(partition, 0))

        self._change(tell)

    def _say(self, reason: str) -> None:
        self._change(lambda state: state.stopped.update({"re-keying": reason}))

    def _change(self, change: Callable[[LogState], object]) -> None:
        self._board.change(self._log.project, self._log.name, change)
