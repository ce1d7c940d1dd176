"""Who may ask for what, and whether it can be: the checks before anything is accepted."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from gateway.core.effects import CLEARED_BY_HAND, Alarm, RejectCode, RejectRequest
from gateway.core.events import AnswerSubmitted, ClearAsked, NoticeSubmitted, Principal
from gateway.core.records import PutSubmission
from gateway.model import ActId, NoticeDraft


def reject(token: int, code: RejectCode, field: str, problem: str, remedy: str) -> RejectRequest:
    return RejectRequest(token, code, field, problem, remedy)


def check_submit_right(event: NoticeSubmitted) -> RejectRequest | None:
    """A principal's rights are of its adapter or socket user, never of the body."""
    principal, draft = event.principal, event.draft
    rights = principal.rights
    who = f"{principal.user} (by {principal.adapter})"
    if draft.operation not in rights.submit:
        allowed = ", ".join(op.name for op in sorted(rights.submit)) or "nothing"
        return reject(
            event.token,
            RejectCode.FORBIDDEN,
            "operation",
            f"{who} may not submit {draft.operation.name}; allowed: {allowed}",
            "ask the technician to extend the rights in the configuration",
        )
    if draft.precedence < rights.precedence:
        return reject(
            event.token,
            RejectCode.FORBIDDEN,
            "precedence",
            f"{who} may not submit {draft.precedence.name}; up to {rights.precedence.name}",
            "choose a lower precedence or ask the technician",
        )
    return None


def check_answer_right(event: AnswerSubmitted) -> RejectRequest | None:
    if event.principal.rights.answer:
        return None
    return reject(
        event.token,
        RejectCode.FORBIDDEN,
        "answer",
        f"{event.principal.user} (by {event.principal.adapter}) may not answer",
        "answer as a user with that right, or ask the technician",
    )


def check_clear(event: ClearAsked, alarm: Alarm | None) -> RejectRequest | None:
    """Who may answer may clear what has happened; what still is ends by itself alone."""
    if not event.principal.rights.answer:
        return reject(
            event.token,
            RejectCode.FORBIDDEN,
            "alarm",
            f"{event.principal.user} (by {event.principal.adapter}) may not clear alarms",
            "clear it as a user with the right to answer, or ask the technician",
        )
    if alarm is None:
        return reject(
            event.token,
            RejectCode.UNKNOWN_ALARM,
            "alarm",
            f"no alarm {event.name} is lit",
            "take its name from `hotline status`",
        )
    if alarm.code not in CLEARED_BY_HAND:
        return reject(
            event.token,
            RejectCode.CONFLICT,
            "alarm",
            f"{event.name} tells what is so still",
            "mend its cause; it ends by itself then",
        )
    return None


class Submissions:
    """Request ids that led to an act, so that a repeat finds it. The oldest is forgotten first."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        # Not a dict: that looks for its oldest among all that were deleted before it.
        self._known: OrderedDict[tuple[str, str], tuple[bytes, ActId]] = OrderedDict()

    def restore(self, submission: PutSubmission) -> None:
        self._keep(
            (submission.principal, submission.request_id), (submission.sha256, submission.act_id)
        )

    def find(
        self, principal: Principal, request_id: str, sha256: bytes
    ) -> tuple[ActId, bool] | None:
        """(act id, same content) of an earlier request under this id; None: a new one."""
        known = self._known.get((_name(principal), request_id))
        return None if known is None else (known[1], known[0] == sha256)

    def add(
        self, principal: Principal, request_id: str, sha256: bytes, act_id: ActId
    ) -> PutSubmission:
        self._keep((_name(principal), request_id), (sha256, act_id))
        return PutSubmission(_name(principal), request_id, sha256, act_id)

    def _keep(self, key: tuple[str, str], value: tuple[bytes, ActId]) -> None:
        self._known[key] = value
        if len(self._known) > self._count_max:
            self._known.popitem(last=False)


def _name(principal: Principal) -> str:
    return f"{principal.adapter}/{principal.user}"


def content_hash(content: NoticeDraft | tuple[object, ...]) -> bytes:
    """SHA-256 of a request's content: the same id with other content is another request."""
    return hashlib.sha256(repr(content).encode()).digest()
