"""The NATS adapter against a real nats-server: requests, publications, streams and outages."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cbor2
import pytest
from nats.aio.client import Client

from gateway.core.effects import RejectCode
from gateway.core.events import QueueUp, Rights
from gateway.errors import QueueUnavailableError
from gateway.model import DeliveryState, Operation, Precedence, Role
from gateway.queues.nats import NatsAdapter
from gateway.queues.nats_connection import Access, NatsConnection, ServerRing
from gateway.queues.nats_standing import Standing
from gateway.queues.streams import gateway_consumer, stream_config
from tests.integration.adapter_running import until
from tests.integration.desk_double import MemoryDesk, status
from tests.integration.nats_cluster import NatsServer, nats_server, needs_nats, program
from tests.integration.nats_running import Listener, options_of, running
from tests.integration.queue_load import supervised

pytestmark = needs_nats

NOTICE = {"to": "SOUTH", "kind": "NOTIFY", "operation": "TEST", "text": "hello"}
SUBJECT = "hotline.v1.NORTH"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with nats_server(tmp_path) as one:
        yield one


async def submit(client: Client, document: dict[str, Any], **headers: str) -> None:
    """As a program does: with the stream's acknowledgement."""
    payload = json.dumps(document).encode()
    await client.jetstream().publish(f"{SUBJECT}.submit", payload, headers=headers or None)


async def test_a_submission_is_accepted_and_its_state_published(server: NatsServer) -> None:
    """What is submitted is at the desk with the adapter's role, and state says QUEUED."""
    desk = MemoryDesk()
    async with running(server.url, desk=desk) as adapter, program(server.url) as client:
        assert adapter.events == [QueueUp("nats")]
        listener = await Listener.on(client, f"{SUBJECT}.>")
        await submit(client, NOTICE | {"request_id": "r-1"})
        [state] = await listener.until("state")
        assert state.subject == f"{SUBJECT}.state.1-3f2a-1"
        assert json.loads(state.data)["state"] == "QUEUED"
        assert state.headers is not None
        assert state.headers["Nats-Msg-Id"] == "NORTH/1-3f2a-1/1"
        assert state.headers["offset"] == "1"
    [(who, request_id, draft)] = desk.accepted
    assert (who.adapter, request_id, draft.released_by) == ("nats", "r-1", Role.AUTOMATIC)


async def test_the_same_request_id_is_one_notice(server: NatsServer) -> None:
    """A submission that is repeated is accepted once; the name may be in a header."""
    desk = MemoryDesk()
    async with running(server.url, desk=desk), program(server.url) as client:
        for _ in range(2):
            await submit(client, NOTICE | {"request_id": "r-1"})
        await submit(client, NOTICE, request_id="r-2")
        await until(lambda: len(desk.accepted) == 2)
    assert [request_id for _, request_id, _ in desk.accepted] == ["r-1", "r-2"]


async def test_acknowledged_only_after_the_commit(server: NatsServer) -> None:
    """What the desk had not committed when we went is given back, comes again, and only that."""
    desk = MemoryDesk()
    async with program(server.url) as client:
        words = await Listener.on(client, "$JS.ACK.HOTLINE_REQUEST.gateway-NORTH-submit.>")
        async with running(server.url, desk=desk):
            await submit(client, NOTICE | {"request_id": "committed"})
            await until(lambda: len(desk.accepted) == 1)
            desk.gate.clear()
            await submit(client, NOTICE | {"request_id": "in-hand"})
            await until(lambda: desk.asked_count == 2)
        # Without the second word it would come after `ack_wait`, half a minute later.
        said = await words.until("gateway-NORTH-submit", count=2)
        assert [one.data for one in said] == [b"", b"-NAK"]  # the shortest +ACK
        left = await client.jetstream().stream_info("HOTLINE_REQUEST")
        assert left.state.messages == 1
        restarted = MemoryDesk()
        async with running(server.url, desk=restarted):
            await until(lambda: len(restarted.accepted) == 1)
            await submit(client, NOTICE | {"request_id": "last"})
            await until(lambda: len(restarted.accepted) == 2)
    assert [request_id for _, request_id, _ in restarted.accepted] == ["in-hand", "last"]


async def test_submissions_wait_for_us_at_the_server(server: NatsServer) -> None:
    """What is submitted while the gateway is away, and the server killed, is there, in order."""
    desk = MemoryDesk()
    async with running(server.url, desk=desk):
        pass
    async with program(server.url) as client:
        for number in range(50):
            await submit(client, NOTICE | {"request_id": f"r-{number}"})
    await server.kill()
    await server.start()
    async with running(server.url, desk=desk):
        await until(lambda: len(desk.accepted) == 50)
    assert [request_id for _, request_id, _ in desk.accepted] == [f"r-{n}" for n in range(50)]


async def test_while_the_daemon_stops_the_server_keeps_submissions(server: NatsServer) -> None:
    """STOPPING is no refusal: nothing is said on the error subject, and the message stays."""
    desk = MemoryDesk()
    desk.reject = RejectCode.STOPPING
    async with program(server.url) as client:
        listener = await Listener.on(client, f"{SUBJECT}.error.*")
        async with running(server.url, desk=desk) as adapter:
            await submit(client, NOTICE | {"request_id": "r-1"})
            assert "stopping" in str(await adapter.end())
        info = await client.jetstream().stream_info("HOTLINE_REQUEST")
        assert info.state.messages == 1
        assert listener.heard == []


async def test_notices_go_by_operation_and_precedence_and_are_taken(server: NatsServer) -> None:
    """Each goes on the subject of its indicator, and is taken once the stream has it."""
    desk = MemoryDesk()
    async with running(server.url, desk=desk), program(server.url) as client:
        notices = [
            desk.arrive(operation=operation, precedence=precedence)
            for operation in Operation
            for precedence in Precedence
        ]
        listener = await Listener.stored(client, "HOTLINE_NOTICE", f"{SUBJECT}.notice.>")
        heard = await listener.until("notice", count=16)
        await until(lambda: all(desk.store._live.rows[it.id].delivery.taken for it in notices))  # type: ignore[union-attr]
    for one in heard:
        document = json.loads(one.data)
        level = f"{document['operation'].lower()}.{document['precedence'].lower()}"
        assert one.subject == f"{SUBJECT}.notice.{level}"
        assert one.headers is not None
        assert one.headers["Nats-Msg-Id"] == f"NORTH/{document['id']}"
        assert one.headers["message_id"] == document["id"]
    operations = [one for one in heard if ".operation." in one.subject]
    assert {json.loads(one.data)["operation"] for one in operations} == {"OPERATION"}
    assert len(operations) == 4


async def test_without_the_streams_word_nothing_is_taken(server: NatsServer) -> None:
    """A full stream refuses: the notice stays untaken, the outage is told, and it goes later."""
    desk = MemoryDesk()
    async with running(server.url, desk=desk), program(server.url) as client:
        manager = client.jetstream()
        info = await manager.stream_info("HOTLINE_NOTICE")
        await manager.update_stream(info.config, max_msgs=1)
    desk.arrive("first")
    second = desk.arrive("second")
    async with running(server.url, desk=desk) as adapter:
        assert "maximum messages exceeded" in str(await adapter.end())
    stored = await desk.store.notice(second.id)
    assert stored is not None
    assert not stored.delivery.taken
    async with program(server.url) as client:
        manager = client.jetstream()
        await manager.update_stream(info.config, max_msgs=-1)
        async with running(server.url, desk=desk):
            await until(lambda: desk.store._live.rows[second.id].delivery.taken)  # type: ignore[union-attr]
        info = await manager.stream_info("HOTLINE_NOTICE")
        assert info.state.messages == 2  # the first one came again under its id


async def test_what_a_power_cut_took_back_is_published_again(server: NatsServer) -> None:
    """A notice behind the cursor that is not known as taken goes again, under the same id."""
    desk = MemoryDesk()
    notice = desk.arrive()
    await desk.store.put_cursor("nats", 2)
    async with running(server.url, desk=desk):
        await until(lambda: desk.store._live.rows[notice.id].delivery.taken)  # type: ignore[union-attr]
    async with program(server.url) as client:
        info = await client.jetstream().stream_info("HOTLINE_NOTICE")
    assert info.state.messages == 1


async def test_answers_come_by_nats_with_a_reply(server: NatsServer) -> None:
    """An answer reaches the desk; the reply goes to the subject that was named."""
    desk = MemoryDesk()
    async with running(server.url, desk=desk), program(server.url) as client:
        listener = await Listener.on(client, "me.>")
        notice = desk.arrive()
        answer = {"request_id": "a-1", "id": str(notice.id), "answer": "WILCO", "text": "yes"}
        await client.jetstream().publish(
            f"{SUBJECT}.answer",
            json.dumps(answer).encode(),
            headers={"Hotline-Reply-To": "me.replies", "Hotline-Correlation": "c-7"},
        )
        [reply] = await listener.until("me.replies")
    assert json.loads(reply.data) == {
        "request_id": "a-1",
        "id": "1-3f2a-1",
        "notice_id": str(notice.id),
        "repeated": False,
    }
    assert reply.headers is not None
    assert reply.headers["Hotline-Correlation"] == "c-7"
    stored = await desk.store.notice(notice.id)
    assert stored is not None
    assert stored.delivery.state is DeliveryState.WILCO


REFUSED: list[tuple[bytes, dict[str, str], str, str]] = [
    (json.dumps(NOTICE).encode(), {}, "unknown", "missing_request_id"),
    (json.dumps(NOTICE | {"request_id": "r", "kind": "HELLO"}).encode(), {}, "r", "unknown_kind"),
    (json.dumps(NOTICE | {"request_id": "a.b", "to": "X"}).encode(), {}, "a_b", "unknown_station"),
    (b" ", {}, "unknown", "bad_json"),
    (b" ", {"request_id": "h"}, "h", "bad_json"),
    (b" ", {"request_id": "a/b"}, "unknown", "bad_json"),
    (b"x" * 100_000, {}, "unknown", "too_large"),
    (b"\x81" * 60_000, {"Content-Type": "application/cbor"}, "unknown", "bad_cbor"),
    (
        json.dumps(NOTICE | {"request_id": "r"}).encode(),
        {"Hotline-Reply-To": "hotline.v1.NORTH.notice.operation.flash"},
        "r",
        "bad_response_topic",
    ),
    (
        json.dumps(NOTICE | {"request_id": "r"}).encode(),
        {"Hotline-Reply-To": "all.>"},
        "r",
        "bad_response_topic",
    ),
]


@pytest.mark.parametrize(
    ("payload", "headers", "name", "code"),
    REFUSED,
    ids=[f"{i}-{it[3]}" for i, it in enumerate(REFUSED)],
)
async def test_refusals_are_told(
    server: NatsServer, payload: bytes, headers: dict[str, str], name: str, code: str
) -> None:
    """What cannot be accepted ends on the error subject, and is gone from the requests."""
    desk = MemoryDesk()
    async with running(server.url, desk=desk), program(server.url) as client:
        listener = await Listener.stored(client, "HOTLINE_STATE", f"{SUBJECT}.error.*")
        await client.jetstream().publish(f"{SUBJECT}.submit", payload, headers=headers or None)
        [problem] = await listener.until("error")
        assert problem.subject == f"{SUBJECT}.error.{name}"
        assert json.loads(problem.data)["code"] == code
        info = await client.jetstream().stream_info("HOTLINE_REQUEST")
        while info.state.messages:
            await asyncio.sleep(0.01)
            info = await client.jetstream().stream_info("HOTLINE_REQUEST")
    assert desk.accepted == []


async def test_the_refusal_of_a_request_that_comes_again_is_the_same(server: NatsServer) -> None:
    """The stream has it once, though it was published twice."""
    desk = MemoryDesk()
    options = options_of(server.url)
    adapter = NatsAdapter(options, ServerRing(options.access), desk, desk.store)
    async with running(server.url, desk=desk):
        pass
    connection = NatsConnection(options.access, ServerRing(options.access), name="test")
    await connection.open()
    try:
        manager = connection.client.jetstream()
        await submit(connection.client, {"request_id": "one"})
        pull = await manager.pull_subscribe_bind("gateway-NORTH-submit", "HOTLINE_REQUEST")
        [first] = await pull.fetch(1, timeout=10)
        await connection.client.publish(first.reply, b"-NAK")
        [again] = await pull.fetch(1, timeout=10)
        assert again.metadata.num_delivered == 2
        for message in (first, again):
            await adapter._deal_with(connection, message)
        info = await manager.stream_info("HOTLINE_STATE")
        assert (info.state.messages, info.state.last_seq) == (1, 1)
    finally:
        await connection.close()


async def test_a_refusal_at_a_place_that_was_another_request_s_is_told(server: NatsServer) -> None:
    """A stream that was made anew numbers from 1 again, within the window of `Nats-Msg-Id`."""
    async with program(server.url) as client:
        for name in ("one", "two"):
            async with running(server.url, desk=MemoryDesk()):
                await submit(client, {"request_id": name})
                listener = await Listener.stored(client, "HOTLINE_STATE", f"{SUBJECT}.error.*")
                await listener.until(f"error.{name}")
            await client.jetstream().delete_stream("HOTLINE_REQUEST")


async def test_cbor_gets_cbor(server: NatsServer) -> None:
    """A CBOR submission gets a CBOR reply."""
    async with running(server.url, desk=MemoryDesk()), program(server.url) as client:
        listener = await Listener.on(client, "me.>")
        await client.jetstream().publish(
            f"{SUBJECT}.submit",
            cbor2.dumps(NOTICE | {"request_id": "c-1"}),
            headers={"Content-Type": "application/cbor", "Hotline-Reply-To": "me.replies"},
        )
        [reply] = await listener.until("me.replies")
    assert cbor2.loads(reply.data)["id"] == "1-3f2a-1"


async def test_rights_are_those_of_the_adapter(server: NatsServer) -> None:
    """By default a program submits no OPERATION."""
    rights = Rights(frozenset({Operation.TEST, Operation.EXERCISE}), Precedence.IMMEDIATE)
    desk = MemoryDesk()
    async with running(server.url, desk=desk, rights=rights), program(server.url) as client:
        listener = await Listener.stored(client, "HOTLINE_STATE", f"{SUBJECT}.error.*")
        await submit(client, NOTICE | {"request_id": "r", "operation": "OPERATION"})
        [problem] = await listener.until("error")
    assert json.loads(problem.data)["code"] == "forbidden"
    assert desk.accepted == []


async def test_lines_and_availability_are_the_last_word(server: NatsServer) -> None:
    """Lines and availability are kept once each; an orderly end says so."""
    desk = MemoryDesk()
    desk.show(status())
    async with program(server.url) as client:
        async with running(server.url, desk=desk, availability_s=0.05):
            listener = await Listener.stored(client, "HOTLINE_LINE", "hotline.v1.>")
            await listener.until("line")
            heard = await listener.until("availability", count=3)
        assert json.loads(heard[-1].data)["available"] is True
        manager = client.jetstream()
        last = await manager.get_last_msg("HOTLINE_LINE", f"{SUBJECT}.availability")
        assert last.data is not None
        assert json.loads(last.data) == {"station": "NORTH", "available": False, "valid_s": 90}
        line = await manager.get_last_msg("HOTLINE_LINE", f"{SUBJECT}.line.SOUTH")
        assert line.data is not None
        assert json.loads(line.data)["far_station"] == "SOUTH"
        info = await manager.stream_info("HOTLINE_LINE")
        assert info.state.messages == 2


async def test_a_killed_server_is_an_outage(server: NatsServer) -> None:
    """The adapter ends with one sentence that names the server."""
    async with running(server.url, desk=MemoryDesk()) as adapter:
        await server.kill()
        assert str(await adapter.end()).startswith(f"the NATS server {server.url} ")


async def test_a_frozen_server_is_an_outage(server: NatsServer) -> None:
    """A server that is silent is left, within the time of two pings."""
    async with running(server.url, desk=MemoryDesk()) as adapter:
        server.freeze()
        try:
            assert server.url in str(await adapter.end())
        finally:
            server.thaw()


async def test_no_server_is_an_outage() -> None:
    """Nobody listens: a sentence with the reason, at once."""
    async with running("nats://127.0.0.1:9", desk=MemoryDesk()) as adapter:
        text = str(await adapter.end())
    assert "nats://127.0.0.1:9" in text
    assert "refused" in text


async def test_an_unsafe_stream_is_refused(server: NatsServer) -> None:
    """A stream in memory acknowledges what a power cut takes: the adapter does not serve on it."""
    async with program(server.url) as client:
        await client.jetstream().add_stream(
            name="HOTLINE_NOTICE", subjects=["hotline.v1.*.notice.>"], storage="memory"
        )
    async with running(server.url, desk=MemoryDesk()) as adapter:
        text = str(await adapter.end())
    assert 'storage is "memory" instead of "file"' in text


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("HOTLINE_NOTICE", {"max_msgs_per_subject": 1}, "max_msgs_per_subject is 1 instead of -1"),
        ("HOTLINE_NOTICE", {"discard": "old", "max_msgs": 3}, 'discard is "old" instead of "new"'),
        (
            "HOTLINE_NOTICE",
            {"max_age": 10**9, "duplicate_window": 10**9},
            "max_age is 1000000000 instead of 2592000000000000",
        ),
        ("HOTLINE_REQUEST", {"max_msgs_per_subject": 1}, "max_msgs_per_subject is 1 instead of -1"),
    ],
)
async def test_a_stream_that_drops_what_it_acknowledged_is_refused(
    server: NatsServer, name: str, changes: dict[str, object], sentence: str
) -> None:
    """The notices stay with the gateway, untaken, until the stream keeps them."""
    desk = MemoryDesk()
    notices = [desk.arrive(f"number {number}") for number in range(5)]
    config = stream_config(name, 1)
    async with program(server.url) as client:
        payload = json.dumps(config | changes).encode()
        await client.request(f"$JS.API.STREAM.CREATE.{name}", payload)
        async with running(server.url, desk=desk) as adapter:
            text = str(await adapter.end())
        assert f"has an unsafe stream {name}: {sentence}; correct it" in text
        assert not any(desk.store._live.rows[it.id].delivery.taken for it in notices)  # type: ignore[union-attr]
        await client.request(f"$JS.API.STREAM.UPDATE.{name}", json.dumps(config).encode())
        async with running(server.url, desk=desk):
            await until(lambda: all(desk.store._live.rows[it.id].delivery.taken for it in notices))  # type: ignore[union-attr]
        info = await client.jetstream().stream_info("HOTLINE_NOTICE")
        assert info.state.messages == 5


async def test_a_stream_that_becomes_unsafe_is_left(server: NatsServer) -> None:
    """Somebody edits it while we serve: before a notice is lost in it for good."""
    async with program(server.url) as client:
        async with running(server.url, desk=MemoryDesk(), look_s=0.1) as adapter:
            payload = json.dumps(stream_config("HOTLINE_NOTICE", 1) | {"discard": "old"}).encode()
            await client.request("$JS.API.STREAM.UPDATE.HOTLINE_NOTICE", payload)
            assert "HOTLINE_NOTICE or other settings of it" in str(await adapter.end())
        async with running(server.url, desk=MemoryDesk()) as adapter:
            assert 'discard is "old"' in str(await adapter.end())


async def test_three_replicas_need_a_cluster(server: NatsServer) -> None:
    """Configured for three copies, one server is not enough, and the outage says so."""
    async with running(server.url, desk=MemoryDesk(), replicas=3) as adapter:
        assert "HOTLINE_NOTICE" in str(await adapter.end())


async def test_many_stations_share_the_streams(server: NatsServer) -> None:
    """Two stations that know the same notice id hand on both; requests go to their own station."""
    north, west = MemoryDesk(), MemoryDesk()
    async with (
        running(server.url, desk=north),
        running(server.url, desk=west, station="WEST"),
        program(server.url) as client,
    ):
        assert north.arrive().id == west.arrive().id
        listener = await Listener.stored(client, "HOTLINE_NOTICE", "hotline.v1.*.notice.>")
        heard = await listener.until("notice", count=2)
        assert {one.subject.split(".")[2] for one in heard} == {"NORTH", "WEST"}
        payload = json.dumps(NOTICE | {"request_id": "r"}).encode()
        await client.jetstream().publish("hotline.v1.WEST.submit", payload)
        await until(lambda: len(west.accepted) == 1)
        assert north.accepted == []


async def test_the_ring_begins_where_the_last_one_ended() -> None:
    """Each turn asks every server once; the next begins after the one that was asked last."""
    servers = ("nats://a", "nats://b", "nats://c")
    ring = ServerRing(Access(servers, "NORTH"))
    first = list(ring.turn())
    assert sorted(first) == list(servers)
    turn = ring.turn()
    assert next(turn) == first[0]
    assert next(ring.turn()) == first[1]


async def test_what_is_no_nats_is_an_outage() -> None:
    """A program that greets otherwise is named, and nothing is sent to it."""
    heard = bytearray()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        heard.extend(await reader.read(100))
        writer.close()

    listening = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        access = Access((f"nats://127.0.0.1:{port}",), "NORTH", replicas=1)
        connection = NatsConnection(access, ServerRing(access), name="test")
        with pytest.raises(QueueUnavailableError, match="INFO"):
            await connection.open()
    assert bytes(heard) == b""


async def remove_consumer(client: Client) -> None:
    await client.jetstream().delete_consumer("HOTLINE_REQUEST", "gateway-NORTH-submit")


async def remove_requests(client: Client) -> None:
    await client.jetstream().delete_stream("HOTLINE_REQUEST")


async def remake_requests(client: Client) -> None:
    info = await client.jetstream().stream_info("HOTLINE_REQUEST")
    await client.jetstream().delete_stream("HOTLINE_REQUEST")
    await client.jetstream().add_stream(info.config)


async def remove_notices(client: Client) -> None:
    await client.jetstream().delete_stream("HOTLINE_NOTICE")


async def remake_lines(client: Client) -> None:
    info = await client.jetstream().stream_info("HOTLINE_LINE")
    await client.jetstream().delete_stream("HOTLINE_LINE")
    await client.jetstream().add_stream(info.config)


@pytest.mark.parametrize(
    ("break_it", "what"),
    [
        (remove_consumer, "has no consumer gateway-NORTH-submit any more"),
        # A look may be between a stream and its consumers, or two steps of ours.
        (remove_requests, "has no (stream HOTLINE_REQUEST|consumer gateway-NORTH-submit) any more"),
        (remake_requests, "(stream HOTLINE_REQUEST|consumer gateway-NORTH-submit)"),
        (remove_notices, "has no stream HOTLINE_NOTICE any more"),
        (remake_lines, "(another|no) stream HOTLINE_LINE"),
    ],
    ids=lambda it: it.__name__ if callable(it) else "",
)
async def test_what_is_removed_on_a_live_server_is_an_outage(
    server: NatsServer, break_it: Callable[[Client], Awaitable[None]], what: str
) -> None:
    """Else submissions would wait for ever; the next connection makes it anew, and takes them."""
    desk = MemoryDesk()
    desk.show(status())
    async with program(server.url) as client:
        async with running(server.url, desk=desk, look_s=0.1) as adapter:
            await submit(client, NOTICE | {"request_id": "before"})
            await until(lambda: len(desk.accepted) == 1)
            await break_it(client)
            assert re.search(what, str(await adapter.end()))
        async with running(server.url, desk=desk, look_s=0.1):
            await submit(client, NOTICE | {"request_id": "after"})
            await until(lambda: len(desk.accepted) == 2)
            desk.arrive()
            for stream, kind in (("HOTLINE_NOTICE", "notice.>"), ("HOTLINE_LINE", "line.*")):
                listener = await Listener.stored(client, stream, f"{SUBJECT}.{kind}")
                await listener.until(kind[:-2])


async def test_a_consumer_that_is_made_anew_is_pulled_from(server: NatsServer) -> None:
    """Between two looks, with an outage or without: what is asked then comes."""
    desk = MemoryDesk()
    subject = "CONSUMER.DURABLE.CREATE.HOTLINE_REQUEST.gateway-NORTH-submit"
    config = gateway_consumer("NORTH", "submit")
    document = {"stream_name": "HOTLINE_REQUEST", "config": config}
    options = options_of(server.url)
    ring = ServerRing(options.access)

    def make() -> NatsAdapter:
        return NatsAdapter(options, ring, desk, desk.store)

    async with program(server.url) as client, supervised("nats", make) as events:
        await until(lambda: events)
        await submit(client, NOTICE | {"request_id": "before"})
        await until(lambda: len(desk.accepted) == 1)
        await remove_consumer(client)
        await client.request(f"$JS.API.{subject}", json.dumps(document).encode())
        await submit(client, NOTICE | {"request_id": "after"})
        await until(lambda: len(desk.accepted) == 2)


class Looks:
    """A server that gives these answers in turn, and no more after them."""

    server = "nats://hq"

    def __init__(self, *answers: dict[str, object]) -> None:
        self._answers = list(answers)

    async def ask(self, _subject: str) -> dict[str, object]:
        if not self._answers:
            raise QueueUnavailableError("no more")
        return self._answers.pop(0)


@pytest.mark.parametrize(
    ("now", "what"),
    [
        ({"created": "later"}, "no more"),
        ({"config": {"metadata": {"_nats.level": "1"}, "max_waiting": 512}}, "no more"),
        ({"config": {"filter_subject": "another"}}, "another consumer"),
        ({"config": {"ack_policy": "none"}}, "another consumer"),
    ],
)
async def test_which_changes_of_a_consumer_are_an_outage(
    now: dict[str, dict[str, object]], what: str
) -> None:
    """Not its time, which differs between the servers of 2.9, nor what a newer server adds."""
    plain = {"created": "then", "config": gateway_consumer("NORTH", "submit")}
    config = plain["config"] | now.get("config", {})  # type: ignore[operator]
    standing = Standing(Looks(plain, plain | now | {"config": config}), look_s=0.0)  # type: ignore[arg-type]
    await standing.find([], ["gateway-NORTH-submit"])
    with pytest.raises(QueueUnavailableError, match=what):
        await standing.watch()


@pytest.mark.parametrize(
    ("now", "what"),
    [
        ({"config": {"metadata": {"_nats.level": "1"}, "compression": "none"}}, "no more"),
        ({"config": {"max_bytes": 5}}, "another stream"),
        ({"config": {"no_ack": True}}, "another stream"),
        ({"config": {"num_replicas": 2}}, "another stream"),
        ({"created": "later"}, "another stream"),
    ],
)
async def test_which_changes_of_a_stream_are_an_outage(
    now: dict[str, dict[str, object]], what: str
) -> None:
    """What the shipped file says of it, and its time: one made anew has lost what was in it."""
    plain = {"created": "then", "config": stream_config("HOTLINE_NOTICE", 3)}
    config = plain["config"] | now.get("config", {})  # type: ignore[operator]
    standing = Standing(Looks(plain, plain | now | {"config": config}), look_s=0.0)  # type: ignore[arg-type]
    await standing.find(["HOTLINE_NOTICE"], [])
    with pytest.raises(QueueUnavailableError, match=what):
        await standing.watch()


async def test_an_election_between_two_looks_is_no_outage() -> None:
    """One question without an answer says nothing; the second one in a row is told."""
    looks = iter([b"made", b"", b"made", b"", b""])

    class Cluster:
        server = "nats://hq"

        async def ask(self, _subject: str) -> dict[str, object]:
            if answer := next(looks):
                return {"created": answer, "config": {}}
            raise QueueUnavailableError("no leader")

    standing = Standing(Cluster(), look_s=0.0)  # type: ignore[arg-type]
    await standing.find(["HOTLINE_NOTICE"], [])
    with pytest.raises(QueueUnavailableError, match="no leader"):
        await standing.watch()
    assert list(looks) == []


class LateFetch:
    """A pull whose wait ends with a result where it was told to stop, as nats-py's may."""

    def __init__(self) -> None:
        self.count = 0

    def jetstream(self) -> LateFetch:
        return self

    async def pull_subscribe_bind(self, **_: object) -> LateFetch:
        return self

    async def fetch(self, *_: object, **__: object) -> list[object]:
        self.count += 1
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return []


async def test_a_stop_that_nats_py_forgets_is_a_stop() -> None:
    """Else requests are served on for ever, and the outage that stopped them never ends."""
    desk, pull = MemoryDesk(), LateFetch()
    options = options_of("nats://127.0.0.1:9")
    adapter = NatsAdapter(options, ServerRing(options.access), desk, desk.store)
    connection = NatsConnection(options.access, ServerRing(options.access), name="test")
    connection._client = pull  # type: ignore[assignment]
    serving = asyncio.create_task(adapter._serve_requests(connection, "durable"))
    await until(lambda: pull.count)
    serving.cancel()
    await asyncio.wait([serving], timeout=10)
    assert serving.cancelled()
    assert pull.count == 1
