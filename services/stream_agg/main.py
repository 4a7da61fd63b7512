"""The stream aggregator as a process: ``python -m services.stream_agg.main``, settings from the environment."""

from __future__ import annotations

import sys
import threading
from functools import partial

from services.stream_agg.consumer import KafkaKeptRecords, KafkaTopics
from services.stream_agg.publisher import KafkaDeadLetters, KafkaLetterSender, KafkaRekeyedLog
from services.stream_agg.servicer import SERVICE, StreamAggServicer, register
from services.stream_agg.settings import Settings
from services.stream_agg.store import LakeEvents, LakeProgress, ValkeyStore
from services.stream_agg.workflow.board import Board
from services.stream_agg.workflow.dead_letters import DeadLetters
from services.stream_agg.workflow.follow import Follower
from services.stream_agg.workflow.meters import Meters
from services.stream_agg.workflow.task import Limits, Outside
from skewless.bus import Bus
from skewless.clock import SystemClock
from skewless.lake import Lake
from skewless.rpc.process import run, tell_ready
from skewless.rpc.readiness import ready_worker
from skewless.rpc.server import Server
from skewless.rpc.watch import CatalogWatcher
from skewless.telemetry.scrape import publish


def serve(settings: Settings, stop: threading.Event) -> bool:
    """Wires the service and serves until ``stop``."""
    bus, lake, board = Bus.of(settings), Lake(settings.lake), Board()
    store = ValkeyStore(settings.store_url, settings.store_replicas, settings.store_files)
    dead_letters = KafkaDeadLetters(bus)
    outside = Outside(
        topics=KafkaTopics(bus),
        store=store,
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
    letters = DeadLetters(KafkaKeptRecords(bus), lambda: KafkaLetterSender(bus))
    watcher = CatalogWatcher(settings.registry, follower.take)
    publish(Meters(board, outside.topics).collect)

    server = Server(settings.listen, threads=settings.calls)
    server.add(register, StreamAggServicer(board, follower, letters), SERVICE)
    address = server.start()
    watcher.start()
    needs = {"the registry": watcher.ask, "the broker": bus.ask, "the store": store.ask}
    ready = ready_worker(needs, partial(server.set_serving, serving=True), stop)
    ready.start()
    tell_ready(settings, address)
    stop.wait()

    watcher.stop()
    follower.stop()
    dead_letters.close()
    server.stop()
    return not ready.failed


if __name__ == "__main__":
    sys.exit(run("stream_agg", Settings, serve))
