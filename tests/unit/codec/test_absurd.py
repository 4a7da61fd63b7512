"""Whatever the client is given, it answers or raises a SkewlessError. The peer is a real server that takes all."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skewless.client import Store
from skewless.client.results import Plan
from skewless.definitions.project import Project
from skewless.definitions.resource import Definition, Kind
from skewless.errors import DependencyUnavailableError, InvalidArgumentError, SkewlessError, WrongTypeError
from skewless.rpc.server import Server
from tests.unit.codec.test_client import SERVICES, Peer

AT: Final = dt.datetime(2013, 7, 1, tzinfo=dt.UTC)

GOOD: Final[dict[str, dict[str, Any]]] = {
    "plan": {"definitions": []},
    "apply": {"definitions": [], "reason": "", "after": None},
    "get_definition": {"kind": Kind.ENTITY, "name": "user", "version": ""},
    "list_definitions": {"kind": None},
    "get_online_features": {
        "features": "m@1.0.0",
        "entities": {"k": ["a"]},
        "request": {"x": [1.0]},
        "request_time": AT,
        "partial_results": "fail",
        "timeout_s": 5.0,
    },
    "log_prediction": {"request_id": "0" * 26, "model": "m", "scores": [0.5], "predicted_at": AT},
    "get_historical_features": {
        "frame": pa.table({"k": ["a"], "request_time": pa.array([0], pa.timestamp("us", "UTC"))}),
        "feature_service": "m@1.0.0",
        "knowledge": "event_time",
        "request_time_column": "request_time",
        "with_statuses": False,
        "timeout_s": 5.0,
    },
    "materialize": {"view": "v@1.0.0", "as_of": None, "timeout_s": 5.0},
    "replay": {
        "request_ids": ["0" * 26],
        "served_from": None,
        "served_until": None,
        "on_progress": None,
        "timeout_s": 5.0,
    },
    "explain": {"request_id": "0" * 26, "feature": "v:f", "row": 0, "max_events": 0},
    "stream_status": {"wait_for": [("s", 0, 1)], "wait_for_log": False, "timeout_s": 5.0},
    "source_status": {"wait_for": [("s", 0, 1)], "wait_for_log": False, "timeout_s": 5.0},
    "rewind": {"source": "s", "records": 5, "to_offset": None, "partition": None, "timeout_s": 5.0},
    "dead_letters": {"source": "s"},
    "replay_dead_letters": {"source": "s", "positions": [(1, 2, 3)], "reason": "", "timeout_s": 5.0},
    "report": {},
}
"""By method, arguments that it takes."""

PLAIN: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, -1, 10**400]),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["\ud800", "\x00", "event_time", "request_time", "entity"]),
    st.binary(max_size=4),
    st.complex_numbers(),
    st.decimals(),
    st.fractions(),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.dates(),
    st.timedeltas(),
    st.builds(object),
    st.sampled_from([int, str, Store, np.ndarray, pa.Table, len, Ellipsis, NotImplemented, Path("x"), Kind.SOURCE]),
)


def objects(cells: list[object]) -> np.ndarray[Any, Any]:
    """An array that holds these as they are; numpy would look into those that have cells of their own."""
    array: np.ndarray[Any, Any] = np.empty(len(cells), dtype=object)
    for place, cell in enumerate(cells):
        array[place] = cell
    return array


HASHABLE: Final = PLAIN.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan()))
ABSURD: Final = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(iter),
        st.dictionaries(HASHABLE, inner, max_size=3),
        st.dictionaries(st.sampled_from(["k", "x", "request_time", ""]), inner, max_size=3),
        st.sets(HASHABLE, max_size=3),
        st.builds(Definition, project=inner, kind=inner, name=inner, version=inner, meaning_json=inner),
        st.builds(Plan, changes=inner, revision=inner),
        st.builds(objects, st.lists(inner, max_size=3)),
        st.builds(pd.Series, st.lists(PLAIN, max_size=3), dtype=st.just(object)),
        st.builds(lambda cells: pd.DataFrame({"k": pd.Series(cells, dtype=object)}), st.lists(PLAIN, max_size=3)),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    server = Server("127.0.0.1:0", threads=4)
    peer = Peer()
    for stubs, messages, service in SERVICES:
        register = getattr(stubs, f"add_{service}Servicer_to_server")
        server.add(register, peer, messages.DESCRIPTOR.services_by_name[service])
    address = server.start()
    with Store(
        "flights", registry=address, online=address, offline=address, stream_agg=address, validator=address
    ) as store:
        yield store
    server.stop(0)


def ask(method: Callable[..., Any], arguments: dict[str, Any]) -> None:
    try:
        answer = method(**arguments)
        if isinstance(answer, Iterator):
            list(answer)
    except SkewlessError as error:
        told = str(error)
    else:
        return
    assert told


def test_every_method_is_asked_with_all_of_its_arguments() -> None:
    methods = {
        name: set(inspect.signature(method).parameters) - {"self"}
        for name, method in inspect.getmembers(Store, inspect.isfunction)
        if not name.startswith("_") and name != "close"
    }
    assert {name: methods[name] for name in GOOD} == {name: set(arguments) for name, arguments in GOOD.items()}


@pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name, arguments in GOOD.items() for argument in arguments]
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_one_absurd_argument(store: Store, name: str, argument: str, data: st.DataObject) -> None:
    # What the caller's own function raises is the caller's.
    absurd = ABSURD.filter(lambda given: not callable(given)) if argument == "on_progress" else ABSURD
    ask(getattr(store, name), GOOD[name] | {argument: data.draw(absurd)})


@pytest.mark.parametrize("argument", ["project", "registry", "online", "timeout_s"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_absurd_store(argument: str, data: st.DataObject) -> None:
    given: dict[str, Any] = {"project": "p", argument: data.draw(ABSURD)}
    try:
        Store(**given).close()
    except SkewlessError as error:
        told = str(error)
    else:
        return
    assert argument in told


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("get_online_features", {"features": {"v@1.0.0:f"}}, "features: expected a list of texts in an order"),
        ("get_online_features", {"features": None}, "features: expected a list of texts, got NoneType None"),
        ("get_online_features", {"features": [["v"]]}, r"features\[0\]: expected string, got list"),
        ("get_online_features", {"entities": "ada"}, "entities: expected a mapping of names to values, got str 'ada'"),
        ("get_online_features", {"entities": {7: "a"}}, "a name in entities: expected string, got int 7"),
        ("get_online_features", {"entities": {"k": {"a"}}}, r"entities\['k'\]: expected a value .* in an order"),
        ("get_online_features", {"entities": {"k": {"a": 1}}}, r"entities\['k'\]: expected a value or a list"),
        ("get_online_features", {"entities": {"k": [["a"]]}}, r"k\[0\]: expected .*, got list"),
        ("get_online_features", {"request_time": "noon"}, "request_time: expected timestamp, got str 'noon'"),
        ("get_online_features", {"timeout_s": -1}, "timeout_s: expected seconds above 0"),
        ("get_online_features", {"timeout_s": float("inf")}, "timeout_s: expected seconds above 0"),
        ("log_prediction", {"scores": "0.5"}, "scores: expected a list of numbers"),
        ("log_prediction", {"scores": [True]}, r"scores\[0\]: expected a number, got bool True"),
        ("log_prediction", {"scores": [10**400]}, r"scores\[0\]: expected a number that a double can hold"),
        ("log_prediction", {"model": None}, "model: expected a text, got NoneType None"),
        ("explain", {"row": 2**31}, "row: expected a whole number from 0 to 2147483647"),
        ("explain", {"row": True}, "row: expected a whole number"),
        ("stream_status", {"wait_for": [("s", 0)]}, r"wait_for\[0\]: expected \(source, partition, next offset\)"),
        ("stream_status", {"wait_for": [("s", "0", 1)]}, r"wait_for\[0\]\.partition: expected a whole number"),
        ("stream_status", {"wait_for_log": "yes"}, "wait_for_log: expected True or False, got str 'yes'"),
        ("rewind", {"records": 0}, "records: expected a whole number from 1 to 9223372036854775807"),
        ("rewind", {"source": 5}, "source: expected string, got int 5"),
        ("replay_dead_letters", {"positions": [(1, 2)]}, r"positions\[0\]: expected \(epoch, partition, offset\)"),
        ("replay_dead_letters", {"positions": [(0, 2, 3)]}, r"positions\[0\]\.epoch: expected a whole number from 1"),
        ("replay", {"on_progress": 5}, "on_progress: expected a function, got int 5"),
        ("get_historical_features", {"frame": 7}, "frame: expected a pyarrow table or a pandas frame, got int 7"),
        ("apply", {"definitions": None}, "definitions: expected a Project or a list of Definition"),
        ("apply", {"definitions": [Project]}, r"definitions\[0\]: expected a Definition"),
        ("apply", {"after": 3}, "after: expected a Plan, got int 3"),
    ],
)
def test_what_is_said_of_it(store: Store, name: str, change: dict[str, Any], says: str) -> None:
    with pytest.raises(WrongTypeError, match=says):
        getattr(store, name)(**GOOD[name] | change)


def test_words_that_are_none_of_the_known_are_told_with_those(store: Store) -> None:
    with pytest.raises(InvalidArgumentError, match=r"kind: must be one of entity, source, .*, got str 'thing'"):
        store.list_definitions("thing")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="knowledge: must be one of event_time, as_served, got list"):
        store.get_historical_features(GOOD["get_historical_features"]["frame"], "m@1.0.0", knowledge=[])  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="partial_results: must be one of status, fail, got str 'none'"):
        store.get_online_features("m@1.0.0", {"k": "a"}, partial_results="none")


def test_numbers_of_other_libraries_are_numbers(store: Store) -> None:
    for scores in (np.array([0.5], dtype=np.float32), [Decimal("0.5")], [Fraction(1, 2)], iter([1])):
        store.log_prediction("0" * 26, "m", scores)  # type: ignore[arg-type]


def test_a_service_that_is_away_is_named() -> None:
    with (
        Store("p", online="127.0.0.1:1", timeout_s=5) as store,
        pytest.raises(DependencyUnavailableError, match=r"online at 127\.0\.0\.1:1 did not answer"),
    ):
        store.get_online_features("m@1.0.0", {"k": "a"})
    with Store("p") as store, pytest.raises(InvalidArgumentError) as caught:
        store.report()
    assert str(caught.value) == (
        "1 field(s) of the request are invalid\n  validator: this needs its address: Store(..., validator='host:port')"
    )
