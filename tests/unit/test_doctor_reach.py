"""What the installed unit lets the service reach, which the doctor itself reaches in any case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.hosts import network_addresses, remote_host
from gateway.config.settings import (
    IndicatorSettings,
    LineSettings,
    MeshtasticLinkSettings,
    MqttSettings,
    NatsSettings,
    Settings,
    StationSettings,
)
from gateway.doctor.finding import Finding, Mark
from gateway.doctor.machine import Machine
from gateway.doctor.reach import addresses_of, examine_reach

SYSTEMD = Path(__file__).parents[2] / "systemd"
HOSTS = {"broker.example": ["198.51.100.7", "2001:db8::7"], "gone.example": []}


def settings(
    *, mqtt: str | None = None, nats: tuple[str, ...] = (), radio: str = "/dev/hotline/radio-1"
) -> Settings:
    link = MeshtasticLinkSettings(name="radio", port=radio, node="!4d4c00b2")
    return Settings(
        station=StationSettings(name="NORTH"),
        line=(LineSettings(card=Path("/c"), secret_file=Path("/s"), link=(link,)),),
        indicators=IndicatorSettings(factory="none"),
        mqtt=None if mqtt is None else MqttSettings(url=mqtt),
        nats=NatsSettings(servers=nats) if nats else None,
    )


class Installed:
    """A machine with the shipped unit, and drop-ins as an operator leaves them."""

    def __init__(self, root: Path) -> None:
        self.machine = Machine(root)
        self.put(
            "usr/lib/systemd/system/hotline-gateway.service", shipped("../hotline-gateway.service")
        )
        self.put("etc/resolv.conf", "nameserver 127.0.0.53\n")

    def put(self, name: str, text: str) -> None:
        path = self.machine.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def drop_in(self, name: str, text: str) -> None:
        self.put(f"etc/systemd/system/hotline-gateway.service.d/{name}.conf", text)

    def found(self, wanted: Settings) -> list[Finding]:
        return list(examine_reach(self.machine, wanted, lambda host: HOSTS.get(host, [host])))


def shipped(name: str) -> str:
    return (SYSTEMD / "drop-ins" / name).read_text()


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


BROKER = settings(mqtt="mqtts://broker.example:8883")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (BROKER, "mqtts://broker.example:8883: IPAddressAllow lacks 198.51.100.7, 2001:db8::7"),
        (settings(nats=("nats://127.0.0.1:4222", "nats://10.0.0.5:4222")), "lacks 10.0.0.5"),
        (settings(radio="tcp://192.0.2.44:4403"), "tcp://192.0.2.44:4403: IPAddressAllow lacks"),
    ],
)
def test_the_shipped_unit_denies_other_machines(
    wanted: Settings, words: str, installed: Installed
) -> None:
    """A fault that names the drop-in, before and after it was copied as it is."""
    installed.drop_in("named-users", shipped("named-users.conf"))
    for _ in range(2):
        (found,) = installed.found(wanted)
        assert (found.mark, words in found.text) == (Mark.FAULT, True), found
        assert "/usr/share/hotline-gateway/remote-broker.conf" in found.remedy
        assert "systemctl daemon-reload" in found.remedy
        installed.drop_in("remote-broker", shipped("remote-broker.conf"))


@pytest.mark.parametrize("allowed", ["198.51.100.0/24", "2001:db8::7", "any"])
def test_a_drop_in_that_allows_the_address_is_enough(allowed: str, installed: Installed) -> None:
    """One address of several, since they are tried in turn."""
    installed.drop_in("mine", f"[Service]\nIPAddressAllow={allowed}\n")
    (found,) = installed.found(BROKER)
    assert (found.mark, "lets the service reach mqtts" in found.text) == (Mark.OK, True)


@pytest.mark.parametrize(
    ("undo", "mark"),
    [
        ("IPAddressAllow=198.51.100.7\nIPAddressAllow=", Mark.FAULT),
        ("IPAddressDeny=", Mark.OK),
        ("IPAddressDeny=\nIPAddressDeny=198.51.100.0/24 2001:db8::/32", Mark.FAULT),
    ],
)
def test_an_empty_value_forgets_those_before(undo: str, mark: Mark, installed: Installed) -> None:
    """As systemd reads a list."""
    installed.drop_in("mine", f"[Service]\n{undo}\n")
    (found,) = installed.found(BROKER)
    assert found.mark is mark


def test_a_name_needs_its_name_server(installed: Installed) -> None:
    """Another machine's is denied too; none is asked for a number or what /etc/hosts has."""
    installed.drop_in("mine", "[Service]\nIPAddressAllow=198.51.100.7 192.0.2.9\n")
    installed.put("etc/resolv.conf", "search x\nnameserver 192.0.2.53\n")
    (found,) = installed.found(BROKER)
    assert (found.mark, "name server for broker.example: 192.0.2.53" in found.text) == (
        Mark.FAULT,
        True,
    )
    (found,) = installed.found(settings(mqtt="mqtt://192.0.2.9"))
    assert found.mark is Mark.OK
    installed.put("etc/hosts", "127.0.0.1 localhost\n198.51.100.7 b broker.example # ours\n")
    (found,) = installed.found(BROKER)
    assert found.mark is Mark.OK


def test_a_unit_without_network_reaches_nothing(installed: Installed) -> None:
    """unix-broker.conf beside a radio on TCP, even one on this machine."""
    installed.drop_in("unix-broker", shipped("unix-broker.conf"))
    (found,) = installed.found(settings(mqtt="unix:///run/x.sock", radio="tcp://localhost:4403"))
    assert (found.mark, "no network at all" in found.text) == (Mark.FAULT, True)
    assert installed.found(settings(mqtt="unix:///run/x.sock")) == []


def test_what_is_on_this_machine_or_on_a_bench_is_no_finding(
    installed: Installed, tmp_path: Path
) -> None:
    """No unit, no sandbox; the loopback is allowed as shipped."""
    near = settings(mqtt="mqtt://localhost:1883", radio="tcp://[::1]:4403")
    assert installed.found(near) == []
    resolve: Callable[[str], list[str]] = HOSTS.__getitem__
    assert list(examine_reach(Machine(tmp_path / "bench"), BROKER, resolve)) == []


def test_hosts_of_addresses() -> None:
    """Devices and sockets have none; this machine is not remote."""
    wanted = settings(mqtt="mqtt://localhost", radio="tcp://10.0.0.5:4403")
    assert network_addresses(wanted) == ["mqtt://localhost", "tcp://10.0.0.5:4403"]
    for address in (
        "/dev/ttyUSB0",
        "unix:///x",
        "mqtt://LOCALHOST:1",
        "tcp://127.8.8.8",
        "mqtt://[",
    ):
        assert remote_host(address) is None
    assert remote_host("nats://[2001:db8::1]:4222") == "2001:db8::1"
    assert addresses_of("127.0.0.1") == ["127.0.0.1"]
