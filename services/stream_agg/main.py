"""Wires the stream aggregator and runs it until SIGTERM."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from services.stream_agg.consumer import KafkaTopics
from services.stream_agg.publisher import KafkaDeadLetters, KafkaRekeyedLog
from services.stream_agg.servicer import SERVICE, StreamAggServicer, register
from services.stream_agg.settings import Settings
from services.stream_agg.store import LakeEvents, LakeProgress, ValkeyStore
from services.stream_agg.workflow.board import Board
from services.stream_agg.workflow.follow import Follower
from services.stream_agg.workflow.session import Limits, Outside
from skewless.bus import Bus
from skewless.clock import SystemClock
from skewless.kernel import WRITE_STREAM_STATE
from skewless.lake import Lake
from skewless.rpc.server import ListenError, Server, stop_on_signals, write_ready_file
from skewless.rpc.watch import CatalogWatcher
from skewless.settings import SettingsError, load

log = logging.getLogger("stream_agg")


def run(settings: Settings) -> None:
    """Serves until the process is told to stop."""
    bus, lake, board = Bus(settings.broker), Lake(settings.lake), Board()
    dead_letters = KafkaDeadLetters(bus)
    outside = Outside(
        topics=KafkaTopics(bus),
        store=ValkeyStore(settings.store_url.reveal(), WRITE_STREAM_STATE),
        events=lambda input_log: LakeEvents(lake, input_log.project, input_log.name),
        progress=LakeProgress(lake),
        dead_letters=dead_letters,
        clock=SystemClock(),
        board=board,
    )
    limits = Limits(
        flush_s=settings.flush_ms / 1_000,
        flush_records=settings.flush_records,
        commit_s=settings.commit_ms / 1_000,
        commit_rows=settings.commit_rows,
        cache_bytes=settings.cache_mb << 20,
    )
    follower = Follower(outside, limits, lambda topic, partitions: KafkaRekeyedLog(bus, topic, partitions))
    watcher = CatalogWatcher(settings.registry, follower.take)

    server = Server(settings.listen, threads=settings.calls)
    server.add(register, StreamAggServicer(board), SERVICE)
    stopping = stop_on_signals()
    address = server.start()
    server.set_serving(serving=True)
    watcher.start()
    write_ready_file(Path(settings.ready_file) if settings.ready_file else None, address)
    log.info("serving on %s", address)
    stopping.wait()

    watcher.stop()
    follower.stop()
    dead_letters.close()
    server.stop()


def main() -> int:
    """The process. Exit status 2: the settings or the address are of no use."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        run(load(Settings))
    except (SettingsError, ListenError) as error:
        log.error("%s", error)  # noqa: TRY400 (the message is all)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
