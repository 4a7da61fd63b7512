"""The event log's table: rows and their offsets in one commit, dated, and counted from where they end."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.stream_agg.domain.account import Account
from services.stream_agg.ports import Progress
from services.stream_agg.store.lake import LakeEvents, LakeProgress
from services.stream_agg.workflow.fold import Decoded
from services.stream_agg.workflow.rows import event_rows, letters
from skewless.lake import Lake
from tests.decoded import decoded, input_log, payload

DAY = 86_400_000_000
LOG = input_log(direct=False)
ACCOUNT = Account(5, {"accepted": 2, "malformed": 1, "duplicate": 1, "too_far_future": 1}, 1, {3: 2 * DAY, 1: -5})


def five() -> Decoded:
    """Five records: accepted, malformed, a repetition, too far ahead, accepted."""
    payloads = [payload("a", DAY, 1), b"v1", b"v2", payload("a", 9 * DAY, 3), payload(None, 2 * DAY, 4)]
    return decoded(3, 10, payloads, append_us=5 * DAY, repeated=[2])


def read(lake: Lake) -> dict[int, tuple[str, str, int | None, bytes]]:
    table = lake.events("p", "log").read(["offset", "verdict", "date", "c_x", "raw", "source_offset"])
    assert table is not None
    return {r["offset"]: (r["verdict"], r["date"], r["c_x"], r["raw"]) for r in table.to_pylist()}


def test_rows_keep_bytes_verdicts_and_cells_and_are_dated_by_their_event(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    log = LakeEvents(lake, "p", "log")
    assert log.logged(4) == {}
    log.append(event_rows([five()], {}), {3: 15}, ACCOUNT)
    assert log.account(4) == ACCOUNT
    assert log.logged(4) == {3: 15}
    assert read(lake) == {
        10: ("accepted", "1970-01-02", 1, payload("a", DAY, 1)),
        11: ("malformed", "1970-01-06", None, b"v1"),
        12: ("duplicate", "1970-01-06", None, b"v2"),
        13: ("too_far_future", "1970-01-10", None, payload("a", 9 * DAY, 3)),
        14: ("accepted", "1970-01-03", 4, payload(None, 2 * DAY, 4)),
    }


def test_an_account_can_go_on_without_rows(tmp_path: Path) -> None:
    log = LakeEvents(Lake(str(tmp_path)), "p", "log")
    assert log.account(4) == Account(0, dict.fromkeys(ACCOUNT.verdicts, 0), 0, {})
    log.append(event_rows([five()], {}), {3: 15}, ACCOUNT)
    log.append(None, {}, replace(ACCOUNT, consumed=7))
    assert (log.account(4).consumed, log.account(4).late, log.logged(4)) == (7, 1, {3: 15})


@pytest.mark.parametrize("logged", range(10, 16))
def test_rows_that_are_logged_already_are_left_out(tmp_path: Path, logged: int) -> None:
    rows = event_rows([five()], {3: logged})
    if logged == 15:
        assert rows is None
        return
    lake = Lake(str(tmp_path))
    LakeEvents(lake, "p", "log").append(rows, {3: 15}, ACCOUNT)
    assert sorted(read(lake)) == list(range(logged, 15))


def test_refused_records_become_letters_and_repetitions_do_not() -> None:
    found = list(letters(LOG, five(), 0))
    assert [(letter.value, letter.headers["skewless-reason"]) for letter in found] == [
        (b"v1", b"MALFORMED_JSON"),
        (payload("a", 9 * DAY, 3), b"TOO_FAR_FUTURE"),
    ]
    assert found[0].headers["skewless-position"] == b"1/0/1"
    assert found[0].headers["skewless-log"] == b"log/1/3/11"
    assert [letter.value for letter in letters(LOG, five(), 12)] == [payload("a", 9 * DAY, 3)]


def test_progress_is_remembered(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    progress = LakeProgress(lake)
    progress.append("p", [Progress("v@1.0", "log", 1, 3, 15, 2 * DAY)])
    progress.append("p", [Progress("v@1.0", "log", 1, 3, 16, 2 * DAY + 5)])
    table = lake.progress("p").read(["view", "partition", "next_offset", "visible_at_us"])
    assert table is not None
    assert sorted(row["next_offset"] for row in table.to_pylist()) == [15, 16]
