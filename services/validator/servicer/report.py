"""The gRPC door."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from services.validator.domain.profile import FeatureProfile
from services.validator.workflow import Validation
from skewless.api.validator.v1 import validator_service_pb2 as pb
from skewless.api.validator.v1 import validator_service_pb2_grpc as stubs
from skewless.rpc.server import Server


@dataclass(frozen=True)
class ValidatorServicer(stubs.ValidatorServiceServicer):
    """The report as a message."""

    validation: Validation

    def register(self, server: Server) -> None:
        """Adds the service to a server that is not started."""
        service = pb.DESCRIPTOR.services_by_name["ValidatorService"]
        server.add(stubs.add_ValidatorServiceServicer_to_server, self, service)

    def GetReport(self, request: pb.GetReportRequest, context: grpc.ServicerContext) -> pb.GetReportResponse:
        """See the contract."""
        report = self.validation.report(request.project)
        return pb.GetReportResponse(
            seen=report.seen,
            replayed=report.replayed,
            mismatches=report.mismatches,
            pending=report.pending,
            profiles=[_profile(profile) for profile in report.profiles],
            examples=[str(example) for example in report.examples],
            left_out=report.left_out,
            given_up=report.given_up,
            not_replayed=report.not_replayed,
            unread=self.validation.log_state().unread,
        )


def _profile(profile: FeatureProfile) -> pb.FeatureProfile:
    return pb.FeatureProfile(
        feature=profile.feature,
        feature_service=profile.feature_service,
        served=profile.served,
        statuses={int(status): count for status, count in profile.statuses.items()},
        coverage=profile.coverage,
        min=profile.min,
        max=profile.max,
        mean=profile.mean,
    )
