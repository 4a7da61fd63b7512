"""States that stores hold are read for ever, and the same events give the same bytes in every build."""

from functools import cache
from pathlib import Path

import pytest
import rfc8785

from skewless import kernel
from tests.golden.states import Golden, answers, files, folded, load, state_of

FILES = pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
STREAMS = pytest.mark.parametrize("path", [path for path in files() if "rows" not in load(path)], ids=lambda p: p.stem)


@FILES
def test_golden_bytes_give_golden_answers(path: Path) -> None:
    golden = load(path)
    assert answers(golden, golden["stored"]) == golden["answers"]


@FILES
def test_the_same_events_give_the_same_bytes(path: Path) -> None:
    golden = load(path)
    assert folded(golden) == golden["stored"]


@STREAMS
def test_a_writer_takes_golden_bytes_up(path: Path) -> None:
    golden = load(path)
    for entity in golden["stored"]:
        head, body = state_of(golden["stored"], entity)
        assert head is not None
        state = view(golden).open_partition(3, 7, 1)
        state.load(entity, head, body)
        assert state.cached == 1
        assert state.dirty == 0


@FILES
def test_an_unknown_form_is_refused_by_name(path: Path) -> None:
    golden = load(path)
    entity = next(iter(golden["stored"]))
    head, body = state_of(golden["stored"], entity)
    assert head is not None
    form = 2 if "rows" in golden else 1
    assert head[0] == form
    for other in (0, 3, 255):
        with pytest.raises(kernel.StateError, match=f"has form {other}, which this kernel does not read"):
            read(golden, bytes([other]) + head[1:], body)
    with pytest.raises(kernel.StateError, match="the state is empty"):
        read(golden, b"", body)
    for length in range(1, len(head)):
        with pytest.raises(kernel.StateError):
            take(golden, entity, head[:length], body)


def test_the_body_of_a_state_has_a_form_of_its_own_and_belongs_to_its_head() -> None:
    golden = load(files()[0].with_name("window.json"))
    entity = next(iter(golden["stored"]))
    head, body = state_of(golden["stored"], entity)
    assert head is not None
    assert body is not None
    assert body[0] == 1
    for other in (None, body[:-1], bytes([2]) + body[1:]):
        with pytest.raises(kernel.StateError, match="the body is not the one the head was written with"):
            read(golden, head, other)


def view(golden: Golden) -> kernel.StreamView:
    """The view of a stream's states."""
    return compiled(rfc8785.dumps(golden["meaning"]))


@cache
def compiled(meaning: bytes) -> kernel.StreamView:
    """A view, compiled once."""
    return kernel.StreamView(meaning)


def read(golden: Golden, head: bytes, body: bytes | None) -> None:
    """Reads at an instant that the state answers."""
    at = max(at for _, at in golden["reads"])
    if "rows" in golden:
        kernel.LatestView(rfc8785.dumps(golden["meaning"])).read(head, at)
    else:
        view(golden).read(head, body, at)


def take(golden: Golden, entity: str, head: bytes, body: bytes | None) -> None:
    """Reads the whole state."""
    if "rows" in golden:
        read(golden, head, body)
    else:
        view(golden).open_partition(3, 7, 1).load(entity, head, body)
