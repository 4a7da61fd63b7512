"""Meaning documents through the door: their identity, all their faults at once, the size of their states."""

import hashlib
import json
from typing import Any

import pytest

from skewless import kernel

HOUR = 3_600_000_000


def latest_view(**changes: Any) -> dict[str, Any]:
    """A latest view over a table, with some members changed."""
    view: dict[str, Any] = {
        "format": 1,
        "semantics": kernel.SEMANTICS_REVISION,
        "kind": "latest_view",
        "project": "flights",
        "name": "planes",
        "entity": {"name": "plane", "keys": [{"name": "tailnum", "type": "string"}]},
        "source": {
            "kind": "batch",
            "name": "planes",
            "columns": [
                {"name": "tailnum", "type": "string", "nullable": False},
                {"name": "seats", "type": "int64", "nullable": True},
                {"name": "built", "type": "timestamp", "nullable": True},
                {"name": "at", "type": "timestamp", "nullable": False},
            ],
            "event_time": "at",
            "created_time": None,
            "table": {"path": "planes"},
        },
        "filter": None,
        "ttl_us": None,
        "head_slack_us": 2_000_000,
        "head_max": 256,
        "state_limit_bytes": 65_536,
        "features": [
            {"name": "seats", "column": "seats", "type": "int64"},
            {"name": "built", "column": "built", "type": "timestamp"},
        ],
    }
    return view | changes


def canonical(document: dict[str, Any]) -> bytes:
    """The document's canonical bytes; these documents hold neither fractions nor non-ASCII keys."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_the_hash_is_that_of_the_bytes() -> None:
    meaning = canonical(latest_view())
    assert kernel.meaning_hash(meaning) == hashlib.sha256(meaning).digest()
    assert kernel.meaning_hash(meaning) != kernel.meaning_hash(canonical(latest_view(ttl_us=HOUR)))


def test_other_bytes_of_the_same_document_have_no_hash() -> None:
    spaced = json.dumps(latest_view(), sort_keys=True).encode()
    with pytest.raises(kernel.DefinitionError) as caught:
        kernel.meaning_hash(spaced)
    assert (caught.value.path, caught.value.reason) == ("$", "NOT_CANONICAL")


def test_a_sound_meaning_has_no_faults() -> None:
    assert kernel.check_meaning(canonical(latest_view())) == []


def test_all_faults_are_told_at_once() -> None:
    view = latest_view(ttl_us=-1)
    view["features"][0]["column"] = "chairs"
    faults = kernel.check_meaning(canonical(view))
    assert {path for path, _, _ in faults} == {"$.ttl_us", "$.features[0].column"}
    assert all(reason.isupper() and message for _, reason, message in faults)


@pytest.mark.parametrize("meaning", [b"", b"\xff", b"{}", b"[]", b"null", b'{"a":' * 200])
def test_what_is_no_meaning_is_a_fault_and_nothing_worse(meaning: bytes) -> None:
    assert len(kernel.check_meaning(meaning)) >= 1


def test_the_size_of_a_state_is_bounded_by_its_columns() -> None:
    one = kernel.worst_case_bytes(canonical(latest_view(features=latest_view()["features"][:1])))
    both = kernel.worst_case_bytes(canonical(latest_view()))
    assert 41 < one < both < 100


def test_what_keeps_no_state_has_no_size() -> None:
    entity = {"format": 1, "kind": "entity", "project": "flights", **latest_view()["entity"]}
    assert kernel.check_meaning(canonical(entity)) == []
    with pytest.raises(kernel.DefinitionError, match="keeps no state") as caught:
        kernel.worst_case_bytes(canonical(entity))
    assert caught.value.faults == [("$.kind", "NO_STATE", caught.value.faults[0][2])]
    with pytest.raises(kernel.DefinitionError):
        kernel.worst_case_bytes(b"{}")
