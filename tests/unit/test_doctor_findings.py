"""Every finding of `hotline doctor`, bad and good: a machine in a folder, or values for a judge."""

from __future__ import annotations

import os
import pty
import re
import sys
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from gateway.config.settings import MqttSettings, NatsSettings
from gateway.doctor import (
    clock,
    daemon,
    disk,
    disturbance,
    gpio,
    installation,
    keys,
    mosquitto,
    nats,
    ports,
)
from gateway.doctor.broker import Welcome, connect_packet, judge_welcome, parse_connack
from gateway.doctor.callers import users_of
from gateway.doctor.finding import NOTHING_TO_DO, Finding, Mark
from gateway.doctor.machine import SERVICE, Machine, named
from gateway.queues.mqtt_socket import Broker
from gateway.queues.streams import stream_config
from gateway.store.folder import BALLAST_SIZE

ROOT = Path(__file__).parents[2]
OK, LOOK, FAULT = Mark.OK, Mark.LOOK, Mark.FAULT


def of(found: Finding | Iterable[Finding]) -> list[Finding]:
    return [found] if isinstance(found, Finding) else list(found)


def check(found: Finding | Iterable[Finding], mark: Mark, words: str) -> None:
    """One finding has this mark and says this; whatever is not ok says what to do."""
    findings = of(found)
    assert [it for it in findings if it.mark is mark and words in it.text], findings
    assert all(it.mark is OK or it.remedy != NOTHING_TO_DO for it in findings)


class Pretend:
    """Builds a machine in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.machine = Machine(root)

    def file(self, name: str, text: str = "") -> Pretend:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return self

    def link(self, name: str, target: Path | str) -> Pretend:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        return self

    def process(self, number: int, name: str) -> Pretend:
        return self.file(f"/proc/{number}/comm", f"{name}\n")

    def radio_board(self) -> Pretend:
        """An ESP32-S3 as the kernel shows it."""
        usb = "/sys/devices/usb1/1-1"
        self.file(f"{usb}/idVendor", "303a\n").file(f"{usb}/idProduct", "1001\n")
        self.file(f"{usb}/product", "USB JTAG/serial debug unit\n").file(f"{usb}/1-1:1.0/x")
        self.file("/sys/class/tty/ttyACM0/dev", "166:0").file("/dev/ttyACM0")
        self.link("/sys/class/tty/ttyACM0/device", self.root / f"{usb}/1-1:1.0".lstrip("/"))
        return self.link("/dev/serial/by-id/usb-Espressif-if00", "../../ttyACM0")


BY_ID = "/dev/serial/by-id/usb-Espressif-if00"

MACHINES: list[tuple[str, Callable[[Pretend], Any], Callable[[Machine], Any], Mark, str]] = [
    # what, how the machine is, what looks at it, mark, words
    ("no adapter", lambda it: it, lambda m: ports.examine_ports(m, ()), LOOK, "no USB serial"),
    (
        "an unused radio board",
        lambda it: it.radio_board(),
        lambda m: ports.examine_ports(m, ()),
        LOOK,
        f"Espressif ESP32-S3 or C3), {BY_ID}; nobody has it open; the configuration does not",
    ),
    (
        "a configured radio board",
        lambda it: it.radio_board(),
        lambda m: ports.examine_ports(m, (BY_ID,)),
        OK,
        "/dev/ttyACM0, USB 303a:1001 USB JTAG/serial debug unit (Espressif ESP32-S3 or C3)",
    ),
    (
        "a board that is held",
        lambda it: (
            it.radio_board().process(77, "screen").link("/proc/77/fd/3", it.root / "dev/ttyACM0")
        ),
        lambda m: ports.examine_ports(m, ()),
        OK,
        "open by screen (process 77)",
    ),
    (
        "a configured port that is gone",
        lambda it: it,
        lambda m: ports.examine_ports(m, (BY_ID,)),
        FAULT,
        f"{BY_ID} is configured and not there",
    ),
    (
        "a name that changes",
        lambda it: it.radio_board(),
        lambda m: ports.examine_ports(m, ("/dev/ttyACM0",)),
        LOOK,
        "changes with the order",
    ),
    (
        "a name that stays",
        lambda it: it.radio_board(),
        lambda m: ports.examine_ports(m, (BY_ID,)),
        OK,
        f"{BY_ID} is there",
    ),
    (
        "ModemManager runs",
        lambda it: it.process(5, "ModemManager"),
        disturbance.examine_disturbances,
        FAULT,
        "ModemManager runs",
    ),
    (
        "ModemManager is told",
        lambda it: it.process(5, "ModemManager").file(
            f"/usr/lib/udev/rules.d/{disturbance.OUR_RULE}"
        ),
        disturbance.examine_disturbances,
        OK,
        "told by udev",
    ),
    (
        "ModemManager waits",
        lambda it: it.file("/usr/sbin/ModemManager"),
        disturbance.examine_disturbances,
        LOOK,
        "ModemManager is installed",
    ),
    ("no ModemManager", lambda it: it, disturbance.examine_disturbances, OK, "not installed"),
    (
        "brltty runs",
        lambda it: it.process(6, "brltty"),
        disturbance.examine_disturbances,
        FAULT,
        "brltty runs",
    ),
    (
        "brltty waits",
        lambda it: it.file("/usr/bin/brltty"),
        disturbance.examine_disturbances,
        LOOK,
        "brltty is installed",
    ),
    (
        "brltty is masked",
        lambda it: it.file("/usr/bin/brltty").link(
            "/etc/systemd/system/brltty-udev.service", "/dev/null"
        ),
        disturbance.examine_disturbances,
        OK,
        "brltty is not in the way",
    ),
    ("no systemd", lambda it: it, installation.examine_service, LOOK, "systemd does not run"),
    ("versions", lambda it: it, installation.examine_versions, OK, version("cryptography")),
]


@pytest.mark.parametrize(
    ("make", "look_at", "mark", "words"),
    [row[1:] for row in MACHINES],
    ids=[it[0] for it in MACHINES],
)
def test_findings_of_a_machine(
    make: Callable[[Pretend], Any],
    look_at: Callable[[Machine], Any],
    mark: Mark,
    words: str,
    tmp_path: Path,
) -> None:
    """Each state of a machine has its mark and its words."""
    pretend = Pretend(tmp_path)
    make(pretend)
    check(look_at(pretend.machine), mark, words)


@dataclass
class Sources:
    """A clock of a test."""

    wall: int = 1_800_000_000_000
    is_ntp: bool = False

    def boot_ms(self) -> int:
        return 0

    def wall_ms(self) -> int:
        return self.wall

    def is_synchronised(self) -> bool:
        return self.is_ntp

    def boot_id(self) -> str:
        return "boot"


def test_clock(tmp_path: Path) -> None:
    """NTP and a manual clock are good; neither, a clock of 1970 and no battery are told."""
    pretend = Pretend(tmp_path)

    def look_at(sources: Sources, *, is_manual: bool = False) -> list[Finding]:
        return list(clock.examine_clock(pretend.machine, sources, is_manual=is_manual))

    check(look_at(Sources(is_ntp=True)), OK, "synchronised by NTP")
    check(look_at(Sources(), is_manual=True), OK, "set by hand")
    check(look_at(Sources()), LOOK, "NTP does not discipline")
    check(look_at(Sources(wall=5)), FAULT, "before this software existed")
    check(look_at(Sources()), LOOK, "no real-time clock")
    pretend.file("/sys/class/rtc/rtc0/name", "rpi-rtc")
    check(look_at(Sources()), OK, "rtc0, rpi-rtc")


def test_permissions() -> None:
    """Owner, group and others; a device of root's group is not mended by joining that group."""

    def status(mode: int, *, uid: int = 0, gid: int = 20) -> os.stat_result:
        return os.stat_result((0o20000 | mode, 0, 0, 0, uid, gid, 0, 0, 0, 0))

    person = ports.Person("hotline", 900, frozenset({900, 20}))
    stranger = ports.Person("visitor", 901, frozenset({901}))
    check(ports.judge_access("/dev/x", status(0o660), person), OK, "may use /dev/x")
    check(ports.judge_access("/dev/x", status(0o600, uid=900), person), OK, "may use")
    check(ports.judge_access("/dev/x", status(0o666), stranger), OK, "may use")
    found = ports.judge_access("/dev/x", status(0o660), stranger)
    check(found, FAULT, "visitor may not use /dev/x (mode 0660, group dialout)")
    assert "usermod -aG dialout visitor" in found.remedy
    found = ports.judge_access("/dev/x", status(0o600, gid=0), person)
    check(found, FAULT, "may not use")
    assert "udev" in found.remedy


def test_gpio_libraries_and_chip(tmp_path: Path) -> None:
    """Missing, known bad, forced elsewhere, good; a chip with another label or none."""

    def libraries(gpiozero: str | None, lgpio: str | None, forced: str | None = None) -> Finding:
        return gpio.judge_libraries({"gpiozero": gpiozero, "lgpio": lgpio}, forced=forced)

    check(libraries("2.0.1.post3", "0.2.2.0"), OK, "are there")
    check(libraries(None, "0.2.2.0"), FAULT, "gpiozero cannot be imported")
    assert "apt install --reinstall" in libraries("2.0.1.post3", None).remedy
    check(libraries("2.0.1.post1", "0.2.2.0"), FAULT, "wrong factory")
    check(libraries("2.0.1.post3", "0.0.0.2"), FAULT, "wrong factory")
    check(libraries("2.0.1.post3", "0.2.2.0", "rpigpio"), LOOK, "GPIOZERO_PIN_FACTORY is rpigpio")
    check(gpio.judge_chips({"gpiochip4": "pinctrl-rp1"}), OK, "gpiochip4 (pinctrl-rp1)")
    check(gpio.judge_chips({"gpiochip0": "brcmvirt"}), FAULT, "gpiochip0 (brcmvirt)")
    machine = Pretend(tmp_path).file("/dev/gpiochip0").machine
    check(gpio.examine_gpio(machine, "lgpio"), FAULT, "gpiochip0 (Inappropriate ioctl")
    check(gpio.examine_gpio(machine, "none"), OK, "no lamps")
    kept = "/sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs"
    check(
        gpio.examine_gpio(Pretend(tmp_path).file(kept, "Y\n").machine, "lgpio"),
        LOOK,
        "that is killed",
    )
    assert not list(gpio.judge_release(["N"]))
    check(gpio.examine_gpio(machine, "mock"), LOOK, "simulated")


def test_known_chips_are_those_of_the_driver() -> None:
    """The doctor does not import gpiozero, so it has the labels once more."""
    from gateway.indicators.gpio import CHIP_LABELS

    assert gpio.CHIP_LABELS == CHIP_LABELS


def test_disk(tmp_path: Path) -> None:
    """Room, files left, a write that lands, a folder that is missing or gone, the ballast."""
    machine = Machine()
    check(disk.judge_room(tmp_path, free=1 << 30, inodes=9999, total=9999), OK, "1024 MiB free")
    check(disk.judge_room(tmp_path, free=100 << 20, inodes=9999, total=9999), LOOK, "gets full")
    check(disk.judge_room(tmp_path, free=1 << 20, inodes=9999, total=9999), FAULT, "is full")
    check(disk.judge_room(tmp_path, free=1 << 30, inodes=5, total=9999), FAULT, "is full")
    check(disk.examine_disk(machine, tmp_path), OK, "reached the disk")
    assert list(tmp_path.iterdir()) == [], "the trial is gone"
    check(disk.examine_disk(machine, tmp_path / "none"), FAULT, "is not there")
    ballast = tmp_path / "ballast"
    check(disk.judge_ballast(ballast, is_running=False), OK, "no ballast yet")
    check(disk.judge_ballast(ballast, is_running=True), FAULT, "has 0 octets")
    with ballast.open("wb") as file:
        file.truncate(BALLAST_SIZE)
    check(disk.judge_ballast(ballast, is_running=True), OK, "is there (4 MiB)")


def test_a_disk_that_takes_no_write() -> None:
    """A folder of /proc refuses every file, as a broken disk does."""
    found = list(disk.examine_disk(Machine(), Path("/proc/self")))
    assert any(it.mark is FAULT and "failed" in it.text for it in found), found


def test_a_name_that_changes_has_the_lasting_one_in_its_remedy(tmp_path: Path) -> None:
    """Ours where the udev rules have made one, else by-id; for a port that is gone, the folder."""
    it = Pretend(tmp_path).radio_board()

    def remedies() -> list[str]:
        configured = ("/dev/ttyACM0", "/dev/none")
        return [one.remedy for one in ports.examine_ports(it.machine, configured)][-2:]

    by_id, correct = f"write {BY_ID} as `port`", "plug it in, or correct `port`: ls -l "
    assert remedies() == [by_id, f"{correct}/dev/serial/by-id"]
    it.link("/dev/hotline/radio-77", "../ttyACM0")
    own = "write /dev/hotline/radio-77 as `port`"
    assert remedies() == [own, f"{correct}/dev/hotline"]


def test_a_number_that_all_have_is_no_name(tmp_path: Path) -> None:
    """Two CP2102 share one link of by-id, which leads to the last: each is told by its socket."""
    it = Pretend(tmp_path)
    for name in ("ttyUSB0", "ttyUSB1"):
        usb = f"/sys/devices/usb1/{name}"
        it.file(f"{usb}/idVendor", "10c4\n").file(f"{usb}/serial", "0001\n").file(f"{usb}/tty/x")
        it.link(f"/sys/class/tty/{name}/device", it.root / f"{usb}/tty".lstrip("/"))
        it.link(f"/dev/serial/by-path/socket-{name}", f"../../{name}")
    it.link("/dev/serial/by-id/usb-CP2102_0001", "../../ttyUSB1")

    def names() -> list[str | None]:
        return [device.lasting for device in ports.serial_devices(it.machine)]

    sockets = [f"/dev/serial/by-path/socket-ttyUSB{number}" for number in range(2)]
    assert names() == sockets
    it.file("/sys/devices/usb1/ttyUSB1/serial", "4D4C00A1\n")
    assert names() == [sockets[0], "/dev/serial/by-id/usb-CP2102_0001"]
    it.link("/dev/hotline/radio-at-1", "../ttyUSB0")
    assert names() == ["/dev/hotline/radio-at-1", "/dev/serial/by-id/usb-CP2102_0001"]


def test_private_files(tmp_path: Path) -> None:
    """Mode and owner of a key; one that is missing."""
    path = tmp_path / "station.key"
    check(keys.judge_private(path, None), FAULT, "cannot be found")
    path.write_text("x")
    path.chmod(0o600)
    check(keys.judge_private(path, os.getuid()), OK, "mode 0600")
    check(keys.judge_private(path, os.getuid() + 1), FAULT, "cannot read it")
    path.chmod(0o640)
    found = keys.judge_private(path, None)
    check(found, FAULT, "others may read")
    assert found.remedy == f"sudo chmod 600 {path}"


def test_service() -> None:
    """As `systemctl show` tells: not installed, stopped, not enabled, restarted, good."""
    good = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "UnitFileState": "enabled",
        "NRestarts": "0",
    }
    check(installation.judge_service(good), OK, "active (running), enabled")
    check(installation.judge_service({"LoadState": "not-found"}), LOOK, "not installed")
    check(installation.judge_service({**good, "ActiveState": "failed"}), FAULT, "is failed")
    check(installation.judge_service({**good, "UnitFileState": "disabled"}), FAULT, "stays off")
    fresh = {**good, "ActiveState": "inactive", "SubState": "dead", "UnitFileState": "disabled"}
    found = installation.judge_service(fresh, is_set_up=False)
    check(found, LOOK, "no configuration yet")
    assert re.search("sudo hotline init.*enable --now", found.remedy)
    found = installation.judge_service(fresh)
    check(found, FAULT, "is inactive")
    assert found.remedy.endswith("sudo systemctl enable --now hotline-gateway")
    assert "journalctl" not in found.remedy
    check(installation.judge_service({**good, "NRestarts": "3"}), LOOK, "restarted 3 times")
    check(installation.judge_service({**good, "NeedDaemonReload": "yes"}), LOOK, "was changed")
    check(installation.judge_versions({"cbor2": None}, "x"), FAULT, "not installed: cbor2")


def test_a_configuration_that_may_not_be_read_asks_for_sudo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another file would not help; what needs none is examined."""

    def refuse(*_words: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    settings, found = installation.examine_configuration(Path("/x.toml"), is_named=False)
    assert settings is None
    assert [(it.mark, it.remedy) for it in found] == [(LOOK, "run: sudo hotline doctor")]


def test_configuration(tmp_path: Path) -> None:
    """Missing, named and missing, and each problem a finding of its own."""
    path = tmp_path / "hotline.toml"
    settings, found = installation.examine_configuration(path, is_named=False)
    assert settings is None
    check(found, LOOK, "is not there")
    assert "sudo hotline init" in found[0].remedy
    found = installation.examine_configuration(path, is_named=True)[1]
    check(found, FAULT, "is not there")
    assert "sudo hotline init" in found[0].remedy
    path.write_text('[station]\nname = "north"\n')
    settings, found = installation.examine_configuration(path, is_named=True)
    assert settings is None
    assert len([it for it in found if it.mark is FAULT]) > 1
    (readme,) = [
        part.split("```")[0] for part in (ROOT / "README.md").read_text().split("```toml\n")[1:]
    ]
    path.write_text(readme)
    settings, found = installation.examine_configuration(path, is_named=True)
    check(found, FAULT, "station.key cannot be read")
    assert settings is not None, "the file alone can be used"
    assert settings.station.name == tomllib.loads(readme)["station"]["name"]


def test_gateway_and_its_links() -> None:
    """What the API says: device, path, far gateway; and a gateway that is away or silent."""
    link = {"name": "radio", "state": "UP", "device_up": True, "detail": "d", "heard_ms_ago": 900}
    check(daemon.judge_link("SOUTH", {**link, "round_trip_ms": 70}), OK, "round trip 70 ms")
    check(daemon.judge_link("SOUTH", {**link, "device_up": False}), FAULT, "does not work (d)")
    check(daemon.judge_link("SOUTH", {**link, "heard_ms_ago": None}), LOOK, "heard never")
    check(daemon.judge_link("SOUTH", {**link, "state": "DOWN"}), LOOK, "state DOWN")
    check(daemon.judge_peer("SOUTH", {"answers": True}), OK, "SOUTH answers")
    check(daemon.judge_peer("SOUTH", {"answers": True, "busy": True}), LOOK, "busy")
    check(daemon.judge_peer("SOUTH", None), LOOK, "does not answer")
    check(daemon.judge_daemon(daemon.Daemon(None, None)), LOOK, "does not run")
    check(daemon.judge_daemon(daemon.Daemon(None, 7)), FAULT, "process 7 holds the state folder")
    check(daemon.judge_daemon(daemon.Daemon(None, None, "no right")), LOOK, "no right")
    status: dict[str, Any] = {"store_refused": True, "alarms": [{"code": "X", "text": "why"}]}
    check(daemon.judge_daemon(daemon.Daemon(status, 7)), OK, "runs and answers")
    check(daemon.judge_daemon(daemon.Daemon(status, 7)), FAULT, "STORE REFUSED")
    check(daemon.judge_daemon(daemon.Daemon(status, 7)), FAULT, "alarm X: why")


def test_far_test() -> None:
    """Device, path, far gateway and far watch are told apart."""
    link = {"name": "radio", "device_up": True, "heard_ms_ago": 400}
    line = {"links": [link]}

    def judge(document: dict[str, Any], times: dict[str, float]) -> list[Finding]:
        return list(daemon.judge_far_test("SOUTH", document, times, "SENT", "1-a-1"))

    good = judge(line, {"receipt": 1.25, "person": 8.0})
    assert [it.mark for it in good] == [OK] * 4
    check(good, OK, "stored 1-a-1 after 1.2 s")
    check(good, OK, "watch answered SENT after 8.0 s")
    check(judge(line, {"receipt": 1.0}), LOOK, "no person has answered")
    check(judge(line, {}), FAULT, "has not receipted 1-a-1")
    check(judge({"links": [{**link, "heard_ms_ago": None}]}, {}), FAULT, "nothing came by any path")
    check(judge({"links": [{**link, "device_up": False}]}, {}), FAULT, "none of our devices")


def test_broker_settings() -> None:
    """A refusal, and each setting of CONNACK that notices cannot live with."""

    def judge(url: str, reason: int = 0, **properties: Any) -> list[Finding]:
        mqtt = MqttSettings(url=url)
        return list(judge_welcome(mqtt, Broker.parse(url), Welcome(reason, "why", properties)))

    local = "mqtt://localhost:1883"
    assert [it.mark for it in judge(local, ReceiveMaximum=20)] == [OK, OK]
    check(judge(local, 0x87), FAULT, "refuses no user: why")
    check(judge(local, RetainAvailable=0), FAULT, "no retained")
    check(judge(local, MaximumQoS=0), FAULT, "QoS 0 only")
    check(judge(local, MaximumPacketSize=900), FAULT, "at most 900 octets")
    check(judge("mqtt://broker.example:1883"), LOOK, "in clear")
    check(judge("mqtt://broker.example:1883"), LOOK, "anyone without a user")
    check(judge("unix:///run/broker.sock"), OK, "accepts no user")


KEPT_IN = "/var/lib/mosquitto"
LOCATION = f"persistence_location {KEPT_IN}/"


def test_mosquitto_settings(tmp_path: Path) -> None:
    """The shipped file has no finding, Debian's own has each; the broker at our port is meant."""
    shipped = (resources.files("gateway.queues.mosquitto") / "hotline.conf").read_text()
    pretend = Pretend(tmp_path).file(f"{KEPT_IN}/mosquitto.db").file("/etc/mosquitto/conf.d/README")

    def judge(url: str = "mqtt://localhost:1883", *, is_near: bool = True) -> list[Finding]:
        broker = Broker.parse(url)
        return mosquitto.examine_mosquitto(pretend.machine, broker, is_near=is_near)

    check(judge(), LOOK, "cannot be seen from here: no Mosquitto is seen that listens at 1883")
    pretend.process(6, "mosquitto")
    pretend.file("/proc/6/cmdline", "mosquitto\0-c\0/etc/mosquitto/mosquitto.conf\0")
    check(judge(), LOOK, "/etc/mosquitto/mosquitto.conf cannot be read")
    check(judge(is_near=False), LOOK, "cannot be seen from here")
    pretend.file(
        "/etc/mosquitto/mosquitto.conf",
        f"persistence true\n{LOCATION}\ninclude_dir /etc/mosquitto/conf.d",
    )
    found = judge()
    assert [it.mark for it in found] == [LOOK] * 4
    check(found, LOOK, "max_queued_bytes is 0")
    check(found, LOOK, "log_type is error warning notice information")
    check(found, LOOK, "autosave_on_changes is false")
    check(found, LOOK, "autosave_interval is 1800")
    pretend.file("/etc/mosquitto/conf.d/hotline.conf", shipped)
    assert [it.mark for it in judge()] == [OK]
    pretend.file("/etc/mosquitto/conf.d/zz.conf", "persistent_client_expiration 1d")
    check(judge(), LOOK, "persistent_client_expiration is 1d")
    pretend.process(7, "mosquitto").file("/proc/7/cmdline", "mosquitto\0-c\0/srv/other.conf\0")
    pretend.file("/srv/other.conf", "listener 1884\nmax_queued_messages 0")
    check(judge("mqtt://localhost:1884"), LOOK, "/srv/other.conf: max_queued_messages is 0")
    check(judge("mqtt://localhost:1884"), FAULT, "/srv/other.conf: persistence is false")


@pytest.mark.parametrize(
    ("line", "mark", "harm"),
    [
        ("persistence false", FAULT, "forgets every message"),
        ("autosave_on_changes false", LOOK, "by the clock"),
        ("autosave_interval 0", LOOK, "takes what it acknowledged"),
        ("autosave_interval 30", LOOK, "takes what it acknowledged"),
        ("max_queued_messages 1", FAULT, "it drops what comes"),
        ("max_queued_messages 0", LOOK, "an absent client may fill its memory"),
        ("max_queued_messages 5000", LOOK, "an absent client may fill its memory"),
        ("max_queued_bytes 100", FAULT, "it drops what comes"),
        ("max_queued_bytes 0", LOOK, "an absent client may fill its memory"),
        ("max_packet_size 8192", FAULT, "does not pass"),
        ("message_size_limit 8192", FAULT, "does not pass"),
        ("upgrade_outgoing_qos true", LOOK, "QoS 0"),
        ("persistent_client_expiration 1h", LOOK, "loses its session"),
        ("log_type all", LOOK, "each save is a line"),
    ],
)
def test_each_setting_of_the_fragment(line: str, mark: Mark, harm: str) -> None:
    """Behind the shipped ones, one that is otherwise: one finding, by its weight."""
    text = (resources.files("gateway.queues.mosquitto") / "hotline.conf").read_text()
    shipped = [
        (name, value)
        for name, _, value in (it.partition(" ") for it in text.splitlines())
        if name and not name.startswith("#")
    ]
    name, _, value = line.partition(" ")
    [found] = mosquitto.judge_settings("m.conf", [*shipped, (name, value)])
    assert found.mark is mark
    assert f"{name} is " in found.text
    assert harm in found.text
    assert found.remedy != NOTHING_TO_DO
    allowed = [("max_packet_size", "16384"), ("max_queued_messages", "1000")]
    [found] = mosquitto.judge_settings("m.conf", [*shipped, *allowed])
    assert found.mark is OK


def test_every_setting_of_the_fragment_is_judged() -> None:
    """What the shipped file sets or warns of, `hotline doctor` knows."""
    text = (resources.files("gateway.queues.mosquitto") / "hotline.conf").read_text()
    named = set(mosquitto.shipped_settings()) | set(
        re.findall(r"persistent_client_expiration|upgrade_outgoing_qos|max_packet_size", text)
    )
    assert len(named) == 9
    assert named <= {wish.name for wish in mosquitto.WISHES}


def test_which_mosquitto_is_judged(tmp_path: Path) -> None:
    """The one that listens at our port, whatever else runs or lies in /etc/mosquitto."""
    shipped = (resources.files("gateway.queues.mosquitto") / "hotline.conf").read_text()
    shipped = f"{LOCATION}\n{shipped}"
    pretend = Pretend(tmp_path).file("/etc/mosquitto/mosquitto.conf", shipped)
    pretend.file(f"{KEPT_IN}/mosquitto.db")

    def judge(url: str) -> list[Finding]:
        return mosquitto.examine_mosquitto(pretend.machine, Broker.parse(url), is_near=True)

    def runs(number: int, *words: str) -> None:
        pretend.process(number, "mosquitto").file(f"/proc/{number}/cmdline", "\0".join(words))

    ours = "mqtt://localhost:22883"
    check(judge("mqtt://localhost:1883"), LOOK, "no Mosquitto is seen that listens at 1883")
    runs(5, "mosquitto", "-c", "/etc/mosquitto/mosquitto.conf")
    pretend.file("/srv/m2.conf", f"listener 22999\n{shipped}")
    runs(6, "mosquitto", "-c", "/srv/m2.conf", "-p", "22883")  # a file's listeners win
    check(judge(ours), LOOK, "no Mosquitto is seen that listens at 22883")
    runs(7, "mosquitto", "-v", "-p", "22883")
    [found] = judge(ours)
    assert (found.mark, found.text) == (
        FAULT,
        "mosquitto without a file (process 7): a restart of the broker forgets every message",
    )
    check(judge("mqtt://localhost:22999"), OK, "/srv/m2.conf: it writes down each change")
    check(judge("mqtt://localhost:1883"), OK, "/etc/mosquitto/mosquitto.conf: it writes down")
    check(judge("unix:///run/broker.sock"), LOOK, "listens at /run/broker.sock")
    runs(8, "mosquitto", "-d")
    both = (
        "mosquitto.conf and mosquitto without a file (process 8) listen at 1883 by their settings"
    )
    check(judge("mqtt://localhost:1883"), LOOK, both)
    pretend.file("/srv/p.conf", f"{shipped}\nlistener 0 /run/broker.sock")
    runs(9, "mosquitto", "-c", "/srv/p.conf", "-p", "22884")
    check(judge("unix:///run/broker.sock"), OK, "/srv/p.conf: it writes down each change")
    check(judge("mqtt://localhost:22884"), LOOK, "no Mosquitto is seen that listens at 22884")
    pretend.file("/srv/none.conf", shipped)
    runs(10, "mosquitto", "-c", "/srv/none.conf", "-p", "22885")
    check(judge("mqtt://localhost:22885"), OK, "/srv/none.conf: it writes down each change")


def test_a_configuration_of_mosquitto_with_a_relative_name(tmp_path: Path) -> None:
    """It and what it includes are where the broker was started; else a person is told."""
    pretend = Pretend(tmp_path)
    pretend.process(7, "mosquitto").file("/proc/7/cmdline", "mosquitto\0-c\0etc/m.conf\0")
    pretend.file("/srv/etc/m.conf", "listener 1884\ninclude_dir parts")
    pretend.file("/srv/parts/one.conf", "max_queued_messages 1")
    broker = Broker.parse("mqtt://localhost:1884")

    def judge() -> list[Finding]:
        return mosquitto.examine_mosquitto(pretend.machine, broker, is_near=True)

    check(judge(), LOOK, "etc/m.conf cannot be read")
    assert "run this as root" in judge()[0].remedy
    pretend.link("/proc/7/cwd", "/srv")
    check(judge(), FAULT, "/srv/etc/m.conf: max_queued_messages is 1:")


@pytest.mark.parametrize("name", ["HOTLINE_NOTICE", "HOTLINE_REQUEST", "HOTLINE_STATE"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_msgs_per_subject": 1}, "max_msgs_per_subject is 1 instead of -1"),
        ({"discard": "other"}, 'discard is "other" instead of'),
        ({"max_age": 86_399 * 10**9}, "max_age is 86399000000000"),
    ],
)
def test_a_stream_that_drops_what_it_acknowledged(
    name: str, changes: dict[str, object], words: str
) -> None:
    """A fault, but for the states: as shipped the oldest of them go."""
    plain = stream_config(name, 1)
    found = list(nats.judge_stream(name, {"config": plain | changes}, plain, "edit it"))
    check(found, LOOK if name == "HOTLINE_STATE" else FAULT, words)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("bounds", "state", "mark", "words"),
    [
        ({}, {"messages": 10, "bytes": 790}, OK, "as shipped"),
        ({}, {"messages": 10, "bytes": 800}, LOOK, "is 80 % full, 800 of 1000 octets"),
        ({}, {"messages": 100, "bytes": 989}, LOOK, "98 % full"),
        ({}, {"messages": 100, "bytes": 990}, FAULT, "99 % full, 990 of 1000 octets: it refuses"),
        ({}, {"messages": 4, "bytes": 801}, FAULT, "80 % full"),  # not one more goes in
        ({"max_msgs": 10}, {"messages": 7, "bytes": 1}, OK, "as shipped"),
        ({"max_msgs": 10}, {"messages": 8, "bytes": 1}, LOOK, "80 % full, 8 of 10 messages"),
        ({"max_msgs": 10}, {"messages": 10, "bytes": 1}, FAULT, "100 % full, 10 of 10 messages"),
        ({"max_bytes": -1}, {"messages": 10, "bytes": 990}, OK, "as shipped"),
        ({"discard": "old"}, {"messages": 10, "bytes": 990}, OK, "as shipped"),
    ],
)
def test_a_stream_gets_full(
    bounds: dict[str, object], state: dict[str, int], mark: Mark, words: str
) -> None:
    """Notices wait at the gateway then: a look while there is time, else a fault."""
    wanted = stream_config("HOTLINE_NOTICE", 1) | {"max_bytes": 1000} | bounds
    answer = {"config": wanted, "state": state}
    (found,) = nats.judge_stream("HOTLINE_NOTICE", answer, wanted, "edit it")
    assert found.mark is mark
    assert words in found.text
    option = "--max-msgs=N" if "max_msgs" in bounds else "--max-bytes=N"
    assert (option in found.remedy) == (mark is not OK)


def test_nats_findings() -> None:
    """An unsafe stream is a fault; another bound, a copy behind and an old server want a look."""
    plain = stream_config("HOTLINE_NOTICE", 3)
    replicas = [{"name": "hq-2", "current": True}, {"name": "hq-3", "current": True}]
    hq = {"leader": "hq-1", "replicas": replicas}
    answer = {"config": plain, "cluster": hq, "state": {"messages": 7}}

    def judge(**changes: Any) -> list[Finding]:
        return list(nats.judge_stream("HOTLINE_NOTICE", answer | changes, plain, "edit it"))

    assert [it.mark for it in judge()] == [OK]
    check(judge(), OK, "3 copies, 7 messages")
    check(judge(config=plain | {"storage": "memory"}), FAULT, 'storage is "memory"')
    check(judge(config=plain | {"num_replicas": 1}), FAULT, "num_replicas is 1 instead of 3")
    check(judge(config=plain | {"max_bytes": 1000}), LOOK, "max_bytes is 1000")
    check(judge(config=plain | {"max_msgs": 3}), LOOK, "max_msgs is 3 instead of -1")
    check(judge(config=plain | {"max_age": 2 * 86_400 * 10**9}), LOOK, "max_age is 172800000000000")
    away = [{"name": "hq-3", "offline": True}]
    check(judge(cluster=hq | {"replicas": [replicas[0], *away]}), LOOK, "copy on hq-3")
    lagging = [{"name": name, "current": False} for name in ("hq-2", "hq-3")]
    check(judge(cluster=hq | {"replicas": lagging}), LOOK, "copy on hq-2, hq-3 is behind")
    lost = "nothing is stored until 2 of them serve"
    check(judge(cluster=hq | {"replicas": [{"name": "hq-2", "offline": True}, *away]}), FAULT, lost)
    check(judge(cluster={"leader": "", "replicas": [*replicas, *away]}), FAULT, "(hq-3 away)")
    check(judge(cluster={"replicas": replicas}), FAULT, "has no leader")
    one = {"config": plain | {"num_replicas": 1}, "cluster": {"leader": "hq-1"}}
    assert all(it.mark is not FAULT or "num_replicas" in it.text for it in judge(**one))

    def server(version: str, *servers: str) -> list[Finding]:
        return list(nats.judge_server(NatsSettings(servers=servers), servers[0], version))

    three = ("tls://a:4222", "tls://b:4222", "tls://c:4222")
    assert [it.mark for it in server("2.10.27", *three)] == [OK]
    check(server("2.9.10", *three), LOOK, "knows no sync_interval always")
    check(server("2.10.27", "nats://a:4222"), LOOK, "in clear")
    check(server("2.10.27", three[0]), LOOK, "3 replicas, and 1 of their servers")


def test_connect_and_connack() -> None:
    """CONNECT is clean and without a will; CONNACK is read octet by octet; other answers raise."""
    head = "00044d515454" + "05" + "c2" + "000a" + "00"
    payload = "000163" + "000175" + "000170"
    assert connect_packet("c", "u", "p").hex() == "1014" + head + payload
    connack = bytes.fromhex("2006000003210014")
    assert [parse_connack(connack[:size]) for size in range(len(connack))] == [None] * 8
    welcome = parse_connack(connack)
    assert welcome is not None
    assert (welcome.reason, welcome.properties) == (0, {"ReceiveMaximum": 20})
    for wrong in (b"HTTP/1.1 400", bytes.fromhex("20020001")):
        with pytest.raises(ValueError, match=r"CONNACK|MQTT 3"):
            parse_connack(wrong)


def test_the_lock_is_seen_without_trying_it(tmp_path: Path) -> None:
    """/proc/locks names who holds a file; the file itself is only looked at."""
    lock = tmp_path / "lock"
    assert Machine().lock_holder(lock) is None
    lock.write_text("")
    status = lock.stat()
    where = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    pretend = Pretend(tmp_path / "root")
    pretend.file("/proc/locks", f"1: FLOCK  ADVISORY  WRITE 4711 {where} 0 EOF\n")
    assert pretend.machine.lock_holder(lock) == 4711
    assert Machine().lock_holder(lock) is None


def test_the_gateway_that_holds_a_port_is_named_and_how_it_gives_it_back(tmp_path: Path) -> None:
    """As a service, at a terminal, and another program; of many the first three are told."""
    pretend = Pretend(tmp_path).file("/dev/ttyACM0")
    commands = {
        7: ("hotline", "/usr/bin/python3\0/usr/bin/hotline\0run\0", f"0::/x/{SERVICE}\n"),
        8: ("python3", "python3\0-m\0gateway.cli.main\0run\0", "0::/user.slice\n"),
        9: ("screen", "screen\0/dev/ttyACM0\0", "0::/user.slice\n"),
        10: ("cat", "cat\0/usr/bin/hotline\0", "0::/user.slice\n"),
    }
    for number, (name, command, group) in commands.items():
        pretend.process(number, name).file(f"/proc/{number}/cmdline", command)
        pretend.file(f"/proc/{number}/cgroup", group)
        pretend.link(f"/proc/{number}/fd/3", (tmp_path / "dev/ttyACM0").resolve())
    found = {it.number: it for it in pretend.machine.holders("/dev/ttyACM0")}
    assert {number: it.remedy for number, it in found.items()} == {
        7: "stop it: sudo systemctl stop hotline-gateway",
        8: "stop it: Ctrl-C where it runs, or kill 8",
        9: "end screen (process 9)",
        10: "end cat (process 10)",
    }
    assert named([found[7], found[9]]) == "the running gateway (process 7), screen (process 9)"
    assert named(list(found.values())).endswith(" and 1 more")


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1133 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 70
   1: 0100007F:1133 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 71
   2: 0100007F:C001 0100007F:1133 01 00000000:00000000 00:00000000 00000000     0        0 72
   3: 0502000A:C002 0702000A:1133 01 00000000:00000000 00:00000000 00000000     0        0 73
   4: 0502000A:C003 0702000A:1133 06 00000000:00000000 00:00000000 00000000     0        0 74
   5: 0502000A:C004 0702000A:1134 01 00000000:00000000 00:00000000 00000000     0        0 75
"""
TABLE_6 = """\
  sl  local_address                         remote_address
   0: B80D0120000000000000000005000000:C001 B80D0120000000000000000007000000:1133 01 0 0 0 0 0 81
   1: 0000000000000000FFFF00000502000A:C002 0000000000000000FFFF00000802000A:1133 01 0 0 0 0 0 82
"""


@pytest.mark.skipif(sys.byteorder == "big", reason="the tables are of a little-endian machine")
@pytest.mark.parametrize(
    ("port", "names"),
    [
        ("tcp://127.0.0.1", ["gateway"]),
        ("tcp://127.0.1.1:4403", ["gateway"]),
        ("tcp://[::1]:4403", ["gateway"]),
        ("tcp://10.0.2.7", ["other"]),
        ("tcp://10.0.2.7:4404", ["a program of another user"]),
        ("tcp://[2001:db8::7]", ["six"]),
        ("tcp://10.0.2.8", ["mapped"]),
        ("tcp://10.0.2.9", []),
        ("tcp://10.0.2.7:99999", []),
        ("/dev/ttyACM0", []),
    ],
)
def test_who_is_connected_to_a_radio_on_tcp(port: str, names: list[str], tmp_path: Path) -> None:
    """By the kernel's tables: who calls, not who is called, and not a connection that ends."""
    pretend = Pretend(tmp_path).file("/proc/net/tcp", TABLE).file("/proc/net/tcp6", TABLE_6)
    sockets = {1: ("node", 71), 2: ("gateway", 72), 3: ("other", 73), 4: ("six", 81)}
    for number, (name, inode) in {**sockets, 5: ("mapped", 82)}.items():
        pretend.process(number, name).link(f"/proc/{number}/fd/3", Path(f"socket:[{inode}]"))
    found = users_of(pretend.machine, port)
    assert [it.name for it in found] == names
    if names == ["a program of another user"]:
        assert (str(found[0]), found[0].remedy) == (names[0], "run this as root, which sees it")


def test_a_tty_is_known_without_an_open() -> None:
    """An open may reset the board behind it; /dev/null and a file are none."""
    ours, theirs = pty.openpty()
    try:
        assert Machine().is_tty(os.ttyname(theirs))
    finally:
        os.close(ours)
        os.close(theirs)
    assert not Machine().is_tty("/dev/null")
    assert not Machine().is_tty(__file__)
    assert Machine().is_tty("/dev/that-is-not-there"), "which is another finding"
