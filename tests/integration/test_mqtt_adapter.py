"""The MQTT adapter against a real Mosquitto: requests, publications, and outages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import cbor2
import pytest

from gateway.core.effects import RejectCode
from gateway.core.events import QueueUp, Rights
from gateway.model import DeliveryState, Operation, Precedence, Role
from gateway.queues.mqtt_connection import Limits
from tests.integration.adapter_running import Adapter, until
from tests.integration.desk_double import MemoryDesk, status
from tests.integration.mosquitto import DEADLINE_S, Mosquitto, mosquitto, needs_mosquitto
from tests.integration.mqtt_running import principal, running

pytestmark = needs_mosquitto

NOTICE = {"to": "SOUTH", "kind": "NOTIFY", "operation": "TEST", "text": "hello"}
TOPIC = "hotline/v1/NORTH"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path) as one:
        yield one


async def test_a_submission_is_accepted_and_its_state_published(broker: Mosquitto) -> None:
    """What mosquitto_pub submits is at the desk with the adapter's role, and /state says QUEUED."""
    desk = MemoryDesk()
    async with broker.listen(f"{TOPIC}/#") as listener, running(broker.url, desk) as adapter:
        assert adapter.events == [QueueUp("mqtt")]
        await broker.submit("NORTH", NOTICE | {"request_id": "r-1"})
        [state] = await listener.on("/state/")
        assert state.topic == f"{TOPIC}/state/1-3f2a-1"
        assert state.json["state"] == "QUEUED"
        assert state.properties == {"message_id": "1-3f2a-1/1", "offset": "1"}
    [(who, request_id, draft)] = desk.accepted
    assert (who.user, request_id, draft.released_by) == ("broker", "r-1", Role.AUTOMATIC)


async def test_the_same_request_id_is_one_notice(broker: Mosquitto) -> None:
    """A submission that is repeated, or delivered twice, is accepted once."""
    desk = MemoryDesk()
    async with running(broker.url, desk):
        for _ in range(2):
            await broker.submit("NORTH", NOTICE | {"request_id": "r-1"})
        await broker.submit("NORTH", NOTICE, "-D", "publish", "user-property", "request_id", "r-2")
        await until(lambda: len(desk.accepted) == 2)
    assert [request_id for _, request_id, _ in desk.accepted] == ["r-1", "r-2"]


async def test_puback_only_after_the_commit(broker: Mosquitto) -> None:
    """A submission that the desk did not commit before a crash comes again, and only that one."""
    desk = MemoryDesk()
    async with broker.listen(f"{TOPIC}/state/#") as listener:
        async with running(broker.url, desk):
            await broker.submit("NORTH", NOTICE | {"request_id": "committed"})
            await listener.on("/state/")
            desk.gate.clear()
            await broker.submit("NORTH", NOTICE | {"request_id": "in hand".replace(" ", "-")})
        # The adapter is gone with the submission in its hand: another run finds it at the broker.
        restarted = MemoryDesk()
        async with running(broker.url, restarted):
            await until(lambda: len(restarted.accepted) == 1)
            await broker.submit("NORTH", NOTICE | {"request_id": "last"})
            await until(lambda: len(restarted.accepted) == 2)
    assert [request_id for _, request_id, _ in restarted.accepted] == ["in-hand", "last"]


async def test_submissions_wait_for_us_at_the_broker(broker: Mosquitto) -> None:
    """What is submitted while the gateway is away is there when it comes back, in order."""
    desk = MemoryDesk()
    async with running(broker.url, desk):
        pass
    for number in range(50):
        await broker.submit("NORTH", NOTICE | {"request_id": f"r-{number}"})
    async with running(broker.url, desk):
        await until(lambda: len(desk.accepted) == 50)
    assert [request_id for _, request_id, _ in desk.accepted] == [f"r-{n}" for n in range(50)]


async def test_while_the_daemon_stops_the_broker_keeps_submissions(broker: Mosquitto) -> None:
    """STOPPING is no refusal: the message stays at the broker and is accepted at the next start."""
    desk = MemoryDesk()
    desk.reject = RejectCode.STOPPING
    async with broker.listen(f"{TOPIC}/error/#") as listener:
        async with running(broker.url, desk) as adapter:
            await broker.submit("NORTH", NOTICE | {"request_id": "r-1"})
            assert "stopping" in str(await adapter.end())
        desk.reject = None
        async with running(broker.url, desk):
            await until(lambda: len(desk.accepted) == 1)
        assert listener.heard == []


async def test_notices_are_published_by_operation_and_precedence(broker: Mosquitto) -> None:
    """Each notice goes on the topic of its indicator; only an OPERATION on an operation topic."""
    desk = MemoryDesk()
    async with broker.listen(f"{TOPIC}/notice/#") as listener, running(broker.url, desk):
        for operation in Operation:
            for precedence in Precedence:
                desk.arrive(operation=operation, precedence=precedence)
        heard = await listener.on("/notice/", count=16)
    for one in heard:
        document = one.json
        assert one.topic == (
            f"{TOPIC}/notice/{document['operation'].lower()}/{document['precedence'].lower()}"
        )
        assert one.properties["message_id"] == document["id"]
        assert one.content_type == "application/json"
        assert not one.retain
    operations = [one for one in heard if "/operation/" in one.topic]
    assert {one.json["operation"] for one in operations} == {"OPERATION"}
    assert len(operations) == 4


async def test_a_notice_is_published_again_until_taken(broker: Mosquitto) -> None:
    """At the interval the same notice goes again with the same id, until `taken` names it."""
    desk = MemoryDesk()
    async with (
        broker.listen(f"{TOPIC}/notice/#") as listener,
        running(broker.url, desk, republish_s=0.2),
    ):
        first, second = desk.arrive("one"), desk.arrive("two")
        heard = await listener.on("/notice/", count=6)
        assert {one.properties["message_id"] for one in heard} == {str(first.id), str(second.id)}
        await broker.publish(f"{TOPIC}/taken", json.dumps({"id": str(first.id)}))
        stored = None
        while stored is None or not stored.delivery.taken:
            await asyncio.sleep(0.01)
            stored = await desk.store.notice(first.id)
        await asyncio.sleep(0)
        before = len(await listener.on("/notice/"))
        heard = (await listener.on("/notice/", count=before + 4))[before + 2 :]
    # Two may have been under way when `taken` came; after them only the other one goes.
    assert {one.properties["message_id"] for one in heard} == {str(second.id)}


async def test_answers_come_by_mqtt(broker: Mosquitto) -> None:
    """An answer reaches the desk; the reply goes to the response topic with its correlation."""
    desk = MemoryDesk()
    async with running(broker.url, desk), broker.listen("me/#") as listener:
        notice = desk.arrive()
        answer = {"request_id": "a-1", "id": str(notice.id), "answer": "WILCO", "text": "yes"}
        await broker.publish(
            f"{TOPIC}/answer",
            json.dumps(answer),
            *("-D", "publish", "response-topic", "me/replies"),
            *("-D", "publish", "correlation-data", "c-7"),
        )
        [reply] = await listener.on("me/replies")
    assert reply.json == {
        "request_id": "a-1",
        "id": "1-3f2a-1",
        "notice_id": str(notice.id),
        "repeated": False,
    }
    stored = await desk.store.notice(notice.id)
    assert stored is not None
    assert stored.delivery.state is DeliveryState.WILCO


async def test_mosquitto_rr_gets_its_reply(broker: Mosquitto) -> None:
    """Mosquitto's own request-response client is served."""
    async with running(broker.url, MemoryDesk()):
        process = await asyncio.create_subprocess_exec(
            *("mosquitto_rr", "-p", str(broker.port), "-V", "5", "-q", "1", "-W", "20"),
            *(
                "-t",
                f"{TOPIC}/submit",
                "-e",
                "me/rr",
                "-m",
                json.dumps(NOTICE | {"request_id": "r"}),
            ),
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(DEADLINE_S):
            output, _ = await process.communicate()
    assert json.loads(output) == {
        "request_id": "r",
        "id": "1-3f2a-1",
        "state": "QUEUED",
        "repeated": False,
    }


async def test_cbor_in_both_directions(broker: Mosquitto) -> None:
    """A CBOR submission gets a CBOR reply; publications are CBOR where configured."""
    desk = MemoryDesk()
    async with (
        broker.listen("me/#", f"{TOPIC}/state/#") as listener,
        running(broker.url, desk, is_cbor=True),
    ):
        await broker.publish(
            f"{TOPIC}/submit",
            cbor2.dumps(NOTICE | {"request_id": "c-1"}),
            *("-D", "publish", "content-type", "application/cbor"),
            *("-D", "publish", "response-topic", "me/replies"),
        )
        [reply] = await listener.on("me/replies")
        [state] = await listener.on("/state/")
    assert cbor2.loads(reply.payload)["id"] == "1-3f2a-1"
    assert cbor2.loads(state.payload)["state"] == "QUEUED"
    assert reply.content_type == state.content_type == "application/cbor"


REFUSED: list[tuple[str, bytes, tuple[str, ...], str, str]] = [
    ("submit", json.dumps(NOTICE).encode(), (), "unknown", "missing_request_id"),
    (
        "submit",
        json.dumps(NOTICE | {"request_id": "a/b"}).encode(),
        (),
        "unknown",
        "bad_request_id",
    ),
    (
        "submit",
        json.dumps(NOTICE | {"request_id": "r", "kind": "HELLO"}).encode(),
        (),
        "r",
        "unknown_kind",
    ),
    (
        "submit",
        json.dumps(NOTICE | {"request_id": "r", "to": "WEST"}).encode(),
        (),
        "r",
        "unknown_station",
    ),
    (
        "submit",
        json.dumps(NOTICE | {"request_id": "r", "released_by": "commander"}).encode(),
        (),
        "r",
        "forbidden",
    ),
    ("submit", b" ", (), "unknown", "bad_json"),
    ("submit", b"\xff\xfe{", (), "unknown", "bad_json"),
    ("submit", b"[" * 60_000, (), "unknown", "bad_json"),
    ("submit", b"[]", (), "unknown", "missing_request_id"),
    ("submit", b"x" * 100_000, (), "unknown", "too_large"),
    (
        "submit",
        b"\x81" * 60_000,
        ("-D", "publish", "content-type", "application/cbor"),
        "unknown",
        "bad_cbor",
    ),
    (
        "submit",
        bytes.fromhex("c11a514b67b0"),
        ("-D", "publish", "content-type", "application/cbor"),
        "unknown",
        "bad_cbor",
    ),
    (
        "submit",
        b"<x/>",
        ("-D", "publish", "content-type", "text/xml"),
        "unknown",
        "unsupported_media_type",
    ),
    ("submit", json.dumps(NOTICE | {"request_id": "r"}).encode(), ("-r",), "r", "retained"),
    ("submit", b" ", ("-D", "publish", "user-property", "request_id", "p"), "p", "bad_json"),
    (
        "submit",
        b"<x/>",
        (
            *("-D", "publish", "content-type", "text/xml"),
            *("-D", "publish", "user-property", "request_id", "p"),
        ),
        "p",
        "unsupported_media_type",
    ),
    (
        "submit",
        json.dumps(NOTICE).encode(),
        (
            *("-D", "publish", "user-property", "request_id", "one"),
            *("-D", "publish", "user-property", "request_id", "two"),
        ),
        "unknown",
        "conflict",
    ),
    (
        "submit",
        json.dumps(NOTICE | {"request_id": "r"}).encode(),
        ("-D", "publish", "response-topic", f"{TOPIC}/notice/operation/flash"),
        "r",
        "bad_response_topic",
    ),
    (
        "submit",
        json.dumps(NOTICE | {"request_id": "r"}).encode(),
        ("-D", "publish", "user-property", "request_id", "other"),
        "unknown",
        "conflict",
    ),
    ("answer", b'{"request_id": "r", "answer": "ROGER"}', (), "r", "missing_field"),
    ("answer", b'{"request_id": "r", "id": "2-3f2a-1", "answer": "OK"}', (), "r", "unknown_answer"),
    (
        "answer",
        b'{"request_id": "r", "id": "2-3f2a-1", "answer": "ROGER"}',
        (),
        "r",
        "unknown_notice",
    ),
    ("taken", b'{"id": "2-3f2a-1"}', (), "unknown", "unknown_notice"),
    ("taken", b'{"id": 7}', (), "unknown", "wrong_type"),
    ("taken", b'{"id": "2-3f2a-1", "x": 1}', (), "unknown", "unknown_field"),
]


async def test_refusals_go_to_the_error_topic(broker: Mosquitto) -> None:
    """Each wrong or hostile message ends on /error with a code; the next good one is accepted."""
    desk = MemoryDesk()
    async with broker.listen(f"{TOPIC}/error/#") as listener, running(broker.url, desk):
        for count, (name, payload, options, request_id, code) in enumerate(REFUSED, 1):
            await broker.publish(f"{TOPIC}/{name}", payload, *options)
            error = (await listener.on("/error/", count=count))[-1]
            document = error.json
            assert (error.topic, document["code"]) == (f"{TOPIC}/error/{request_id}", code)
            assert document["topic"] == f"{TOPIC}/{name}"
            assert document["problem"]
            assert document["remedy"]
        assert desk.accepted == []
        await broker.submit("NORTH", NOTICE | {"request_id": "good"})
        await until(lambda: len(desk.accepted) == 1)


async def test_without_the_right_nothing_is_accepted(broker: Mosquitto) -> None:
    """A broker's rights bound what may be submitted and answered by it."""
    desk = MemoryDesk()
    who = principal(Rights(frozenset({Operation.TEST}), Precedence.IMMEDIATE, answer=False))
    async with (
        broker.listen(f"{TOPIC}/error/#") as listener,
        running(broker.url, desk, principal=who),
    ):
        await broker.submit("NORTH", NOTICE | {"request_id": "r-1", "operation": "OPERATION"})
        notice = desk.arrive()
        await broker.publish(
            f"{TOPIC}/answer",
            json.dumps({"request_id": "r-2", "id": str(notice.id), "answer": "ROGER"}),
        )
        heard = await listener.on("/error/", count=2)
    assert [one.topic.rsplit("/", 1)[1] for one in heard] == ["r-1", "r-2"]
    assert {one.json["code"] for one in heard} == {"forbidden"}


async def test_availability_and_lines_are_retained(broker: Mosquitto) -> None:
    """A program that comes later sees that the gateway is there and how its lines are."""
    desk = MemoryDesk()
    desk.show(status())
    async with running(broker.url, desk), broker.listen(f"{TOPIC}/#") as listener:
        [line] = await listener.on("/line/SOUTH")
        [available] = await listener.on("/availability")
        assert available.json == {"station": "NORTH", "available": True}
        assert line.json["far_gateway"] == {
            "confirmed": True,
            "freshness_proven": True,
            "generation": 1,
            "rotating": False,
            "former_secret": False,
            "revoked": False,
            "answers": True,
            "busy": False,
            "full": False,
        }
        assert line.json["links"][0]["state"] == "UP"
        desk.show(status(links=status().links[1:]))
        heard = await listener.on("/line/SOUTH", count=2)
        assert [link["name"] for link in heard[1].json["links"]] == ["cable"]
    async with broker.listen(f"{TOPIC}/availability") as listener:
        [left] = await listener.on("/availability")
        assert left.retain
        assert left.json == {"station": "NORTH", "available": False}


async def test_the_last_will_speaks_for_a_dead_gateway(broker: Mosquitto) -> None:
    """A gateway that dies without a word is shown as not available by the broker."""
    async with (
        running(broker.url, MemoryDesk()) as adapter,
        broker.listen(f"{TOPIC}/availability") as listener,
    ):
        await listener.on("/availability")
        await _cut(broker, adapter)
        heard = await listener.on("/availability", count=2)
    assert [one.json["available"] for one in heard] == [True, False]


async def _cut(broker: Mosquitto, adapter: Adapter) -> None:
    """End the connection without a DISCONNECT of ours: another client takes over its name."""
    thief = await asyncio.create_subprocess_exec(
        *("mosquitto_sub", "-p", str(broker.port), "-V", "5", "-i", "hotline-gateway-NORTH"),
        *("-t", "x", "-W", "1"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    error = await adapter.end()
    assert "another client with the id hotline-gateway-NORTH" in str(error)
    await thief.wait()


async def test_the_cursor_moves_with_the_brokers_puback(broker: Mosquitto) -> None:
    """States that the broker never acknowledged go again; those it has do not."""
    desk = MemoryDesk()
    async with broker.listen(f"{TOPIC}/state/#") as listener, running(broker.url, desk):
        desk.arrive("one")
        await listener.on("/state/")
        async with asyncio.timeout(DEADLINE_S):
            while await desk.store.cursor("mqtt") != 2:
                await asyncio.sleep(0.01)
    desk.arrive("while we are away")
    assert await desk.store.cursor("mqtt") == 2
    async with broker.listen(f"{TOPIC}/state/#") as listener, running(broker.url, desk):
        heard = await listener.on("/state/")
    assert [one.properties["offset"] for one in heard] == ["4"]


async def test_a_broker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """Killed in the middle of a stream and started again, the broker still gets every notice."""
    desk = MemoryDesk()
    async with mosquitto(tmp_path, is_persistent=True) as broker:
        ids: set[str] = set()
        seen: set[str] = set()
        for _ in range(3):
            async with (
                broker.listen(f"{TOPIC}/notice/#") as listener,
                running(broker.url, desk, republish_s=0.4) as adapter,
            ):
                ids |= {str(desk.arrive("x" * 500).id) for _ in range(40)}
                await listener.on("/notice/", count=5)
                seen |= {one.properties["message_id"] for one in listener.heard}
                await broker.kill()
                await adapter.end()
            await broker.start()
        async with (
            broker.listen(f"{TOPIC}/notice/#") as listener,
            running(broker.url, desk, republish_s=0.4),
        ):
            await listener.until(
                lambda heard: ids <= {one.properties.get("message_id", "") for one in heard}
            )


async def test_inflight_is_bounded(tmp_path: Path) -> None:
    """We keep to the receive maximum that the broker names, however much there is to publish."""
    desk = MemoryDesk()
    for number in range(100):
        desk.arrive(str(number))
    async with (
        mosquitto(tmp_path, "max_inflight_messages 3") as broker,
        broker.listen(f"{TOPIC}/state/#") as listener,
        running(broker.url, desk),
    ):
        heard = await listener.on("/state/", count=100)
    offsets = [int(one.properties["offset"]) for one in heard]
    assert offsets == sorted(offsets)


# --- brokers that do not serve -------------------------------------------------------------------


async def failure(url: str, **options: Any) -> str:
    async with running(url, MemoryDesk(), **options) as adapter:
        assert adapter.events == []
        return str(await adapter.end())


async def test_no_broker(tmp_path: Path) -> None:
    """A broker that is away is one sentence with its address, over TCP and over a Unix socket."""
    assert "Connection refused" in await failure("mqtt://127.0.0.1:1")
    assert "No such file" in await failure(f"unix://{tmp_path}/no.sock")
    assert "no possible host name" in await failure("mqtt://a..b")


@asynccontextmanager
async def speaking(octets: bytes) -> AsyncIterator[str]:
    """A server that says `octets` to a client's first words; gives its URL."""
    served: asyncio.Queue[None] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read(10)
            writer.write(octets)
            await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        served.put_nowait(None)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with asyncio.timeout(DEADLINE_S):
        await served.get()
    server.close()
    await server.wait_closed()


async def test_a_silent_broker() -> None:
    """Something that accepts and never answers is left after a deadline."""
    async with speaking(b"") as url:
        text = await failure(url, limits=Limits(connect_s=0.3))
    assert "does not answer CONNECT" in text


async def test_a_broker_that_ends_the_connection() -> None:
    """The broker's own reason is told."""
    async with speaking(bytes.fromhex("2003000000" + "e0018b")) as url:
        text = await failure(url)
    assert "ended the connection (Server shutting down)" in text


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes.fromhex("2003000000"),
        bytes.fromhex("20ffffffff7f"),
        bytes.fromhex("2002"),
        bytes.fromhex("20020086"),
        bytes.fromhex("300100"),
        bytes.fromhex("3005000400000000"),
        b"\x00" * 100,
        b"\xff" * 100,
        bytes.fromhex("2003000000") + bytes.fromhex("900400010001"),
        bytes.fromhex("2003000000") + bytes.fromhex("e00100"),
        bytes.fromhex("2003000000") + bytes.fromhex("320a0003616263000102ff"),
    ],
)
async def test_what_is_no_broker(octets: bytes) -> None:
    """Octets that are no MQTT 5 end the connection with a sentence, and nothing else."""
    async with speaking(octets) as url:
        text = await failure(url, limits=Limits(connect_s=0.4))
    assert text.startswith(f"the MQTT broker {url} ")


async def test_users_and_access_lists(tmp_path: Path) -> None:
    """A wrong password and a forbidden topic are named; the right user is served."""
    passwords, access = tmp_path / "passwords", tmp_path / "access"
    make = await asyncio.create_subprocess_exec(
        "mosquitto_passwd", "-c", "-b", passwords, "gateway", "secret"
    )
    assert await make.wait() == 0
    access.write_text(f"user gateway\ntopic readwrite {TOPIC}/#\n")
    lines = ("allow_anonymous false", f"password_file {passwords}", f"acl_file {access}")
    async with mosquitto(tmp_path, *lines) as broker:
        text = await failure(broker.url, user="gateway", password="wrong")
        assert "refuses the connection" in text
        assert "password_file" in text
        async with running(broker.url, MemoryDesk(), user="gateway", password="secret") as one:
            assert one.events == [QueueUp("mqtt")]
        access.write_text(f"user gateway\ntopic read {TOPIC}/#\n")
        await broker.kill()
        await broker.start()
        text = await failure(broker.url, user="gateway", password="secret")
        assert f"refuses to publish on {TOPIC}/availability" in text


async def test_a_unix_socket(broker: Mosquitto) -> None:
    """A broker on the same machine is reached without a network."""
    async with running(f"unix://{broker.unix_path}", MemoryDesk()) as adapter:
        assert adapter.events == [QueueUp("mqtt")]
