"""What a client says it was served, held against the oracle, which needs packages that no image has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from examples.fraud import generator
from tests.k8s.client.scenario import SCENARIO
from tests.mesh.fraud_truth import Oracle, assert_as_the_oracle_says


def contradictions(sample: Iterable[Mapping[str, Any]]) -> list[str]:
    """Features of served vectors that are not what the records alone make of them.

    sample: of `tests.k8s.client.scenario.scenario`.
    """
    oracle, found = Oracle(generator.make(SCENARIO)), []
    for vector in sample:
        night = None if vector["night"] is None else (vector["night"][0], vector["night"][1])
        try:
            assert_as_the_oracle_says(vector["row"], oracle, vector["records"], night)
        except AssertionError as error:
            found.append(f"{vector['row']['request_id']}: {error}")
    return found
