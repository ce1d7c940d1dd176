"""A visit at the MQTT broker: CONNECT with the configured credentials, read its word, leave.

Not the adapter's connection: that one asks the broker to keep a session for ever. This one is
clean, under another client id and without a will, so that nothing stays behind.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from paho.mqtt import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.config.files import FileProblemError
from gateway.config.keys import read_password
from gateway.config.settings import MqttSettings
from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.machine import Machine
from gateway.doctor.mosquitto import PACKET_SIZE_FEW, examine_mosquitto
from gateway.doctor.waiting import in_thread
from gateway.errors import ConfigError, QueueUnavailableError
from gateway.queues.mqtt_socket import Broker, Tls, UnreachableError, connected_socket

TOPIC: Final = "broker"
ANSWER_S: Final = 5.0
VISIT_S: Final = 15.0
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PROTOCOL: Final = 5
_CLEAN, _HAS_USER, _HAS_PASSWORD = 0x02, 0x80, 0x40
_CONNACK_SIZE_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a broker said to our CONNECT."""

    reason: int
    text: str
    properties: dict[str, Any]


async def examine_broker(machine: Machine, mqtt: MqttSettings, station: str) -> list[Finding]:
    """Within 15 s; a broker that is away is a finding."""
    try:
        broker = Broker.parse(mqtt.url)
        password = None if mqtt.password_file is None else read_password(mqtt.password_file)
        connected = await connected_socket(broker, Tls(mqtt.ca_file, mqtt.cert_file, mqtt.key_file))
    except (UnreachableError, QueueUnavailableError) as error:
        remedy = "start it (systemctl start mosquitto), or correct url in [mqtt]"
        return [fault(TOPIC, f"{mqtt.url} {error}", remedy)]
    except (ConfigError, FileProblemError) as error:
        return [fault(TOPIC, str(error), "correct [mqtt] in the configuration")]
    packet = connect_packet(f"hotline-doctor-{station}", mqtt.user, password)
    try:
        welcome = await in_thread(lambda: _greet(connected, packet))
    except (OSError, ValueError, MQTTException) as error:
        return [
            fault(
                TOPIC,
                f"{mqtt.url} took the connection and gave no answer of MQTT 5 ({error})",
                "check that an MQTT broker listens there, Mosquitto 2 or newer",
            )
        ]
    finally:
        connected.close()
    findings = list(judge_welcome(mqtt, broker, welcome))
    if welcome.reason:
        return findings
    is_near = _is_near(broker)
    return findings + await in_thread(lambda: examine_mosquitto(machine, broker, is_near=is_near))


def _is_near(broker: Broker) -> bool:
    return broker.unix_path is not None or broker.host in _LOCAL


def _greet(connected: socket.socket, packet: bytes) -> Welcome:
    """Blocks at most twice `ANSWER_S`."""
    connected.settimeout(ANSWER_S)
    connected.sendall(packet)
    octets = b""
    while (welcome := parse_connack(octets)) is None:
        more = connected.recv(_CONNACK_SIZE_MAX)
        if not more or len(octets) > _CONNACK_SIZE_MAX:
            raise ValueError("it hung up")
        octets += more
    connected.sendall(b"\xe0\x00")  # DISCONNECT
    return welcome


def connect_packet(client_id: str, user: str | None, password: str | None) -> bytes:
    """CONNECT of MQTT 5 (section 3.1): a clean start, no will, no session kept."""
    flags = _CLEAN
    body = _text(client_id)
    if user is not None:
        flags |= _HAS_USER
        body += _text(user)
    if password is not None:
        flags |= _HAS_PASSWORD
        body += _text(password)
    keepalive_s = 10
    head = _text("MQTT") + bytes([_PROTOCOL, flags]) + keepalive_s.to_bytes(2, "big") + b"\x00"
    rest = head + body
    return b"\x10" + _length(len(rest)) + rest


def parse_connack(octets: bytes) -> Welcome | None:
    """None while it is not whole. Raises `ValueError` and `MQTTException` on anything else."""
    if octets and octets[0] != 0x20:
        raise ValueError("its answer is no CONNACK")
    size, used = 0, 1
    for shift in range(4):
        if used >= len(octets):
            return None
        size |= (octets[used] & 0x7F) << (7 * shift)
        used += 1
        if octets[used - 1] < 0x80:
            break
    body = octets[used : used + size]
    if len(body) < size:
        return None
    if size < 3:
        raise ValueError("it speaks MQTT 3 only")
    properties: Any = Properties(PacketTypes.CONNACK)  # type: ignore[no-untyped-call]
    properties.unpack(body[2:])
    text = str(ReasonCode(PacketTypes.CONNACK, identifier=body[1]))
    return Welcome(body[1], text, dict(properties.json()))


def judge_welcome(mqtt: MqttSettings, broker: Broker, welcome: Welcome) -> Iterator[Finding]:
    user = f"user {mqtt.user}" if mqtt.user else "no user"
    if welcome.reason:
        remedy = "check user and password_file in [mqtt], and the broker's own list"
        yield fault(TOPIC, f"{mqtt.url} refuses {user}: {welcome.text}", remedy)
        return
    yield ok(TOPIC, f"{mqtt.url} accepts {user}")
    has = welcome.properties
    if not has.get("RetainAvailable", 1):
        remedy = "set retain_available true in mosquitto.conf"
        yield fault(TOPIC, "it keeps no retained messages, which the line's state needs", remedy)
    if has.get("MaximumQoS", 2) < 1:
        remedy = "set max_qos 1 or 2 in mosquitto.conf"
        yield fault(TOPIC, "it takes QoS 0 only, with which notices get lost", remedy)
    size_max = has.get("MaximumPacketSize")
    if size_max is not None and size_max < PACKET_SIZE_FEW:
        remedy = f"set max_packet_size to {PACKET_SIZE_FEW} or more in mosquitto.conf"
        yield fault(TOPIC, f"it takes packets of at most {size_max} octets", remedy)
    is_near = _is_near(broker)
    if not is_near and not broker.is_tls:
        remedy = "use mqtts:// with ca_file"
        yield look(TOPIC, "notices and password go to another machine in clear", remedy)
    if not mqtt.user and not is_near:
        remedy = "set allow_anonymous false and a password_file in mosquitto.conf"
        yield look(TOPIC, "it accepts anyone without a user", remedy)
    count = has.get("ReceiveMaximum", 65_535)
    shown = size_max if size_max is not None else "no bound of"
    yield ok(TOPIC, f"receive maximum {count}, {shown} octets a packet")


def _text(text: str) -> bytes:
    octets = text.encode()
    return len(octets).to_bytes(2, "big") + octets


def _length(size: int) -> bytes:
    """A variable byte integer (section 1.5.5)."""
    octets = bytearray()
    while True:
        size, low = divmod(size, 0x80)
        octets.append(low | (0x80 if size else 0))
        if not size:
            return bytes(octets)
