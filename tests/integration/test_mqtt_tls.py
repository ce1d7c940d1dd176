"""mqtts:// against a real Mosquitto with certificates made for the test."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import socket
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.core.events import Principal, Rights
from gateway.errors import QueueUnavailableError
from gateway.model import Operation, Precedence, Role
from gateway.queues.mqtt import MqttAdapter, MqttOptions
from gateway.queues.mqtt_connection import Tls
from tests.integration.desk_double import MemoryDesk
from tests.integration.mosquitto import DEADLINE_S, mosquitto, needs_mosquitto

WHO = Principal("mqtt", "broker", Role.AUTOMATIC, Rights(frozenset(Operation), Precedence.FLASH))


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test broker")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "broker.pem", folder / "broker.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


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
