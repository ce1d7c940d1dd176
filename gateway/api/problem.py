"""Refusals of the API as problem documents (RFC 9457): what, where, and what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from gateway.core.effects import RejectCode, RejectRequest
from gateway.errors import FieldError

RETRY_AFTER_S: Final = 5

STATUS_OF_CODE: Final[Mapping[str, HTTPStatus]] = {
    RejectCode.INVALID.value: HTTPStatus.BAD_REQUEST,
    RejectCode.UNKNOWN_STATION.value: HTTPStatus.NOT_FOUND,
    RejectCode.UNKNOWN_NOTICE.value: HTTPStatus.NOT_FOUND,
    RejectCode.UNKNOWN_ALARM.value: HTTPStatus.NOT_FOUND,
    RejectCode.FORBIDDEN.value: HTTPStatus.FORBIDDEN,
    RejectCode.CONFLICT.value: HTTPStatus.CONFLICT,
    RejectCode.REQUEST_ID_REUSED.value: HTTPStatus.CONFLICT,
    RejectCode.STORE_REFUSED.value: HTTPStatus.SERVICE_UNAVAILABLE,
    RejectCode.FULL.value: HTTPStatus.TOO_MANY_REQUESTS,
    RejectCode.STOPPING.value: HTTPStatus.SERVICE_UNAVAILABLE,
    RejectCode.STANDBY.value: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""HTTP status of each `RejectCode`. Codes of a `FieldError` not named here are 400."""
_FIELD_STATUS: Final[Mapping[str, HTTPStatus]] = {
    "unknown_station": HTTPStatus.NOT_FOUND,
    "forbidden": HTTPStatus.FORBIDDEN,
}


@dataclasses.dataclass(eq=False)
class ProblemError(Exception):
    """A request is refused with this status. `close`: the connection cannot go on after it."""

    status: HTTPStatus
    code: str
    field: str
    problem: str
    remedy: str
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    close: bool = False

    def document(self) -> dict[str, object]:
        return {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": f"{self.field}: {self.problem}; {self.remedy}",
            "code": self.code,
            "field": self.field,
            "problem": self.problem,
            "remedy": self.remedy,
        }


def problem_of_field(error: FieldError) -> ProblemError:
    status = _FIELD_STATUS.get(error.code, HTTPStatus.BAD_REQUEST)
    return ProblemError(status, error.code, error.field, error.problem, error.remedy)


def store_refused(problem: str) -> ProblemError:
    """A full disk lets not even the database be opened."""
    rejection = RejectRequest(0, RejectCode.STORE_REFUSED, "store", problem, "then ask again")
    return problem_of_rejection(rejection)


def problem_of_rejection(rejection: RejectRequest) -> ProblemError:
    status = STATUS_OF_CODE[rejection.code.value]
    is_passing = status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)
    return ProblemError(
        status,
        rejection.code.value,
        rejection.field,
        rejection.problem,
        rejection.remedy,
        headers={"Retry-After": str(RETRY_AFTER_S)} if is_passing else {},
    )
