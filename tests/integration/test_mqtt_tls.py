"""mqtts:// against a real Mosquitto with certificates made for the test."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from pathlib import Path

import pytest

from gateway.core.events import Principal, QueueUp, Rights
from gateway.errors import QueueUnavailableError
from gateway.model import Operation, Precedence, Role
from gateway.queues.base import QueueEvent
from gateway.queues.mqtt import MqttAdapter, MqttOptions
from gateway.queues.mqtt_connection import Tls
from tests.integration.certificates import Authority
from tests.integration.desk_double import MemoryDesk
from tests.integration.mosquitto import DEADLINE_S, mosquitto, needs_mosquitto

WHO = Principal("mqtt", "broker", Role.AUTOMATIC, Rights(frozenset(Operation), Precedence.FLASH))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@needs_mosquitto
async def test_tls(tmp_path: Path) -> None:
    """The broker's certificate is checked; long documents go both ways through TLS."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("broker")
    port = free_port()
    lines = (
        f"listener:listener {port} 127.0.0.1",
        f"listener:certfile {certificate}",
        f"listener:keyfile {key}",
    )
    desk = MemoryDesk()
    for number in range(30):
        desk.arrive(f"{number} " + "x" * 1000)
    async with mosquitto(tmp_path, *lines) as broker:
        url = f"mqtts://127.0.0.1:{port}"
        with pytest.raises(QueueUnavailableError, match=r"refuses TLS .*; check ca_file"):
            await asyncio.wait_for(
                MqttAdapter(MqttOptions(url, "NORTH", WHO), desk, desk.store).run(print), DEADLINE_S
            )
        options = MqttOptions(url, "NORTH", WHO, tls=Tls(tmp_path / "none.pem"))
        with pytest.raises(QueueUnavailableError, match="certificate files of MQTT"):
            await asyncio.wait_for(MqttAdapter(options, desk, desk.store).run(print), DEADLINE_S)
        options = MqttOptions(url, "NORTH", WHO, tls=Tls(authority.ca_file))
        async with broker.listen("hotline/v1/NORTH/notice/#") as listener:
            task = asyncio.create_task(MqttAdapter(options, desk, desk.store).run(lambda _e: None))
            await listener.on("/notice/", count=30)
            for number in range(40):
                await broker.submit(
                    "NORTH",
                    {
                        "request_id": f"r-{number}",
                        "to": "SOUTH",
                        "kind": "NOTIFY",
                        "operation": "TEST",
                        "text": "y" * 1000,
                    },
                )
            async with asyncio.timeout(DEADLINE_S):
                while len(desk.accepted) < 40:
                    await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@needs_mosquitto
async def test_user_password_and_client_certificate(tmp_path: Path) -> None:
    """A broker that demands all three gets them; it refuses whoever lacks one, with a sentence."""
    authority, forger = Authority(tmp_path), Authority(tmp_path / "forger", "another authority")
    certificate, key = authority.issue("broker")
    own, own_key = authority.issue("north")
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "north", "secret"], check=True)
    port = free_port()
    lines = (
        "allow_anonymous false",
        f"password_file {passwords}",
        f"listener:listener {port} 127.0.0.1",
        f"listener:certfile {certificate}",
        f"listener:keyfile {key}",
        f"listener:cafile {authority.ca_file}",
        "listener:require_certificate true",
    )
    good = Tls(authority.ca_file, own, own_key)
    desk = MemoryDesk()

    def adapter(tls: Tls, password: str = "secret") -> MqttAdapter:
        url = f"mqtts://127.0.0.1:{port}"
        options = MqttOptions(url, "NORTH", WHO, user="north", password=password, tls=tls)
        return MqttAdapter(options, desk, desk.store)

    async with mosquitto(tmp_path, *lines):
        for bad, password, sentence in (
            (Tls(authority.ca_file), "secret", "cert_file"),
            (Tls(authority.ca_file, *forger.issue("north")), "secret", "cert_file"),
            (Tls(forger.ca_file, own, own_key), "secret", "refuses TLS .*check ca_file"),
            (Tls(authority.ca_file, own, key), "secret", "certificate files of MQTT"),
            (good, "wrong", "check user, password_file"),
        ):
            with pytest.raises(QueueUnavailableError, match=sentence):
                async with asyncio.timeout(DEADLINE_S):
                    await adapter(bad, password).run(lambda _event: None)
        seen: list[QueueEvent] = []
        task = asyncio.create_task(adapter(good).run(seen.append))
        async with asyncio.timeout(DEADLINE_S):
            while not any(isinstance(event, QueueUp) for event in seen):
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
