"""Latest views over streams and tables: the kernel gives the definition's row."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.cells import Value
from tests.oracle.grid import MINUTE, SECOND
from tests.oracle.latest import TableRow
from tests.properties.strategies import COLUMNS, KEYS, latest_specs, rows, stream_cases
from tests.properties.test_windows import FRAME, ORACLE, assert_agree
from tests.roads.cases import Read, StreamCase, TableCase, typed
from tests.roads.kernel import FoldRoad

CASES = stream_cases(latest_specs())
TIMES = st.integers(-3, 3).map(lambda n: n * MINUTE) | st.sampled_from([1, -1, MINUTE + 1])


@st.composite
def table_cases(draw: st.DrawFn) -> TableCase:
    """A table of a few runs; no two rows of a key tie but by their run."""
    written: dict[tuple[str, int | None, int | None, int], TableRow] = {}
    timeless = draw(st.booleans())
    for _ in range(draw(st.integers(0, 12))):
        t = None if timeless else draw(TIMES)
        created = None if timeless else draw(st.none() | TIMES)
        key, run = draw(st.sampled_from(KEYS)), draw(st.integers(1, 4))
        row: dict[str, Value] = dict.fromkeys(c.name for c in COLUMNS)
        row.update(draw(rows))
        row = {name: 0.0 if cell == 0 and name == "x" else cell for name, cell in row.items()}
        row["d"] = typed(row["d"], "decimal(18,2)")
        new = TableRow(key, t, run, row, created, deleted=draw(st.integers(0, 5)) == 0)
        written[key, t, created, run] = new
    spec = draw(latest_specs())
    if timeless:
        spec = replace(spec, ttl=None)
    asked = st.builds(
        Read,
        st.sampled_from([*KEYS, "stranger"]),
        TIMES.map(lambda t: t + SECOND) | TIMES,
        st.none() | st.integers(0, 5),
        st.just({}),
    )
    return TableCase(COLUMNS, spec, tuple(written.values()), tuple(draw(st.lists(asked, min_size=1))), timeless)


@given(CASES)
def test_a_frame_over_a_stream_gives_the_definition(case: StreamCase) -> None:
    assert_agree(case, FRAME.answers(case), ORACLE.answers(case), [False] * len(case.reads))


@given(CASES, st.sampled_from([1, 2, 3, 7, None]))
def test_a_folded_state_gives_the_definition_or_refuses_lawfully(case: StreamCase, batch: int | None) -> None:
    road = FoldRoad("fold", batch)
    lawful = [road.may_refuse(case, read) for read in case.reads]
    assert_agree(case, road.answers(case), ORACLE.answers(case), lawful)


@given(table_cases())
def test_a_frame_over_a_table_gives_the_definition(case: TableCase) -> None:
    assert_agree(case, FRAME.answers(case), ORACLE.answers(case), [False] * len(case.reads))


@given(table_cases())
def test_a_stored_row_gives_the_definition_or_refuses_lawfully(case: TableCase) -> None:
    road = FoldRoad("fold", None)
    lawful = [road.may_refuse(case, read) for read in case.reads]
    assert_agree(case, road.answers(case), ORACLE.answers(case), lawful)
