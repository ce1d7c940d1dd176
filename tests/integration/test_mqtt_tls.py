"""mqtts:// against a real Mosquitto with certificates made for the test."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from gateway.core.events import Principal, Rights
from gateway.errors import QueueUnavailableError
from gateway.model import Operation, Precedence, Role
from gateway.queues.mqtt import MqttAdapter, MqttOptions
from gateway.queues.mqtt_connection import Tls
from tests.integration.certificates import make_certificate
from tests.integration.desk_double import MemoryDesk
from tests.integration.mosquitto import DEADLINE_S, mosquitto, needs_mosquitto

WHO = Principal("mqtt", "broker", Role.AUTOMATIC, Rights(frozenset(Operation), Precedence.FLASH))


@needs_mosquitto
async def test_tls(tmp_path: Path) -> None:
    """The broker's certificate is checked; long documents go both ways through TLS."""
    certificate, key = make_certificate(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
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
        options = MqttOptions(url, "NORTH", WHO, tls=Tls(certificate))
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
