"""openapi.yaml and the running server agree: every path, method and status in the file."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.api.connection import ApiLimits
from gateway.api.peer import Peer, Users
from gateway.api.routes import OF_NOTICE, PLAIN, QUERIES
from gateway.api.server import ApiServer
from gateway.core.claim import Obstacle
from gateway.core.effects import Alarm, AlarmCode, PendingNotice, RejectCode
from gateway.core.records import DropOutlived
from gateway.errors import FieldError
from gateway.model import (
    AnswerCode,
    DeliveryState,
    Instant,
    Kind,
    LinkState,
    Operation,
    Precedence,
    Role,
    Station,
    TimeQuality,
)
from gateway.wire.document import answer_from_document, draft_from_document
from tests.integration.desk_double import BOOT_ID, FAR, MemoryDesk, clock, status

SPEC: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "gateway/api/openapi.yaml").read_text(encoding="utf-8")
)
SCHEMAS = SPEC["components"]["schemas"]
SMALL = {"to": "SOUTH", "kind": "NOTIFY", "operation": "TEST"}
DEADLINE_S = 20
CLEAR = "/v1/alarms/{name}/clear"


def check(schema: dict[str, Any], document: object) -> None:
    """Raise if `document` does not match a schema of the file."""
    whole = {**schema, "components": SPEC["components"]}
    jsonschema.Draft202012Validator(whole).validate(document)


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """A part of the file, or what it refers to."""
    if "$ref" not in part:
        return part
    found: Any = SPEC
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


def declared() -> Iterator[tuple[str, str, int]]:
    for path, operations in SPEC["paths"].items():
        for method, operation in operations.items():
            if method != "parameters":
                for code in operation["responses"]:
                    yield path, method, int(code)


class Caller:
    """Speaks raw HTTP, checks each response against the file and notes what was seen."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self.seen: set[tuple[str, str, int]] = set()

    async def call(
        self,
        method: str,
        template: str,
        *,
        notice_id: object = "",
        alarm: str = "",
        query: str = "",
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        path = template.replace("{id}", str(notice_id)).replace("{name}", alarm)
        target = path + query
        lines = {"Host": "x", "Connection": "close"} | (headers or {})
        if body is not None:
            lines["Content-Length"] = str(len(octets))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        reader, writer = await asyncio.open_unix_connection(self._socket_path)
        writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode())
        if body is not None:
            writer.write(octets)
        async with asyncio.timeout(DEADLINE_S):
            raw_head = (await reader.readuntil(b"\r\n\r\n")).decode()
            rest = b"" if "text/event-stream" in raw_head else await reader.read()
        writer.close()
        return self._checked(method.lower(), template, raw_head, rest)

    def _checked(self, method: str, template: str, head: str, rest: bytes) -> tuple[int, Any]:
        code = int(head.split()[1])
        response = resolved(SPEC["paths"][template][method]["responses"][str(code)])
        media_type = next(
            line.split(":", 1)[1].strip()
            for line in head.splitlines()
            if line.lower().startswith("content-type:")
        )
        assert media_type in response["content"], (template, method, code, media_type)
        for name in response.get("headers", {}):
            assert f"\n{name.lower()}:" in head.lower()
        document = None
        if media_type.endswith("json"):
            document = json.loads(rest)
            check(response["content"][media_type]["schema"], document)
        self.seen.add((template, method, code))
        return code, document


class TwoGateways:
    """A spare whose other gateway was promoted by hand."""

    is_unreplicated = True

    def document(self) -> dict[str, object]:
        other = {"name": "b", "held_by": "hand"}
        return {
            "name": "a",
            "role": "standby",
            "held_by": "none",
            "term": 3,
            "other": other,
            "cluster": "",
            "problem": "",
            "vacancy": "",
            "follower": "",
            "unreplicated_count": 0,
            "pending": {"for_s": 43, "reason": "the cluster has not taken it"},
        }

    async def promote(self, *, other_is_off: bool) -> Obstacle | None:
        return None if other_is_off else Obstacle("gateway b is active", "make it stand by")

    async def stand_by(self) -> None:
        """It does already."""


async def test_every_response_of_the_file_is_given_by_the_server(tmp_path: Path) -> None:
    """Each declared status of each operation was caused, and its document matches its schema."""
    desk = MemoryDesk()
    path = tmp_path / "api.sock"
    server = ApiServer(
        desk,
        desk.store,
        path,
        {},
        clock=clock,
        boot_id=BOOT_ID,
        limits=ApiLimits(stream_count_max=1),
        panel=lambda _status: {"lamps": {"alive": 1}, "patterns": {"alive": "steady"}},
        spare=TwoGateways(),
    )
    server.open()
    task = asyncio.create_task(server.run())
    caller = Caller(path)
    await _submit_everything(desk, caller)
    await _look_at_everything(desk, caller)
    await _fill_the_streams(server, path, caller)
    for wish, expected in (
        ({"role": "active"}, 409),
        ({"role": "active", "other_is_off": True}, 202),
        ({"role": "standby"}, 202),
        ({"role": "spare"}, 400),
        ({"role": "active", "other_is_off": 1}, 400),
        ({"role": "active", "force": True}, 400),
        ([], 400),
    ):
        assert (await caller.call("POST", "/v1/spare", body=wish))[0] == expected
    assert (await caller.call("GET", "/v1/spare"))[0] == 200
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _look_as_stranger(desk, path, caller)
    assert caller.seen == set(declared())


async def _submit_everything(desk: MemoryDesk, caller: Caller) -> None:
    post = SPEC["paths"]["/v1/notices"]["post"]
    for example in post["requestBody"]["content"]["application/json"]["examples"].values():
        for expected in (201, 200):
            assert (await caller.call("POST", "/v1/notices", body=example["value"]))[0] == expected
    named = SMALL | {"request_id": "x"}
    for body, headers, expected in (
        (SMALL, {}, 400),
        (named | {"to": "WEST"}, {}, 404),
        (b"x" * 70_000, {}, 413),
        (named, {"Content-Type": "text/plain"}, 415),
    ):
        code, _ = await caller.call("POST", "/v1/notices", body=body, headers=headers)
        assert code == expected
    for reject, expected in (
        (RejectCode.FORBIDDEN, 403),
        (RejectCode.CONFLICT, 409),
        (RejectCode.FULL, 429),
        (RejectCode.STORE_REFUSED, 503),
    ):
        desk.reject = reject
        assert (await caller.call("POST", "/v1/notices", body=named))[0] == expected
    desk.reject = None


async def _look_at_everything(desk: MemoryDesk, caller: Caller) -> None:
    own = desk.accepted[0]
    assert own[1]
    arrived = desk.arrive("hello", operation=Operation.OPERATION)
    one = "/v1/notices/{id}"
    answers = SPEC["paths"][f"{one}/answers"]["post"]["requestBody"]["content"]["application/json"]
    for example in answers["examples"].values():
        for expected in (201, 200):
            code, _ = await caller.call(
                "POST", f"{one}/answers", notice_id=arrived.id, body=example["value"]
            )
            assert code == expected
    roger = {"request_id": "other", "answer": "ROGER"}
    await caller.call("POST", f"{one}/answers", notice_id=arrived.id, body={"answer": "ROGER"})
    await caller.call("POST", f"{one}/answers", notice_id="2-3f2a-99", body=roger)
    for reject in (RejectCode.FORBIDDEN, RejectCode.CONFLICT, RejectCode.STOPPING):
        desk.reject = reject
        await caller.call("POST", f"{one}/answers", notice_id=arrived.id, body=roger)
    desk.reject = None
    for action in ("taken", "displayed"):
        for notice_id in (arrived.id, "2-3f2a-99", "1-3f2a-1"):
            await caller.call("POST", f"{one}/{action}", notice_id=notice_id)
    for notice_id in (arrived.id, "1-3f2a-1", "2-3f2a-99", "x"):
        await caller.call("GET", one, notice_id=notice_id)
    await caller.call("GET", "/v1/status")
    desk.show(_full_status(desk))
    for reject in (RejectCode.FORBIDDEN, RejectCode.CONFLICT, RejectCode.STOPPING):
        desk.reject = reject
        await caller.call("POST", CLEAR, alarm="no-link")
    desk.reject = None
    assert (await caller.call("POST", CLEAR, alarm="no-link"))[0] == 200
    assert (await caller.call("POST", CLEAR, alarm="no-link"))[0] == 404
    desk.log("link", name="radio", octets=b"\x01", count=3, nothing=None)
    await desk.store.commit([DropOutlived((), (2,))])
    for template in ("/v1/notices", "/v1/events"):
        assert (await caller.call("GET", template, query="?after=1"))[0] == 410
    for template in (
        "/v1/notices",
        "/v1/inbox",
        "/v1/outbox",
        "/v1/log",
        "/v1/log/head",
        "/v1/events",
    ):
        await caller.call("GET", template)
        await caller.call("GET", template, query="?unknown=1")
    await caller.call("GET", "/v1/status")


def _full_status(desk: MemoryDesk) -> Any:
    pending = PendingNotice(
        desk.arrive().id,
        Precedence.FLASH,
        Operation.OPERATION,
        DeliveryState.RECEIPTED,
        Instant(0),
        displayed=True,
        overdue=True,
    )
    alarms = (
        Alarm(AlarmCode.OVERDUE, "no answer", FAR, pending.notice_id),
        Alarm(AlarmCode.NO_LINK, "no link"),
    )
    return status(pending_in=(pending,), pending_in_count=1, pending_out=(pending,), alarms=alarms)


async def _fill_the_streams(server: ApiServer, path: Path, caller: Caller) -> None:
    _, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(DEADLINE_S):
        while server._streams.total() == 0:
            await asyncio.sleep(0.01)
    await caller.call("GET", "/v1/events")
    await caller.call("GET", "/v1/notices", query="?wait=1")
    writer.close()


class Strangers(Users):
    """Everyone is a user that the configuration does not name."""

    def peer(self, connection: socket.socket) -> Peer:
        return self.of_uid(4_000_000)


async def _look_as_stranger(desk: MemoryDesk, path: Path, caller: Caller) -> None:
    server = ApiServer(desk, desk.store, path, {}, clock=clock, boot_id=BOOT_ID)
    server._users = Strangers({})
    server.open()
    task = asyncio.create_task(server.run())
    assert (await caller.call("GET", "/v1/spare"))[0] == 404
    assert (await caller.call("POST", "/v1/spare", body={"role": "active"}))[0] == 404
    server._office = dataclasses.replace(server._office, spare=TwoGateways())
    assert (await caller.call("POST", "/v1/spare", body={"role": "active"}))[0] == 403
    for action in ("taken", "displayed"):
        template = f"/v1/notices/{{id}}/{action}"
        assert (await caller.call("POST", template, notice_id="2-3f2a-1"))[0] == 403
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_paths_methods_and_parameters_are_those_of_the_server() -> None:
    """The file names neither more nor fewer of them than the server knows."""
    served = {(path, method.lower()) for path, handlers in PLAIN.items() for method in handlers}
    served |= {
        (f"/v1/notices/{{id}}{end}", method.lower())
        for end, handlers in OF_NOTICE.items()
        for method in handlers
    }
    served |= {("/v1/notices", "get"), ("/v1/events", "get"), (CLEAR, "post")}
    assert served == {(path, method) for path, method, _ in declared()}
    for path, operations in SPEC["paths"].items():
        parameters = [resolved(one) for one in operations.get("get", {}).get("parameters", [])]
        names = {one["name"] for one in parameters if one["in"] == "query"}
        assert names == set(QUERIES.get(path, ()))


def test_words_are_those_of_the_model() -> None:
    """Every list of words in the file is the one that the code has."""
    assert SCHEMAS["Kind"]["enum"] == [kind.name for kind in Kind]
    assert SCHEMAS["Precedence"]["enum"] == [precedence.name for precedence in Precedence]
    assert SCHEMAS["Operation"]["enum"] == [operation.name for operation in Operation]
    assert SCHEMAS["Role"]["enum"] == [role.name.lower() for role in Role]
    assert SCHEMAS["State"]["enum"] == [state.value for state in DeliveryState]
    assert SCHEMAS["TimeQuality"]["enum"] == [quality.name.lower() for quality in TimeQuality]
    assert SCHEMAS["Link"]["properties"]["state"]["enum"] == [state.value for state in LinkState]
    assert SCHEMAS["Alarm"]["properties"]["code"]["enum"] == [code.value for code in AlarmCode]
    codes = [code.name for code in AnswerCode]
    assert SCHEMAS["Answer"]["properties"]["answer"]["enum"] == codes
    assert SCHEMAS["AnswerRequest"]["properties"]["answer"]["enum"] == codes[:-1]


@pytest.mark.parametrize("key", list(SCHEMAS["Submission"]["properties"]))
def test_submission_fields_are_read(key: str) -> None:
    """Every field of the submission's schema is known to the reader, and refused as a list."""
    document: dict[str, Any] = SMALL | {key: [[[]]]}
    with pytest.raises(jsonschema.ValidationError):
        check({"$ref": "#/components/schemas/Submission"}, document)
    if key == "request_id":
        return  # the adapters read it
    with pytest.raises(FieldError) as caught:
        draft_from_document(document, station_number=lambda _name: Station(2))
    assert caught.value.code != "unknown_field"


def test_answer_fields_are_read() -> None:
    """The answer's schema has exactly the fields that the reader knows."""
    known = set(SCHEMAS["AnswerRequest"]["properties"])
    with pytest.raises(FieldError) as caught:
        answer_from_document({"x": 1})
    assert set(caught.value.remedy.removeprefix("remove it; known here are ").split(", ")) == known


def test_the_file_is_a_schema() -> None:
    """Every schema in the file is a valid JSON Schema (OpenAPI 3.1 uses draft 2020-12)."""
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)
