"""The account of a log, carried on from commit to commit of its event log."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from services.stream_agg.domain.account import ACCEPTED, DUPLICATE, Account


class Ledger:
    """Counts rows as they go into the event log.

    account: as the event log has it; slack_us: an event older than the newest one by more is late.
    """

    def __init__(self, account: Account, slack_us: int) -> None:
        self.account = account
        self._slack_us = slack_us

    def add(self, rows: pa.Table | None, *, delivered: int, again: int) -> Account:
        """The account with these rows, each partition's in log order.

        delivered: records that were read for them, and again: of these, records that had been read before and have
        no row.
        """
        before = self.account
        verdicts = Counter(before.verdicts)
        verdicts[DUPLICATE] += again
        late, newest = before.late, dict(before.newest_us)
        if rows is not None:
            for pair in pc.value_counts(rows["verdict"]).to_pylist():
                verdicts[pair["values"]] += pair["counts"]
            late += self._late(rows, newest)
        self.account = Account(before.consumed + delivered, dict(verdicts), late, newest)
        return self.account

    def _late(self, rows: pa.Table, newest: dict[int, int]) -> int:
        """How many accepted rows are late; moves the newest times on."""
        accepted = rows.select(["verdict", "partition", "event_time_us"]).filter(pc.equal(rows["verdict"], ACCEPTED))
        late = 0
        for partition in pc.unique(accepted["partition"]).to_pylist():
            times = accepted.filter(pc.equal(accepted["partition"], partition))["event_time_us"].combine_chunks()
            greatest = pc.cumulative_max(times, start=newest.get(partition, times[0].as_py()))
            late += pc.sum(pc.less(pc.add(times, self._slack_us), greatest)).as_py() or 0
            newest[partition] = greatest[-1].as_py()
        return late
