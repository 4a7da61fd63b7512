"""Failures: whose fault, whether to try again, about what; and only then the words.

Each class is one situation and builds its own message; what the message mentions is also in ``metadata``.
Callers branch on the class, on ``reason``, ``fault`` and ``retry``, never on the text.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

_SHOWN = 50


class Reason(enum.StrEnum):
    """The stable reasons, as in the contract ``skewless.api.errors.v1.Reason``."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    INVALID_DEFINITION = "INVALID_DEFINITION"
    MEANING_CHANGED = "MEANING_CHANGED"
    STALE_PLAN = "STALE_PLAN"
    UNKNOWN_RESOURCE = "UNKNOWN_RESOURCE"
    UNKNOWN_FEATURE_SERVICE = "UNKNOWN_FEATURE_SERVICE"
    UNKNOWN_FEATURE = "UNKNOWN_FEATURE"
    ENTITY_MISMATCH = "ENTITY_MISMATCH"
    MISSING_REQUEST_FIELD = "MISSING_REQUEST_FIELD"
    WRONG_TYPE = "WRONG_TYPE"
    TOO_LARGE = "TOO_LARGE"
    OVERLOADED = "OVERLOADED"
    NOT_READY = "NOT_READY"
    DEPENDENCY_UNAVAILABLE = "DEPENDENCY_UNAVAILABLE"
    UNKNOWN_REQUEST_ID = "UNKNOWN_REQUEST_ID"
    TIMED_OUT = "TIMED_OUT"
    INTERNAL = "INTERNAL"
    BUSY = "BUSY"
    FUNCTION_NOT_SERVED = "FUNCTION_NOT_SERVED"
    API_KEY_MISSING = "API_KEY_MISSING"
    API_KEY_UNKNOWN = "API_KEY_UNKNOWN"
    API_KEY_EXPIRED = "API_KEY_EXPIRED"
    API_KEY_REVOKED = "API_KEY_REVOKED"
    API_KEY_FORBIDDEN = "API_KEY_FORBIDDEN"
    RATE_LIMITED = "RATE_LIMITED"
    INCOMPLETE = "INCOMPLETE"


class Fault(enum.StrEnum):
    """Whose fault a failure is."""

    USER = "user"
    """The caller asked for something that cannot be."""
    EXTERNAL = "external"
    """Something that the service depends on."""
    INTERNAL = "internal"
    """The service itself."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that breaks one rule."""

    path: str
    """Where: a path into the request or the definition."""
    message: str
    """What is wrong and how to put it right."""
    reason: str = ""
    """A stable name of the rule; may be empty."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class SkewlessError(Exception):
    """The base of every failure that Skewless reports.

    message: what happened, where, and how to put it right.
    metadata: what the message mentions, by name.
    violations: the fields at fault, if it is about fields.
    """

    reason: ClassVar[Reason] = Reason.INTERNAL
    fault: ClassVar[Fault] = Fault.INTERNAL
    retry: ClassVar[bool] = False
    """Whether the same call may succeed later."""
    listed: ClassVar[bool] = False
    """Whether the violations say more than the message, so that the text lists them."""

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Iterable[Violation] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: dict[str, str] = dict(metadata or {})
        self.violations: tuple[Violation, ...] = tuple(violations)
        self.retry_after_s: float | None = None
        """Of a failure that a peer reported: how long to wait before another try, in seconds, if it said so."""

    def __str__(self) -> str:
        if not self.listed:
            return self.message
        news = [text for text in map(str, self.violations) if text not in self.message]
        lines = [self.message, *(f"  {text}" for text in news[:_SHOWN])]
        if len(news) > _SHOWN:
            lines.append(f"  ... and {len(news) - _SHOWN} more")
        return "\n".join(lines)

    @classmethod
    def received(cls, message: str, metadata: Mapping[str, str], violations: Iterable[Violation]) -> Self:
        """This failure as a peer reported it, with the peer's words."""
        error = cls.__new__(cls)
        SkewlessError.__init__(error, message, metadata=metadata, violations=violations)
        return error


class InvalidArgumentError(SkewlessError):
    """Fields of a request break rules; ``violations`` names each."""

    reason = Reason.INVALID_ARGUMENT
    fault = Fault.USER
    listed = True

    def __init__(self, violations: Iterable[Violation]) -> None:
        found = tuple(violations)
        super().__init__(f"{len(found)} field(s) of the request are invalid", violations=found)


class InvalidDefinitionError(SkewlessError):
    """Definitions break rules; ``violations`` names every one of them, not only the first."""

    reason = Reason.INVALID_DEFINITION
    fault = Fault.USER
    listed = True

    def __init__(self, violations: Iterable[Violation]) -> None:
        found = tuple(violations)
        super().__init__(f"{len(found)} fault(s) in the definitions", violations=found)


class MeaningChangedError(SkewlessError):
    """Versions that are applied already would get another meaning; ``violations`` has the differences."""

    reason = Reason.MEANING_CHANGED
    fault = Fault.USER
    listed = True

    def __init__(self, violations: Iterable[Violation]) -> None:
        found = tuple(violations)
        super().__init__(f"{len(found)} applied version(s) would change their meaning", violations=found)


class StalePlanError(SkewlessError):
    """The catalogue has moved on since the plan was made; plan again."""

    reason = Reason.STALE_PLAN
    fault = Fault.USER
    retry = True

    def __init__(self, *, expected: int, actual: int) -> None:
        super().__init__(
            f"the plan was made against revision {expected}, the catalogue is at {actual}: plan again",
            metadata={"expected": str(expected), "actual": str(actual)},
        )


class _UnknownError(SkewlessError):
    fault = Fault.USER
    what: ClassVar[str]

    def __init__(self, *, name: str, known: Iterable[str] = (), kind: str = "") -> None:
        names = sorted(known)
        have = f"; known: {', '.join(names[:_SHOWN])}" if names else "; none is known"
        super().__init__(f"no {kind or self.what} {name!r}{have}", metadata={"name": name, "kind": kind or self.what})


class UnknownResourceError(_UnknownError):
    """No resource of this kind, name and version."""

    reason = Reason.UNKNOWN_RESOURCE
    what = "resource"


class UnknownFeatureServiceError(_UnknownError):
    """No such feature service is known here."""

    reason = Reason.UNKNOWN_FEATURE_SERVICE
    what = "feature service"


class UnknownFeatureError(_UnknownError):
    """No such view or feature is known here."""

    reason = Reason.UNKNOWN_FEATURE
    what = "feature"


class UnknownRequestIdError(_UnknownError):
    """No served request of this id is in the log yet; it may still arrive."""

    reason = Reason.UNKNOWN_REQUEST_ID
    retry = True
    what = "served request"

    def __init__(self, *, name: str) -> None:
        SkewlessError.__init__(
            self,
            f"no served request {name!r} in the served log; an answer is there seconds after it was given",
            metadata={"name": name, "kind": self.what},
        )


class EntityMismatchError(SkewlessError):
    """An entity key that a feature needs is absent, or one that none needs is given."""

    reason = Reason.ENTITY_MISMATCH
    fault = Fault.USER

    def __init__(self, *, missing: Iterable[str] = (), unexpected: Iterable[str] = ()) -> None:
        absent, extra = sorted(missing), sorted(unexpected)
        parts = [f"missing: {', '.join(absent)} (add them)"] if absent else []
        parts += [f"not needed by any feature: {', '.join(extra)} (leave them out)"] if extra else []
        super().__init__(
            f"the entity keys do not fit the features; {'; '.join(parts)}",
            metadata={"missing": ",".join(absent), "unexpected": ",".join(extra)},
        )


class MissingRequestFieldError(SkewlessError):
    """A request field that a feature needs is absent."""

    reason = Reason.MISSING_REQUEST_FIELD
    fault = Fault.USER

    def __init__(self, *, fields: Iterable[str]) -> None:
        names = sorted(fields)
        super().__init__(
            f"request fields are missing: {', '.join(names)}; on-demand features need them",
            metadata={"fields": ",".join(names)},
        )


class WrongTypeError(SkewlessError):
    """A value is not of the declared type, or is NaN or infinite."""

    reason = Reason.WRONG_TYPE
    fault = Fault.USER

    def __init__(self, *, field: str, expected: str, got: str) -> None:
        super().__init__(
            f"{field}: expected {expected}, got {got}",
            metadata={"field": field, "expected": expected, "got": got},
            violations=(Violation(field, f"expected {expected}, got {got}", "WRONG_TYPE"),),
        )


class NaiveTimestampError(WrongTypeError):
    """A timestamp has no zone."""

    def __init__(self, *, field: str, value: str) -> None:
        super().__init__(
            field=field,
            expected="a timestamp with a zone",
            got=f"the naive {value}; add one, e.g. datetime(..., tzinfo=timezone.utc), "
            "or Series.dt.tz_localize('America/New_York') for a column",
        )


class TooLargeError(SkewlessError):
    """The request has more rows, bytes or features than allowed."""

    reason = Reason.TOO_LARGE
    fault = Fault.USER

    def __init__(self, *, what: str, size: int, limit: int) -> None:
        super().__init__(
            f"{what}: {size} is over the limit of {limit}; send it in smaller parts",
            metadata={"what": what, "size": str(size), "limit": str(limit)},
        )


class OverloadedError(SkewlessError):
    """Too many requests are in flight; retry later."""

    reason = Reason.OVERLOADED
    fault = Fault.EXTERNAL
    retry = True

    def __init__(self, *, what: str, limit: int) -> None:
        super().__init__(
            f"{what}: the limit of {limit} is reached; retry later",
            metadata={"what": what, "limit": str(limit)},
        )


class NotReadyError(SkewlessError):
    """The service has no definitions yet."""

    reason = Reason.NOT_READY
    fault = Fault.EXTERNAL
    retry = True

    def __init__(self, *, waiting_for: str) -> None:
        super().__init__(f"not ready: waiting for {waiting_for}", metadata={"waiting_for": waiting_for})


class IncompleteError(SkewlessError):
    """Not every value of a request that wants all could be had; ``violations`` name the first of them."""

    reason = Reason.INCOMPLETE
    fault = Fault.EXTERNAL
    retry = True

    def __init__(self, *, statuses: Iterable[str]) -> None:
        names = ", ".join(statuses)
        super().__init__(f"values were not had: {names}", metadata={"statuses": names.replace(" ", "")})


class FunctionNotServedError(SkewlessError):
    """A Python function that a definition names cannot be run by this service."""

    reason = Reason.FUNCTION_NOT_SERVED
    fault = Fault.EXTERNAL

    def __init__(self, *, function: str, detail: str) -> None:
        text = detail if function in detail else f"{function}: {detail}"
        super().__init__(f"a Python function is not run here: {text}", metadata={"function": function})


class ApiKeyError(SkewlessError):
    """A call was refused because of its API key; which of the errors below it is tells why."""

    fault = Fault.USER


class ApiKeyMissingError(ApiKeyError):
    """The service asks for an API key, and the call has none."""

    reason = Reason.API_KEY_MISSING


class ApiKeyUnknownError(ApiKeyError):
    """The API key is not known, or is no key."""

    reason = Reason.API_KEY_UNKNOWN


class ApiKeyExpiredError(ApiKeyError):
    """The API key has expired."""

    reason = Reason.API_KEY_EXPIRED


class ApiKeyRevokedError(ApiKeyError):
    """The API key was revoked."""

    reason = Reason.API_KEY_REVOKED


class ApiKeyForbiddenError(ApiKeyError):
    """The API key is of another project, or not for what is asked for."""

    reason = Reason.API_KEY_FORBIDDEN


class RateLimitedError(SkewlessError):
    """Calls come more often than allowed; wait before the next one."""

    reason = Reason.RATE_LIMITED
    fault = Fault.USER
    retry = True


class DependencyUnavailableError(SkewlessError):
    """A store, broker or peer did not answer."""

    reason = Reason.DEPENDENCY_UNAVAILABLE
    fault = Fault.EXTERNAL
    retry = True

    def __init__(self, *, what: str, address: str, detail: str = "") -> None:
        super().__init__(
            f"{what} at {address} did not answer{': ' if detail else ''}{detail}; is it up and reachable?",
            metadata={"what": what, "address": address},
        )


class TimedOutError(SkewlessError):
    """What was asked did not come about within the deadline; asking again is safe."""

    reason = Reason.TIMED_OUT
    fault = Fault.EXTERNAL
    retry = True

    def __init__(self, *, what: str, seconds: float | None = None, detail: str = "") -> None:
        within = f" within {seconds:g} s" if seconds is not None else " before the deadline"
        super().__init__(f"{what} did not come about{within}{': ' if detail else ''}{detail}", metadata={"what": what})


class InternalError(SkewlessError):
    """A fault of the service itself; its log has the details under the incident's name."""

    def __init__(self, *, incident: str) -> None:
        super().__init__(
            f"internal error; the service's log has the details under incident {incident}",
            metadata={"incident": incident},
        )


class BusyError(SkewlessError):
    """Other work of the same kind is running."""

    reason = Reason.BUSY
    fault = Fault.USER
    retry = True

    def __init__(self, *, what: str) -> None:
        super().__init__(f"{what} is already running; wait for it to end", metadata={"what": what})


BY_REASON: Mapping[Reason, type[SkewlessError]] = {
    kind.reason: kind
    for kind in (
        InvalidArgumentError, InvalidDefinitionError, MeaningChangedError, StalePlanError,
        UnknownResourceError, UnknownFeatureServiceError, UnknownFeatureError, UnknownRequestIdError,
        EntityMismatchError, MissingRequestFieldError, WrongTypeError, TooLargeError, OverloadedError,
        NotReadyError, DependencyUnavailableError, TimedOutError, InternalError, BusyError,
        FunctionNotServedError, ApiKeyMissingError, ApiKeyUnknownError, ApiKeyExpiredError,
        ApiKeyRevokedError, ApiKeyForbiddenError, RateLimitedError, IncompleteError,
    )
}  # fmt: skip
"""The class of each reason: how a received failure becomes an exception again."""
