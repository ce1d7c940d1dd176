"""Requests of MQTT without a broker: any message whatever ends in one way, and in order."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.events import Principal, Rights
from gateway.errors import ConfigError, QueueUnavailableError
from gateway.model import Operation, Precedence, Role
from gateway.queues.messages import Message, Outgoing
from gateway.queues.mqtt import MqttAdapter, MqttOptions
from gateway.queues.mqtt_socket import Broker
from gateway.queues.requests import Requests
from tests.integration.desk_double import MemoryDesk

PREFIX = "hotline/v1/NORTH"
WHO = Principal(
    "mqtt", "broker", Role.AUTOMATIC, Rights(frozenset(Operation), Precedence.FLASH, answer=True)
)
NOTICE = {"request_id": "r", "to": "SOUTH", "kind": "NOTIFY", "operation": "TEST", "text": "x"}


def message(payload: bytes, **changes: Any) -> Message:
    fields: dict[str, Any] = {
        "topic": f"{PREFIX}/submit",
        "payload": payload,
        "qos": 1,
        "is_retained": False,
        "mid": 1,
        "content_type": None,
        "response_topic": None,
        "correlation": None,
        "user_properties": (),
    }
    return Message(**(fields | changes))


def deal_with(one: Message, desk: MemoryDesk | None = None) -> list[Outgoing]:
    """What is published in the end of a message."""
    published: list[Outgoing] = []

    async def publish(outgoing: Outgoing) -> int:
        published.append(outgoing)
        return 0

    where = desk or MemoryDesk()
    asyncio.run(Requests(PREFIX, WHO, where, where.store).deal_with(one, publish))
    return published


payloads = (
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=5,
    ).map(cbor2.dumps)
    | st.dictionaries(st.sampled_from([*NOTICE, "place"]), st.text(max_size=4) | st.integers()).map(
        lambda change: json.dumps(NOTICE | change).encode()
    )
)


@given(
    payload=payloads,
    topic=st.sampled_from(["submit", "answer", "taken"]),
    content_type=st.sampled_from([None, "application/json", "application/cbor", "", ";", "x/y"]),
    response_topic=st.none() | st.text(max_size=10),
    user_properties=st.lists(
        st.tuples(st.sampled_from(["request_id", "x"]), st.text(max_size=4)), max_size=2
    ).map(tuple),
    is_retained=st.booleans(),
)
def test_any_message_ends_in_one_way(payload: bytes, topic: str, **changes: Any) -> None:
    """Accepted once or refused once on an error topic; a reply only where it may go."""
    desk = MemoryDesk()
    published = deal_with(message(payload, topic=f"{PREFIX}/{topic}", **changes), desk)
    errors = [one for one in published if one.topic.startswith(f"{PREFIX}/error/")]
    replies = [one for one in published if one not in errors]
    assert len(errors) + len(desk.accepted) == 1
    assert len(replies) <= 1
    for one in replies:
        assert one.topic == changes["response_topic"]
        assert not one.topic.startswith(("hotline/", "$"))
    for one in errors:
        name = one.topic.removeprefix(f"{PREFIX}/error/")
        assert name
        assert not set(name) & set("/+#\0")
        assert json.loads(one.payload)["remedy"]


@pytest.mark.parametrize("topic", ["hotline/v1/NORTH/line/SOUTH", "a/#", "", "$SYS/x"])
def test_no_refusal_goes_where_a_message_bids_it(topic: str) -> None:
    """A retained message with a topic of ours as response topic is told on the error topic only."""
    [error] = deal_with(message(b"{}", is_retained=True, response_topic=topic))
    assert error.topic == f"{PREFIX}/error/unknown"


def test_a_reply_that_cannot_be_published_keeps_the_message() -> None:
    """When the connection goes before the reply is out, the message is not dealt with."""

    async def publish(_outgoing: Outgoing) -> int:
        raise QueueUnavailableError("gone")

    desk = MemoryDesk()
    requests = Requests(PREFIX, WHO, desk, desk.store)
    one = message(json.dumps(NOTICE).encode(), response_topic="me")
    with pytest.raises(QueueUnavailableError):
        asyncio.run(requests.deal_with(one, publish))
    again = deal_with(one, desk)
    assert json.loads(again[0].payload)["repeated"] is True


@pytest.mark.parametrize(
    "octets",
    [
        bytes.fromhex("c11a514b67b0"),
        bytes.fromhex("d8236161"),
        bytes.fromhex("c249010000000000000000"),
        bytes.fromhex("d9010281"),
        cbor2.dumps(cbor2.CBORTag(9999, NOTICE)),
        bytes.fromhex("a2") + cbor2.dumps("a") + b"\x01" + cbor2.dumps("a") + b"\x02",
        bytes.fromhex("bf") + cbor2.dumps("a") + b"\x01\xff",
        cbor2.dumps({1: 2}),
        cbor2.dumps(NOTICE) + b"\x00",
        b"\x81" * 9 + b"\x00",
    ],
)
def test_cbor_is_strict(octets: bytes) -> None:
    """Tags, double keys, indefinite lengths, other keys, depth and trailing octets are refused."""
    [error] = deal_with(message(octets, content_type="application/cbor"))
    assert json.loads(error.payload)["code"] == "bad_cbor"


@pytest.mark.parametrize(
    ("url", "host", "port", "unix_path", "is_tls"),
    [
        ("mqtt://broker", "broker", 1883, None, False),
        ("mqtt://[::1]:1884", "::1", 1884, None, False),
        ("mqtts://broker.example/", "broker.example", 8883, None, True),
        ("unix:///run/mosquitto.sock", "localhost", 1883, "/run/mosquitto.sock", False),
    ],
)
def test_urls(url: str, host: str, port: int, unix_path: str | None, is_tls: bool) -> None:
    """The three schemes and their defaults."""
    assert Broker.parse(url) == Broker(url, host, port, unix_path, is_tls)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "broker:1883",
        "http://broker",
        "mqtt://",
        "mqtt://broker:99999",
        "mqtt://broker/topic",
        "mqtt://user:secret@broker",
        "mqtt://broker?x=1",
        "unix://run/x.sock",
        "mqtt://[::1",
    ],
)
def test_wrong_urls(url: str) -> None:
    """Anything else is refused with what to write; a password is not repeated."""
    desk = MemoryDesk()
    with pytest.raises(ConfigError, match=r"write mqtt://host:1883") as caught:
        MqttAdapter(MqttOptions(url, "NORTH", WHO), desk, desk.store)
    assert "secret" not in str(caught.value)
