"""What the service holds in memory with everything in use: cable, radio, broker, pins."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.sim.bench.files import CABLE, RADIO
from tests.hardware.machine.installation import Installed
from tests.hardware.machine.line import line_with, notice
from tests.hardware.machine.state import UNIT, started_s
from tests.integration.mosquitto import Heard, mosquitto, needs_mosquitto

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(900), needs_mosquitto]

RSS_MIB_MAX = 55
DROP_INS = f"/etc/systemd/system/{UNIT}.service.d"
BROKER = "10.0.2.100"
NETWORK_UP = """python3 -I - <<'END'
import fcntl, os, socket, struct
(name,) = set(os.listdir("/sys/class/net")) - {"lo"}
with socket.socket() as one:
    for order, address in ((0x8916, "10.0.2.15"), (0x891C, "255.255.255.0")):
        four = socket.inet_aton(address)
        octets = struct.pack("16sHH4s8x", name.encode(), socket.AF_INET, 0, four)
        fcntl.ioctl(one, order, octets)
    fcntl.ioctl(one, 0x8914, struct.pack("16sH14x", name.encode(), 0x41))
END"""
"""SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS (up, running): the machine has no other tool for it."""


async def test_memory_with_radio_cable_broker_and_pins(
    installed: Installed, tmp_path: Path
) -> None:
    """At most 55 MiB resident after a notice each way; the broker is reached through the drop-in
    that allows its address, and no other.
    """
    async with (
        mosquitto(tmp_path) as broker,
        broker.listen("hotline/v1/NORTH/#") as heard,
        line_with(
            installed, tmp_path, (RADIO, CABLE), mqtt_url=f"mqtt://{BROKER}:1883",
            broker_port=broker.port,
        ) as line,
    ):  # fmt: skip
        machine = line.machine
        await machine.must(NETWORK_UP)
        await machine.must(
            f"mkdir -p {DROP_INS} && sed '/^IPAddressAllow/s/=.*/={BROKER}/' "
            f"/usr/share/hotline-gateway/remote-broker.conf >{DROP_INS}/remote-broker.conf && "
            f"systemctl daemon-reload && systemctl start {UNIT}"
        )
        print(await started_s(machine), "s from the start of the service to its readiness")
        await line.until_up(CABLE)
        await heard.on("/availability")
        await broker.submit("NORTH", notice("memory-1"))
        await heard.until(lambda _: any(is_receipt(one) for one in heard.heard))
        pid = int(await machine.must(f"systemctl show -P MainPID {UNIT}"))
        lines = (await machine.read(f"/proc/{pid}/status")).splitlines()
        kib = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
        rss_mib = int(kib["VmRSS"]) / 1024
        print(f"resident: {rss_mib:.1f} MiB, at most {int(kib['VmHWM']) / 1024:.1f} MiB until now")
        exposure = await machine.must(f"systemd-analyze security --no-pager {UNIT} | tail -1")
        print("with remote-broker.conf:", exposure.strip())
        assert rss_mib <= RSS_MIB_MAX


def is_receipt(message: Heard) -> bool:
    return "/state/" in message.topic and message.json["state"] == "MACHINE RECEIPT"
