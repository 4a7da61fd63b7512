"""The offline service, as the validator asks it."""

from __future__ import annotations

from typing import Final

from services.validator.domain.outcome import Answer, Difference, Outcome
from services.validator.domain.queue import Batch
from skewless.api.offline.v1 import offline_service_pb2 as pb
from skewless.api.offline.v1 import offline_service_pb2_grpc as stubs
from skewless.errors import SkewlessError
from skewless.rpc.channel import connect, stream

_OUTCOMES: Final = {
    pb.REPLAY_OUTCOME_EQUAL: Outcome.EQUAL,
    pb.REPLAY_OUTCOME_DIFFERENT: Outcome.DIFFERENT,
    pb.REPLAY_OUTCOME_NOT_YET_LOGGED: Outcome.NOT_YET_LOGGED,
    pb.REPLAY_OUTCOME_NOT_ANSWERED: Outcome.NOT_ANSWERED,
    pb.REPLAY_OUTCOME_NOT_REPLAYED: Outcome.NOT_REPLAYED,
}


class OfflineClient:
    """Calls one offline service; connects when it is first asked, and again whenever it is back.

    timeout_s: how long one replay may take.
    """

    def __init__(self, address: str, *, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._channel = connect(address, pb.DESCRIPTOR.services_by_name["OfflineService"])
        self._stub = stubs.OfflineServiceStub(self._channel)

    @property
    def address(self) -> str:
        """As `services.validator.ports.Offline.address`."""
        return self._address

    def replay(self, batch: Batch) -> Answer:
        """As `services.validator.ports.Offline.replay`."""
        request = pb.ReplayRequest(
            project=batch.project,
            request_ids=batch.request_ids,
            served_from_us=batch.served_from_us,
            served_until_us=batch.served_until_us,
        )
        outcomes: dict[str, Outcome] = {}
        differences: list[Difference] = []
        different = 0
        failure = None
        try:
            answers = stream(
                self._stub.Replay, request, address=self._address, timeout_s=self._timeout_s, service="offline"
            )
            for answer in answers:
                outcomes |= {name: _OUTCOMES[outcome] for name, outcome in answer.outcomes.items()}
                differences += [Difference(found.request_id, found.row, found.feature) for found in answer.differences]
                different = answer.different
        except SkewlessError as error:
            failure = error
        return Answer(outcomes, differences, different, failure)

    def close(self) -> None:
        """Ends a call at hand and lets go of the connection."""
        self._channel.close()
