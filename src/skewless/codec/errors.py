"""Failures as `google.rpc.Status`, and back.

A status carries `ErrorInfo` (reason, domain "skewless", metadata), `BadRequest` if fields are at fault, and
`RetryInfo` if the same call may succeed later. A peer's status becomes an exception by its reason, looked up in
a fixed table: a peer never chooses what is constructed.
"""

from __future__ import annotations

from typing import Final

from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from skewless.errors import (
    BY_REASON,
    DependencyUnavailableError,
    InternalError,
    InvalidArgumentError,
    OverloadedError,
    Reason,
    SkewlessError,
    TimedOutError,
    TooLargeError,
    Violation,
)

DOMAIN: Final = "skewless"
RETRY_AFTER_MS: Final = 200
DEFAULT_BUDGET: Final = 6_000
"""Bytes of a status that any client takes: metadata beyond 8 KiB is refused by default."""

_OVERSIZED: Final = "larger than max"
"""In the words of gRPC, which has one code for a message that is too large and for a peer that is too busy."""

CODES: Final[dict[Reason, int]] = {
    Reason.INVALID_ARGUMENT: code_pb2.INVALID_ARGUMENT,
    Reason.INVALID_DEFINITION: code_pb2.INVALID_ARGUMENT,
    Reason.MEANING_CHANGED: code_pb2.FAILED_PRECONDITION,
    Reason.STALE_PLAN: code_pb2.ABORTED,
    Reason.UNKNOWN_RESOURCE: code_pb2.NOT_FOUND,
    Reason.UNKNOWN_FEATURE_SERVICE: code_pb2.NOT_FOUND,
    Reason.UNKNOWN_FEATURE: code_pb2.NOT_FOUND,
    Reason.ENTITY_MISMATCH: code_pb2.INVALID_ARGUMENT,
    Reason.MISSING_REQUEST_FIELD: code_pb2.INVALID_ARGUMENT,
    Reason.WRONG_TYPE: code_pb2.INVALID_ARGUMENT,
    Reason.TOO_LARGE: code_pb2.INVALID_ARGUMENT,
    Reason.OVERLOADED: code_pb2.RESOURCE_EXHAUSTED,
    Reason.NOT_READY: code_pb2.UNAVAILABLE,
    Reason.DEPENDENCY_UNAVAILABLE: code_pb2.UNAVAILABLE,
    Reason.UNKNOWN_REQUEST_ID: code_pb2.NOT_FOUND,
    Reason.TIMED_OUT: code_pb2.DEADLINE_EXCEEDED,
    Reason.INTERNAL: code_pb2.INTERNAL,
    Reason.BUSY: code_pb2.FAILED_PRECONDITION,
    Reason.FUNCTION_NOT_SERVED: code_pb2.FAILED_PRECONDITION,
    Reason.API_KEY_MISSING: code_pb2.UNAUTHENTICATED,
    Reason.API_KEY_UNKNOWN: code_pb2.UNAUTHENTICATED,
    Reason.API_KEY_EXPIRED: code_pb2.UNAUTHENTICATED,
    Reason.API_KEY_REVOKED: code_pb2.UNAUTHENTICATED,
    Reason.API_KEY_FORBIDDEN: code_pb2.PERMISSION_DENIED,
    Reason.RATE_LIMITED: code_pb2.RESOURCE_EXHAUSTED,
    Reason.INCOMPLETE: code_pb2.UNAVAILABLE,
}
"""The gRPC code of each reason."""


def error_to_status(error: SkewlessError, *, budget: int = DEFAULT_BUDGET) -> status_pb2.Status:
    """The status of a failure, in at most about ``budget`` bytes.

    Field violations that do not fit are counted in a last one.
    """
    status = status_pb2.Status(code=CODES[error.reason], message=_cut(error.message, budget // 4))
    info = error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN)
    for name, value in error.metadata.items():
        info.metadata[name] = _cut(value, budget // 8)
    _pack(status, info)
    if error.retry:
        delay = duration_pb2.Duration(nanos=RETRY_AFTER_MS * 1_000_000)
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    if error.violations:
        _pack(status, _bad_request(error.violations, budget - status.ByteSize()))
    return status


def error_from_status(status: status_pb2.Status, *, service: str = "the peer", address: str = "?") -> SkewlessError:
    """The failure that a peer reported; by its gRPC code if it gave no reason of ours."""
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    wait = error_details_pb2.RetryInfo()
    for detail in status.details:
        for message in (info, bad, wait):
            detail.Unpack(message)
    violations = [Violation(v.field, v.description, v.reason) for v in bad.field_violations]
    if info.domain == DOMAIN and info.reason in Reason.__members__:
        error = BY_REASON[Reason(info.reason)].received(status.message, info.metadata, violations)
        if wait.HasField("retry_delay"):
            error.retry_after_s = wait.retry_delay.ToNanoseconds() / 1e9
        return error
    return error_from_code(status.code, status.message, service=service, address=address)


def error_from_code(code: int, message: str, *, service: str = "the peer", address: str = "?") -> SkewlessError:
    """The failure of a status that carries no details, as gRPC itself makes them, of a ``service`` at an address."""
    metadata = {"what": service, "address": address, "code": code_pb2.Code.Name(code)}
    text = f"{service} at {address} answered {metadata['code']}: {message}"
    match code:
        case code_pb2.UNAVAILABLE:
            return DependencyUnavailableError(what=service, address=address, detail=message)
        case code_pb2.DEADLINE_EXCEEDED:
            return TimedOutError.received(text, metadata, ())
        case code_pb2.RESOURCE_EXHAUSTED if _OVERSIZED in message:
            return TooLargeError.received(f"{text}; send it in smaller parts", metadata, ())
        case code_pb2.RESOURCE_EXHAUSTED:
            return OverloadedError.received(text, metadata, ())
        case code_pb2.INVALID_ARGUMENT | code_pb2.OUT_OF_RANGE:
            return InvalidArgumentError.received(text, metadata, ())
    return InternalError.received(text, metadata, ())


def _bad_request(violations: tuple[Violation, ...], room: int) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    for place, violation in enumerate(violations):
        bad.field_violations.add(
            field=_cut(violation.path, 512),
            description=_cut(violation.message, 2_048),
            reason=_cut(violation.reason, 64),
        )
        if bad.ByteSize() > room - 128 and place > 0:
            del bad.field_violations[-1]
            left = len(violations) - place
            bad.field_violations.add(field="", description=f"... and {left} more", reason="TRUNCATED")
            break
    return bad


def _pack(
    status: status_pb2.Status,
    detail: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo | error_details_pb2.BadRequest,
) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(limit - 3, 0)] + "..."
