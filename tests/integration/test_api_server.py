"""The API on a real Unix socket: endpoints, refusals and bounds, as a client sees them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import pwd
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.api.client import ApiClient, RefusedError, ServerEvent
from gateway.api.connection import ApiLimits
from gateway.api.peer import Peer, Users
from gateway.api.server import ApiServer
from gateway.core.effects import RejectCode
from gateway.core.events import Principal, Rights
from gateway.core.records import DropOutlived
from gateway.errors import ConfigError
from gateway.model import DeliveryState, Instant, Operation, Precedence, Role
from tests.integration.desk_double import BOOT_ID, MemoryDesk, clock, status

NOTICE = {"to": "SOUTH", "kind": "NOTIFY", "operation": "TEST", "text": "hello"}
DEADLINE_S = 20


class Running:
    """A desk, its server, and ways to talk to it."""

    def __init__(self, desk: MemoryDesk, server: ApiServer, path: Path) -> None:
        self.desk = desk
        self.server = server
        self.path = path

    async def call(self, work: Callable[[ApiClient], Any]) -> Any:
        """Run `work` with a client in a thread."""

        def run() -> Any:
            with ApiClient(self.path, timeout_s=DEADLINE_S) as client:
                return work(client)

        return await asyncio.to_thread(run)

    async def refused(self, work: Callable[[ApiClient], Any]) -> RefusedError:
        with pytest.raises(RefusedError) as caught:
            await self.call(work)
        return caught.value

    async def raw(self, octets: bytes, *, close: bool = False) -> bytes:
        """Send octets, perhaps say that no more come, and read to the end of the connection."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        async with asyncio.timeout(DEADLINE_S):
            writer.write(octets)
            if close:
                writer.write_eof()
            answer = await reader.read()
        writer.close()
        return answer


@asynccontextmanager
async def running(path: Path, **options: Any) -> AsyncIterator[Running]:
    desk = MemoryDesk()
    users = options.pop("users", {})
    server = ApiServer(desk, desk.store, path, users, clock=clock, boot_id=BOOT_ID, **options)
    server.open()
    task = asyncio.create_task(server.run())
    try:
        yield Running(desk, server, path)
    finally:
        assert not task.done(), "nothing that a client does ends the server"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not path.exists()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "api.sock") as server:
        yield server


def principal(submit: set[Operation], role: Role = Role.LIAISON_OFFICER) -> Principal:
    return Principal("api", "root", role, Rights(frozenset(submit), Precedence.FLASH, answer=False))


async def test_a_notice_is_submitted_once_per_request_id(api: Running) -> None:
    """The same Idempotency-Key gives the same notice, 201 first and 200 then."""
    first = await api.call(lambda c: c.post("/v1/notices", NOTICE, request_id="a-1"))
    again = await api.call(lambda c: c.post("/v1/notices", NOTICE | {"request_id": "a-1"}))
    assert first == {"id": "1-3f2a-1", "request_id": "a-1", "state": "QUEUED", "repeated": False}
    assert again == first | {"repeated": True}
    assert len(api.desk.accepted) == 1
    who = api.desk.accepted[0][0]
    assert (who.user, who.role) == ("root", Role.DUTY_OFFICER)


async def test_the_answer_to_a_submission_waits_for_the_commit(api: Running) -> None:
    """As long as the desk has not committed, the client gets no answer."""
    api.desk.gate.clear()
    call = asyncio.create_task(api.call(lambda c: c.post("/v1/notices", NOTICE, request_id="slow")))
    assert await api.call(lambda c: c.get("/v1/outbox")) == {"notices": []}
    assert not call.done()
    api.desk.gate.set()
    assert (await call)["state"] == "QUEUED"


@pytest.mark.parametrize(
    ("document", "status_code", "code", "field"),
    [
        (NOTICE, 400, "missing_request_id", "request_id"),
        (NOTICE | {"request_id": "a", "kind": "HELLO"}, 400, "unknown_kind", "kind"),
        (NOTICE | {"request_id": "a", "to": "WEST"}, 404, "unknown_station", "to"),
        (NOTICE | {"request_id": "a", "text": "x" * 1025}, 400, "text_too_long", "text"),
        (NOTICE | {"request_id": "a", "text": "\u202e"}, 400, "bad_text", "text"),
        (NOTICE | {"request_id": "a b"}, 400, "bad_request_id", "request_id"),
        (NOTICE | {"request_id": "a", "user": "x"}, 400, "unknown_field", "user"),
        ({"request_id": "a", "to": "SOUTH"}, 400, "missing_field", "kind"),
    ],
)
async def test_wrong_notices_are_refused(
    api: Running, document: dict[str, Any], status_code: int, code: str, field: str
) -> None:
    """Each wrong submission gets its status, code, field and a remedy; nothing reaches the desk."""
    error = await api.refused(lambda c: c.post("/v1/notices", document))
    assert (error.status, error.code, error.field) == (status_code, code, field)
    assert error.remedy
    assert api.desk.accepted == []


@pytest.mark.parametrize(
    ("code", "status_code"),
    [
        (RejectCode.INVALID, 400),
        (RejectCode.UNKNOWN_STATION, 404),
        (RejectCode.UNKNOWN_NOTICE, 404),
        (RejectCode.FORBIDDEN, 403),
        (RejectCode.CONFLICT, 409),
        (RejectCode.REQUEST_ID_REUSED, 409),
        (RejectCode.STORE_REFUSED, 503),
        (RejectCode.FULL, 429),
        (RejectCode.STOPPING, 503),
    ],
)
async def test_rejections_of_the_engine(api: Running, code: RejectCode, status_code: int) -> None:
    """Every reject code of the core has its HTTP status."""
    api.desk.reject = code
    error = await api.refused(lambda c: c.post("/v1/notices", NOTICE, request_id="a"))
    assert (error.status, error.code) == (status_code, code.value)


async def test_header_and_body_must_name_the_same_request(api: Running) -> None:
    """Two different request ids in one submission are a conflict."""
    error = await api.refused(
        lambda c: c.post("/v1/notices", NOTICE | {"request_id": "a"}, request_id="b")
    )
    assert (error.status, error.code) == (400, "conflict")


async def test_an_inbound_notice_is_shown_answered_and_taken(api: Running) -> None:
    """Inbox, single notice with history and answers, displayed, answer, taken."""
    arrived = api.desk.arrive("fire at 35.1, 38.7")
    path = f"/v1/notices/{arrived.id}"
    [listed] = (await api.call(lambda c: c.get("/v1/inbox", open_only=True)))["notices"]
    assert listed["text"] == "fire at 35.1, 38.7"
    assert (listed["from"], listed["state"], listed["age_s"]) == ("SOUTH", "MACHINE RECEIPT", 3)
    assert listed["note"] == "RECEIPT IS NOT CONSENT"
    await api.call(lambda c: c.post(f"{path}/displayed"))
    assert api.desk.seen_displayed == [arrived.id]
    answer = await api.call(
        lambda c: c.post(f"{path}/answers", {"answer": "ROGER"}, request_id="r-1")
    )
    assert answer == {
        "id": "1-3f2a-1",
        "request_id": "r-1",
        "notice_id": str(arrived.id),
        "repeated": False,
    }
    await api.call(lambda c: c.post(f"{path}/taken"))
    full = await api.call(lambda c: c.get(path))
    assert (full["state"], full["displayed"], full["taken"]) == ("ROGER", True, True)
    assert full["history"][0]["state"] == "MACHINE RECEIPT"
    assert full["history"][0]["link"] == "radio"
    assert full["answers"][0]["answer"] == "ROGER"
    untaken = await api.call(lambda c: c.get("/v1/notices", topic="notice", untaken=True))
    assert untaken == {"publications": [], "next": 0}


async def test_taken_and_displayed_are_for_inbound_notices(api: Running) -> None:
    """An own notice cannot be taken, an unknown one is 404."""
    await api.call(lambda c: c.post("/v1/notices", NOTICE, request_id="a"))
    error = await api.refused(lambda c: c.post("/v1/notices/1-3f2a-1/taken"))
    assert (error.status, error.code) == (409, "conflict")
    error = await api.refused(lambda c: c.post("/v1/notices/2-3f2a-9/displayed"))
    assert (error.status, error.code) == (404, "unknown_notice")


async def test_the_feed_is_numbered_and_filtered(api: Running) -> None:
    """Publications come in the order of their offsets, after N, by topic, and with a limit."""
    api.desk.arrive("one")
    api.desk.arrive("two")
    everything = await api.call(lambda c: c.get("/v1/notices"))
    assert [row["offset"] for row in everything["publications"]] == [1, 2, 3, 4]
    assert everything["next"] == 4
    notices = await api.call(lambda c: c.get("/v1/notices", topic="notice", after=1))
    assert [row["document"]["text"] for row in notices["publications"]] == ["two"]
    first = await api.call(lambda c: c.get("/v1/notices", limit=1))
    assert (len(first["publications"]), first["next"]) == (1, 1)


async def test_an_offset_of_before_what_was_removed_is_gone(api: Running) -> None:
    """Who reads on from there would miss something unseen: 410, with both ways on; 0 reads on."""
    for text in ("one", "two", "three"):
        api.desk.arrive(text)
    await api.desk.store.commit([DropOutlived((), (1, 2, 4))])
    for path in ("/v1/notices?after=3", "/v1/events?after=1"):
        error = await api.refused(partial(ApiClient.get, path=path))
        assert (error.status, error.code) == (410, "gone")
        assert "read what is kept from after=0, or go on with after=4" in str(error)
    for after, offsets in ((0, [3, 5, 6]), (4, [5, 6]), (6, [])):
        rows = await api.call(partial(ApiClient.get, path="/v1/notices", after=after))
        assert [row["offset"] for row in rows["publications"]] == offsets
    assert (await api.call(lambda c: c.get("/v1/notices", untaken=1, after=1)))["publications"]


async def test_a_long_poll_wakes_for_a_publication(api: Running) -> None:
    """With `wait` the answer comes with the first publication, not before, not much later."""
    call = asyncio.create_task(api.call(lambda c: c.get("/v1/notices", wait_s=60)))
    await api.call(lambda c: c.get("/v1/outbox"))
    assert not call.done()
    api.desk.arrive("now")
    async with asyncio.timeout(DEADLINE_S):
        assert (await call)["publications"][0]["document"]["text"] == "now"


async def test_a_long_poll_ends_empty(api: Running) -> None:
    """After its time a long poll gives an empty page."""
    assert await api.call(lambda c: c.get("/v1/notices", wait_s=1)) == {
        "publications": [],
        "next": 0,
    }


async def test_a_long_poll_whose_client_left_frees_its_place(tmp_path: Path) -> None:
    """A client that hangs up in a long poll does not hold a connection for the rest of it."""
    limits = ApiLimits(stream_count_max=1)
    async with running(tmp_path / "api.sock", limits=limits) as api:
        _, writer = await asyncio.open_unix_connection(api.path)
        writer.write(b"GET /v1/notices?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: api.server._streams.total() == 1)
        error = await api.refused(lambda c: c.get("/v1/notices", wait_s=5))
        assert (error.status, error.code) == (503, "busy")
        writer.close()
        await until(lambda: api.server._streams.total() == 0)
        assert (await api.call(lambda c: c.get("/v1/notices", wait_s=1)))["next"] == 0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_status(api: Running) -> None:
    """The status has lines and links; before the first one the API says that it starts."""
    error = await api.refused(lambda c: c.get("/v1/status"))
    assert (error.status, error.code) == (503, "starting")
    api.desk.show(status())
    document = await api.call(lambda c: c.get("/v1/status"))
    assert document["station"] == "NORTH"
    [line] = document["lines"]
    assert (line["line"], line["far_gateway"]["confirmed"]) == ("SOUTH", True)
    assert [(link["name"], link["state"]) for link in line["links"]] == [
        ("radio", "UP"),
        ("cable", "PROBING"),
    ]


async def test_events(api: Running) -> None:
    """The stream gives the status at once, each change of it, and publications with offsets."""
    api.desk.show(status())
    api.desk.arrive("before the stream")
    received: list[ServerEvent] = []

    def listen() -> None:
        client = ApiClient(api.path, timeout_s=DEADLINE_S)
        for event in client.events():
            received.append(event)
            if event.name == "state" and len(received) >= 4:
                return

    listener = asyncio.create_task(asyncio.to_thread(listen))
    await until(lambda: len(received) == 1)
    api.desk.arrive("after")
    api.desk.show(status(store_refused=True))
    async with asyncio.timeout(DEADLINE_S):
        await listener
    assert received[0].document["store_refused"] is False
    assert {event.name for event in received[1:]} == {"status", "notice", "state"}
    assert [event.offset for event in received if event.name != "status"] == [3, 4]
    texts = [event.document["document"]["text"] for event in received if event.name == "notice"]
    assert texts == ["after"]


async def test_events_after_an_offset(api: Running) -> None:
    """A client that comes back with the last offset it saw misses nothing."""
    api.desk.arrive("one")
    api.desk.arrive("two")

    def listen() -> list[int | None]:
        events = ApiClient(api.path, timeout_s=DEADLINE_S).events(after=1)
        return [next(events).offset for _ in range(3)]

    assert await asyncio.to_thread(listen) == [2, 3, 4]


async def test_a_silent_stream_shows_life(tmp_path: Path) -> None:
    """Comments go on an event stream that has nothing to say."""
    limits = ApiLimits(heartbeat_s=0.05)
    async with running(tmp_path / "api.sock", limits=limits) as api:
        reader, writer = await asyncio.open_unix_connection(api.path)
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(DEADLINE_S):
            await reader.readuntil(b": the line is watched")
        writer.close()


async def test_a_stream_tells_what_was_heard_without_a_change(tmp_path: Path) -> None:
    """Figures of a line wake nobody; the stream looks for them by itself, and once each."""
    limits = ApiLimits(heartbeat_s=0.05)
    async with running(tmp_path / "api.sock", limits=limits) as api:
        api.desk.show(status())
        reader, writer = await asyncio.open_unix_connection(api.path)
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(DEADLINE_S):
            before = await reader.readuntil(b": the line is watched")
            [link, *links] = status().links
            heard = dataclasses.replace(link, heard_at=Instant(59_000))
            api.desk.hear(status(links=(heard, *links)))
            after = await reader.readuntil(b": the line is watched")
        writer.close()
    assert before.count(b"event: status") == after.count(b"event: status") == 1
    assert b'"heard_ms_ago":1000' in after
    assert b'"heard_ms_ago":1000' not in before


async def test_the_log_book_is_read(api: Running) -> None:
    """Entries of the log book come decoded, with the octets that the chain covers."""
    api.desk.log("start", version="0.1.0", key=b"\x01\x02")
    page = await api.call(lambda c: c.get("/v1/log"))
    [entry] = page["entries"]
    assert page["next"] == 1
    assert (entry["number"], entry["kind"], entry["event"]) == (1, "station", "start")
    assert entry["fields"] == {"version": "0.1.0", "key": "0102"}
    assert len(entry["hash"]) == 64
    assert (await api.call(lambda c: c.get("/v1/log", after=1)))["entries"] == []


async def test_states_of_own_notices(api: Running) -> None:
    """The outbox shows the notice with the link that carried it last."""
    await api.call(lambda c: c.post("/v1/notices", NOTICE, request_id="a"))
    [listed] = (await api.call(lambda c: c.get("/v1/outbox", open_only=1)))["notices"]
    assert (listed["to"], listed["state"], listed["link"]) == ("SOUTH", "QUEUED", "radio")
    assert "note" not in listed
    assert DeliveryState.QUEUED.value == listed["state"]


@pytest.mark.parametrize(
    ("path", "status_code", "code"),
    [
        ("/", 404, "unknown_path"),
        ("/v2/notices", 404, "unknown_path"),
        ("/v1/notices/1-3f2a-1/other", 404, "unknown_path"),
        ("/v1/notices/1-3f2a-1", 404, "unknown_notice"),
        ("/v1/notices/seventeen", 400, "bad_id"),
        ("/v1/notices?after=-1", 400, "bad_parameter"),
        ("/v1/notices?after=%F0%9F%98%80", 400, "bad_parameter"),
        ("/v1/notices?wait=3600", 400, "bad_parameter"),
        ("/v1/notices?topic=all", 400, "bad_parameter"),
        ("/v1/notices?topic=state&untaken=1", 400, "conflict"),
        ("/v1/notices?limit=1&limit=2", 400, "bad_query"),
        ("/v1/notices?limit", 400, "bad_query"),
        ("/v1/inbox?open_only=yes", 400, "bad_parameter"),
        ("/v1/status?x=1", 400, "unknown_parameter"),
        ("/v1/notices/1-3f2a-1/answers", 405, "method_not_allowed"),
    ],
)
async def test_wrong_paths_and_parameters(
    api: Running, path: str, status_code: int, code: str
) -> None:
    """Wrong paths, ids and parameters are refused by name."""
    error = await api.refused(lambda c: c.get(path))
    assert (error.status, error.code) == (status_code, code)


async def test_users_have_the_rights_of_the_configuration(tmp_path: Path) -> None:
    """A configured user has its role and rights, even root; its role is not for the body to say."""
    users = {"root": principal({Operation.TEST})}
    if os.getuid() != 0:
        pytest.skip("the user of the test is root in the configuration above")
    async with running(tmp_path / "api.sock", users=users) as api:
        await api.call(lambda c: c.post("/v1/notices", NOTICE, request_id="a"))
        who, _, draft = api.desk.accepted[0]
        assert (who, draft.released_by) == (users["root"], Role.LIAISON_OFFICER)
        error = await api.refused(
            lambda c: c.post("/v1/notices", NOTICE | {"operation": "EXERCISE"}, request_id="b")
        )
        assert (error.status, error.code) == (403, "forbidden")
        error = await api.refused(
            lambda c: c.post("/v1/notices", NOTICE | {"released_by": "COMMANDER"}, request_id="c")
        )
        assert (error.status, error.field) == (403, "released_by")


def test_rights_by_user_id() -> None:
    """Root and the own user may do everything, strangers nothing, others what is configured."""
    users = Users({"nobody": principal({Operation.TEST})})
    assert users.of_uid(0).principal.rights.answer
    assert users.of_uid(0).may_name_any_role
    assert users.of_uid(os.getuid()).is_known
    stranger = users.of_uid(4_000_000)
    assert (stranger.principal.user, stranger.is_known) == ("uid 4000000", False)
    assert not stranger.principal.rights.submit
    configured = users.of_uid(pwd.getpwnam("nobody").pw_uid)
    assert configured.principal.rights.submit == {Operation.TEST}
    assert not configured.may_name_any_role


def test_the_socket_is_for_its_group(tmp_path: Path) -> None:
    """The socket has mode 0660 from the start; a dead one is replaced, another file is not."""
    path = tmp_path / "api.sock"
    desk = MemoryDesk()
    for _ in range(2):
        server = ApiServer(desk, desk.store, path, {}, clock=clock, boot_id=BOOT_ID)
        server.open()
        assert server._listener is not None
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        server._listener.close()
    path.unlink()
    path.write_text("mine")
    other = ApiServer(desk, desk.store, path, {}, clock=clock, boot_id=BOOT_ID)
    with pytest.raises(ConfigError, match="no socket"):
        other.open()
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("path", "group", "problem"),
    [
        ("x" * 120, None, "more than 107"),
        ("nowhere/api.sock", None, "cannot be made"),
        ("api.sock", "no-such-group", "no group"),
    ],
)
def test_a_socket_that_cannot_be_made(
    tmp_path: Path, path: str, group: str | None, problem: str
) -> None:
    """Path and group of the configuration are refused with a sentence."""
    desk = MemoryDesk()
    server = ApiServer(
        desk, desk.store, tmp_path / path, {}, clock=clock, boot_id=BOOT_ID, group=group
    )
    with pytest.raises(ConfigError, match=problem):
        server.open()


# --- what hurts servers ------------------------------------------------------------------------


def head(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Status and problem document of a raw response."""
    top, _, body = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("octets", "status_code", "code"),
    [
        (b"\x00\x01\x02\x03\r\n\r\n", 400, "malformed"),
        (b"GET /v1/status\r\n\r\n", 400, "malformed"),
        (b"GET /v1/status HTTP/1.1\r\nbad header\r\n\r\n", 400, "malformed"),
        (b"GET /v1/status HTTP/1.1\r\n\r\n", 400, "malformed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431, "too_large"),
        (
            b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n"
            + b"a" * 70_000,
            413,
            "too_large",
        ),
        (
            # More than a socket holds: the client still writes when it is refused.
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n" + b"a" * 600_000,
            413,
            "too_large",
        ),
        (
            b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + (b"2000\r\n" + b"a" * 0x2000 + b"\r\n") * 9,
            413,
            "too_large",
        ),
        (
            b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
            "malformed",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
            "malformed",
        ),
    ],
)
async def test_malformed_and_oversize_requests(
    api: Running, octets: bytes, status_code: int, code: str
) -> None:
    """They get a problem document and the connection ends; the next client is served."""
    answer_status, document = head(await api.raw(octets))
    assert (answer_status, document["code"]) == (status_code, code)
    assert document["remedy"]
    assert (await api.call(lambda c: c.get("/v1/inbox"))) == {"notices": []}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"NaN",
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'"\\ud800"',
        b"9" * 60_000,
        b"[]",
        b'{"request_id":"a","to":"SOUTH","kind":"NOTIFY","operation":"TEST","text":"\\ud83d"}',
    ],
)
async def test_hostile_bodies(api: Running, body: bytes) -> None:
    """What is no JSON object of a notice is 400, also when it is deep or not UTF-8."""
    request = (
        b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    answer_status, document = head(await api.raw(request + body))
    assert answer_status == 400
    assert document["code"] in {"bad_json", "wrong_type"}


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"Idempotency-Key: b", "Idempotency-Key"),
        (b"idempotency-key: a", "Idempotency-Key"),
        (b"Content-Type: text/xml", "Content-Type"),
    ],
)
async def test_a_repeated_header_is_refused(api: Running, line: bytes, field: str) -> None:
    """Of two names for a request neither is taken; it is refused as a repeated query name is."""
    body = json.dumps(NOTICE).encode()
    answer_status, document = head(
        await api.raw(
            b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\r\n"
            b"Content-Type: application/json\r\n%s\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (line, len(body), body)
        )
    )
    assert (answer_status, document["code"], document["field"]) == (400, "bad_header", field)
    assert api.desk.accepted == []


async def test_another_media_type_is_refused(api: Running) -> None:
    """Only JSON is read."""
    answer = await api.raw(
        b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\n"
        b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert head(answer)[0] == 415


async def test_slow_requests_end(tmp_path: Path) -> None:
    """A request that is not whole in time gets 408, an idle connection is closed."""
    limits = ApiLimits(read_s=0.1, idle_s=0.1)
    async with running(tmp_path / "api.sock", limits=limits) as api:
        assert head(await api.raw(b"POST /v1/notices HTTP/1.1\r\nHost: x\r\n"))[0] == 408
        slow_body = b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{"
        assert head(await api.raw(slow_body))[1]["code"] == "too_slow"
        assert await api.raw(b"") == b""


async def test_a_drip_of_octets_gains_no_time(tmp_path: Path) -> None:
    """Slow clients on every place: each ends by its deadline, and others go in."""
    limits = ApiLimits(read_s=0.4, idle_s=0.4, connection_count_max=8)
    async with running(tmp_path / "api.sock", limits=limits) as api:

        async def drip() -> bytes:
            reader, writer = await asyncio.open_unix_connection(api.path)
            answer = asyncio.create_task(reader.read())
            writer.write(b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nX: ")
            while not answer.done():
                with suppress(OSError):
                    writer.write(b"a")
                await asyncio.sleep(0.02)
            writer.transport.abort()
            return await answer

        async with asyncio.timeout(DEADLINE_S):
            answers = await asyncio.gather(*(drip() for _ in range(8)))
        assert {head(answer)[0] for answer in answers} == {408}
        status = b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert head(await api.raw(status))[0] in (200, 503)


async def test_a_client_that_reads_nothing_is_dropped(tmp_path: Path) -> None:
    """An event stream whose client does not read ends after the write deadline."""
    limits = ApiLimits(write_s=0.1)
    async with running(tmp_path / "api.sock", limits=limits) as api:
        for number in range(400):
            api.desk.arrive(f"{number} " + "x" * 1000)
        reader, writer = await asyncio.open_unix_connection(api.path, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /v1/events?after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: api.server._streams.total() == 1)
        await until(lambda: api.server._streams.total() == 0)
        writer.transport.abort()
        del reader


async def test_too_many_connections(tmp_path: Path) -> None:
    """Above the bound a connection is refused with a sentence; when one ends, there is room."""
    limits = ApiLimits(connection_count_max=2)
    async with running(tmp_path / "api.sock", limits=limits) as api:
        writers = [(await asyncio.open_unix_connection(api.path))[1] for _ in range(2)]
        await until(lambda: api.server._connection_count == 2)
        error = await api.refused(lambda c: c.get("/v1/inbox"))
        assert (error.status, error.code) == (503, "busy")
        writers[0].close()
        await until(lambda: api.server._connection_count == 1)
        assert await api.call(lambda c: c.get("/v1/inbox")) == {"notices": []}
        writers[1].close()


class Strangers(Users):
    """Everyone is a user that the configuration does not name."""

    def peer(self, connection: socket.socket) -> Peer:
        return self.of_uid(4_000_000)


async def test_one_user_keeps_nobody_else_out(tmp_path: Path) -> None:
    """Who opens all that he can, again and again, has his share; others connect and wait too."""
    limits = ApiLimits(
        connection_count_max=4,
        user_connection_count_max=3,
        stream_count_max=2,
        user_stream_count_max=1,
    )
    async with running(tmp_path / "api.sock", limits=limits) as api:
        users, api.server._users = api.server._users, Strangers({})
        wait = b"GET /v1/notices?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n"
        held = [await asyncio.open_unix_connection(api.path) for _ in range(3)]
        await until(lambda: api.server._admitted.total() == 3)
        held[0][1].write(wait)
        await until(lambda: api.server._streams.total() == 1)
        held[1][1].write(wait)
        async with asyncio.timeout(DEADLINE_S):
            assert b"503" in await held[1][0].readline()
            # More than the server holds in all, those that it refuses included.
            held += [await asyncio.open_unix_connection(api.path) for _ in range(20)]
            assert await held[-1][0].read() == b"", "not even refused"
            answer = await held[3][0].read()
        assert "3 connections of uid 4000000 are open already" in head(answer)[1]["detail"]
        api.server._users = users
        assert await api.call(lambda c: c.get("/v1/inbox")) == {"notices": []}
        assert (await api.call(lambda c: c.get("/v1/notices", wait_s=1)))["next"] == 0
        for _, writer in held:
            writer.close()
        await until(lambda: not api.server._open.total() and not api.server._admitted.total())


async def test_pipelined_and_kept_connections(api: Running) -> None:
    """Several requests on one connection are answered in their order."""
    request = b"GET /v1/inbox HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /v1/outbox HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await api.raw(request * 3 + last)
    assert answer.count(b"HTTP/1.1 200") == 4


async def test_expect_continue(api: Running) -> None:
    """A client that waits for 100 Continue gets it (curl does so for larger bodies)."""
    reader, writer = await asyncio.open_unix_connection(api.path)
    body = json.dumps(NOTICE | {"request_id": "e"}).encode()
    writer.write(
        b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    )
    async with asyncio.timeout(DEADLINE_S):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
        writer.write(body)
        assert b"201" in await reader.readline()
    writer.close()


async def test_clients_that_vanish(api: Running) -> None:
    """Connections cut at any octet of a request leave nothing behind."""
    body = json.dumps(NOTICE).encode()
    request = b"POST /v1/notices HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    whole = request + body
    for cut in range(0, len(whole), 7):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.fspath(api.path))
            connection.sendall(whole[:cut])
        await asyncio.sleep(0)
    await until(lambda: api.server._connection_count == 0)
    assert await api.call(lambda c: c.get("/v1/inbox")) == {"notices": []}
