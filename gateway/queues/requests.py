"""What programs ask by a queue: submissions, answers and `taken`, one message to one outcome.

Every message ends in exactly one way: accepted (the reply goes to the response topic, if one is
named), or refused (a problem document on the error topic, and on the response topic). Only then
does the broker get its acknowledgement. While the daemon stops, a message gets neither: the broker
keeps it for the next start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Final, NoReturn

import cbor2
import msgspec

from gateway.core.effects import RejectCode, RejectRequest
from gateway.core.events import Principal
from gateway.core.records import Direction
from gateway.errors import FieldError, QueueUnavailableError
from gateway.queues.base import Desk
from gateway.queues.messages import Message, Outgoing
from gateway.store.base import Store
from gateway.wire.document import (
    answer_from_document,
    check_request_id,
    draft_from_document,
    notice_id_from_document,
    request_id_from_document,
)

PAYLOAD_SIZE_MAX: Final = 65_536
CBOR_DEPTH_MAX: Final = 8
JSON: Final = "application/json"
CBOR: Final = "application/cbor"
UNKNOWN_REQUEST: Final = "unknown"
"""Last level of the error topic where the request has no usable id."""
RESPONSE_TOPIC_SIZE_MAX: Final = 1024

Publish = Callable[[Outgoing], Awaitable[int]]
Document = dict[str, object]


def check_response_topic(topic: str | None) -> None:
    """A reply must never look like one of the gateway's own publications. Raises `FieldError`."""
    if topic is None:
        return
    if (
        not topic
        or len(topic) > RESPONSE_TOPIC_SIZE_MAX
        or any(character in topic for character in "+#\0")
        or topic.startswith(("hotline/", "$"))
    ):
        raise FieldError(
            "response topic",
            f"{topic[:40]!a} is not allowed",
            "name one outside of hotline/ and $, without + and #",
            code="bad_response_topic",
        )


class StoppingError(QueueUnavailableError):
    """The daemon stops: what is in hand stays with the broker."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Deals with the messages on `<prefix>/submit`, `/answer` and `/taken`."""

    prefix: str
    """`hotline/v1/<station>`."""
    principal: Principal
    desk: Desk
    store: Store
    check_reply: Callable[[str | None], None] = check_response_topic
    """Raises `FieldError` for a place where no reply may go."""

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(f"{self.prefix}/{name}" for name in ("submit", "answer", "taken"))

    async def deal_with(self, message: Message, publish: Publish) -> Document | None:
        """Bring one message to its end; when this returns it may be acknowledged. Gives the reply;
        None: it was refused.

        Raises `StoppingError`, or `QueueUnavailableError` of `publish`: then it must not be.
        """
        request_id: str | None = None
        try:
            document = self._document(message)
            request_id = _request_id(message, document)
            reply = await self._ask(message.topic, document, request_id)
        except FieldError as error:
            await self._refuse(message, request_id or _told_as(message), error, publish)
            return None
        if message.response_topic is not None:
            await publish(_reply(message, reply))
        return reply

    def _document(self, message: Message) -> object:
        """What a request that we may answer says. Raises `FieldError`."""
        # First: a refusal for anything else is sent to that topic too.
        self.check_reply(message.response_topic)
        if message.is_retained:
            raise FieldError(
                "retain",
                "is set; a retained message would be handed over again and again",
                "publish it without retain",
                code="retained",
            )
        return _payload(message)

    async def _ask(self, topic: str, document: object, request_id: str | None) -> Document:
        """The reply of an accepted request. Raises `FieldError`."""
        match topic.removeprefix(self.prefix):
            case "/submit":
                return await self._submit(document, _needed(request_id))
            case "/answer":
                return await self._answer(document, _needed(request_id))
            case _:
                return await self._taken(document)

    async def _submit(self, document: object, request_id: str) -> Document:
        draft = draft_from_document(
            document, station_number=self.desk.station_number, role=self.principal.role
        )
        outcome = await self.desk.submit(self.principal, request_id, draft)
        if isinstance(outcome, RejectRequest):
            _raise(outcome)
        return {
            "request_id": request_id,
            "id": str(outcome.notice_id),
            "state": outcome.state.value,
            "repeated": outcome.repeated,
        }

    async def _answer(self, document: object, request_id: str) -> Document:
        notice_id = notice_id_from_document(document)
        code, body = answer_from_document(document)
        outcome = await self.desk.answer(self.principal, request_id, notice_id, code, body)
        if isinstance(outcome, RejectRequest):
            _raise(outcome)
        return {
            "request_id": request_id,
            "id": str(outcome.answer_id),
            "notice_id": str(outcome.notice_id),
            "repeated": outcome.repeated,
        }

    async def _taken(self, document: object) -> Document:
        notice_id = notice_id_from_document(document)
        assert isinstance(document, Mapping)
        for key in document:
            if key not in ("id", "request_id"):
                raise FieldError(
                    f"{key!a:.40}", "is not a known field", "give id only", code="unknown_field"
                )
        stored = await self.store.notice(notice_id)
        if stored is None or stored.delivery.direction is not Direction.IN:
            raise FieldError(
                "id",
                f"{notice_id} is no notice that came in here",
                "repeat the id of the notice as it was published",
                code="unknown_notice",
            )
        await self.desk.taken(self.principal, notice_id)
        return {"id": str(notice_id), "taken": True}

    async def _refuse(
        self, message: Message, request_id: str | None, error: FieldError, publish: Publish
    ) -> None:
        problem: Document = {
            "request_id": request_id,
            "topic": message.topic,
            "detail": str(error),
            "code": error.code,
            "field": error.field,
            "problem": error.problem,
            "remedy": error.remedy,
        }
        name = request_id or UNKNOWN_REQUEST
        await publish(Outgoing(f"{self.prefix}/error/{name}", msgspec.json.encode(problem)))
        if message.response_topic is not None and error.code != "bad_response_topic":
            await publish(_reply(message, problem))


def _raise(rejection: RejectRequest) -> NoReturn:
    if rejection.code is RejectCode.STOPPING:
        raise StoppingError("the gateway is stopping")
    raise FieldError(
        rejection.field, rejection.problem, rejection.remedy, code=rejection.code.value
    )


def _payload(message: Message) -> object:
    """The payload as plain values. Raises `FieldError`."""
    if len(message.payload) > PAYLOAD_SIZE_MAX:
        raise FieldError(
            "payload",
            f"has {len(message.payload)} octets, the limit is {PAYLOAD_SIZE_MAX}",
            "a notice needs far less; send only its fields",
            code="too_large",
        )
    media_type = (message.content_type or JSON).split(";")[0].strip().lower()
    if media_type == CBOR:
        return _from_cbor(message.payload)
    if media_type == JSON:
        return _from_json(message.payload)
    raise FieldError(
        "content type",
        f"{media_type[:40]!a} is not understood",
        f"send {JSON} or {CBOR}",
        code="unsupported_media_type",
    )


def _from_json(payload: bytes) -> object:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FieldError(
            "payload",
            "is not JSON",
            "send one JSON object in UTF-8, or say content type application/cbor",
            code="bad_json",
        ) from error


def _from_cbor(payload: bytes) -> object:
    stream = BytesIO(payload)
    decoder = cbor2.CBORDecoder(
        stream,
        semantic_decoders=_NoTags(),
        max_depth=CBOR_DEPTH_MAX,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    try:
        value = decoder.decode()
        if stream.tell() != len(payload):
            raise ValueError("octets follow the item")
    except (cbor2.CBORError, ValueError, RecursionError) as error:
        raise FieldError(
            "payload",
            "is not plain CBOR",
            "send one map with text keys, without tags and indefinite lengths",
            code="bad_cbor",
        ) from error
    return value


def _refuse_tag(_decoder: object) -> NoReturn:
    raise cbor2.CBORDecodeError("a tag")


class _NoTags(dict[int, Callable[[object], NoReturn]]):
    """No semantic tag is ever run: each one is refused."""

    def __missing__(self, tag: int) -> Callable[[object], NoReturn]:
        return _refuse_tag

    def get(self, tag: int, default: object = None) -> Callable[[object], NoReturn]:
        return _refuse_tag

    def __contains__(self, tag: object) -> bool:
        return True


def _request_id(message: Message, document: object) -> str | None:
    """From the JSON field or the user property of the same name; all must agree."""
    in_body = request_id_from_document(document)
    given = [
        check_request_id(value) for name, value in message.user_properties if name == "request_id"
    ]
    if in_body is not None:
        given.append(in_body)
    if len(set(given)) > 1:
        raise FieldError(
            "request_id",
            "is given more than once, and differs (a user property of that name counts too)",
            "give one of them",
            code="conflict",
        )
    return given[0] if given else None


def _told_as(message: Message) -> str | None:
    """The name of a request that was refused before it was read; None: it has none that is sure."""
    document: object = None
    with suppress(FieldError):
        document = _payload(message)
    with suppress(FieldError):
        return _request_id(message, document)
    return None


def _needed(request_id: str | None) -> str:
    if request_id is None:
        raise FieldError(
            "request_id",
            "is missing",
            "name the request by the field or the user property request_id, and repeat it under "
            "the same name: then it is never done twice",
            code="missing_request_id",
        )
    return request_id


def _reply(message: Message, document: Document) -> Outgoing:
    """The reply in the encoding of the request."""
    assert message.response_topic is not None
    media_type = (message.content_type or JSON).split(";")[0].strip().lower()
    is_cbor = media_type == CBOR
    return Outgoing(
        message.response_topic,
        cbor2.dumps(document) if is_cbor else msgspec.json.encode(document),
        content_type=CBOR if is_cbor else JSON,
        correlation=message.correlation,
    )
