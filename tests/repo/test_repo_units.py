"""The unit files say what the daemon needs, and systemd reads them without a word."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.config.settings import StationSettings
from gateway.doctor.ports import _RADIO_VENDORS
from gateway.store.folder import USUAL

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd/hotline-gateway.service"
DROP_INS = sorted((ROOT / "systemd/drop-ins").glob("*.conf"))
EXPOSURE_MAX: dict[str | None, float] = {
    None: 1.1,
    "named-users": 1.3,
    "remote-broker": 1.2,
    "state-elsewhere": 1.1,
    "kernel-clock": 1.5,
    "unix-broker": 0.4,
}
"""By `systemd-analyze security`, of the unit with one drop-in; None: without."""


def service() -> dict[str, str]:
    """Give the last value of each key of [Service]."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the module's documented way
    parser.read(UNIT)
    return dict(parser["Service"])


def test_a_wrong_configuration_is_not_started_again_and_all_else_is() -> None:
    """Exit code 78 waits for a person; any other end is followed by a start, for ever."""
    assert service()["RestartPreventExitStatus"] == "78"
    assert service()["Restart"] == "always"
    assert "StartLimitIntervalSec=0" in UNIT.read_text()


def test_systemd_watches_the_daemon_and_starts_it_without_a_set_clock() -> None:
    """A daemon that hangs is killed; one that waited for the time would never start without it."""
    assert service()["Type"] == "notify"
    assert service()["WatchdogSec"] == "30"
    text = UNIT.read_text()
    ordered = re.findall(r"(?m)^(?:After|Requires|Wants|BindsTo|Requisite)=(.*)$", text)
    waited_for = set(" ".join(ordered).split())
    modules = {f"modprobe@{name}.service" for name in ("usbserial", "cdc_acm")}
    assert waited_for == {"mosquitto.service"} | modules


def test_folders_of_the_unit_are_the_defaults_of_the_configuration() -> None:
    """An installed gateway needs no paths in its configuration."""
    station = StationSettings(name="NORTH")
    assert str(station.state_folder) == "/var/lib/" + service()["StateDirectory"]
    assert station.state_folder == USUAL
    assert str(station.runtime_folder) == "/run/" + service()["RuntimeDirectory"]


def test_the_devices_belong_to_the_group_of_the_unit() -> None:
    """The user needs no other group: udev gives each device to its own."""
    lines = (ROOT / "systemd/hotline-gateway.sysusers").read_text().splitlines()
    user = service()["User"]
    assert [line.split()[:2] for line in lines if line[0] != "#"] == [["u", user]]
    assert "SupplementaryGroups" not in service()
    rules = (ROOT / "systemd/70-hotline-gateway.rules").read_text()
    assert set(re.findall(r"GROUP:?=\"(\w+)\"", rules)) == {service()["Group"]}
    assert set(re.findall(r"MODE:?=\"(\d+)\"", rules)) == {"0660"}
    for allowed in ("ttyUSB", "ttyACM", "ttyAMA", "gpiochip"):
        assert f"DeviceAllow=char-{allowed} rw" in UNIT.read_text()
        assert f"{allowed}*" in rules


def test_every_rule_of_udev_can_be_read() -> None:
    """Each line is keys with a quoted value; each GOTO has its label, in the same file."""
    key = r'[A-Z]+(?:\{[A-Za-z_.]+\})?(?:==|!=|:=|\+=|=)"[^"]*"'
    for path in (ROOT / "systemd").glob("*.rules"):
        lines = [
            line for line in path.read_text().splitlines() if line and not line.startswith("#")
        ]
        for line in lines:
            assert re.fullmatch(rf"{key}(?:, {key})*", line), line
        text = "\n".join(lines)
        labels = set(re.findall('LABEL="([a-z_]+)"', text))
        assert set(re.findall('GOTO="([a-z_]+)"', text)) == labels


def test_boards_that_the_doctor_knows_are_those_of_the_rules() -> None:
    """A chip that is called a radio board has a stable name as one."""
    rules = (ROOT / "systemd/70-hotline-gateway.rules").read_text()
    named = "|".join(re.findall(r'ID_VENDOR_ID\}=="([0-9a-f|]+)".*HOTLINE\}="radio"', rules))
    assert set(named.split("|")) == _RADIO_VENDORS.keys()


@pytest.mark.parametrize("path", DROP_INS, ids=lambda path: path.stem)
def test_drop_ins_say_how_they_are_installed(path: Path) -> None:
    """The first line of each is the command; the service names each."""
    command = path.read_text().splitlines()[0]
    assert command == (
        f"# sudo cp /usr/share/hotline-gateway/{path.name}"
        " /etc/systemd/system/hotline-gateway.service.d/"
    )
    assert path.name in UNIT.read_text()


def test_the_folder_of_keys_belongs_to_the_service() -> None:
    """As root `hotline key` gives files to the folder's owner, who must be the unit's user."""
    lines = (ROOT / "systemd/hotline-gateway.tmpfiles").read_text().splitlines()
    (line,) = [line for line in lines if line and not line.startswith("#")]
    kind, folder, mode, user, group, _age = line.split()
    assert (kind, Path(folder)) == ("d", StationSettings(name="NORTH").key_file.parent)
    assert (mode, user, group) == ("0750", service()["User"], service()["Group"])
    assert service()["ProtectSystem"] == "strict"


def test_the_readme_tells_what_each_drop_in_opens() -> None:
    """Every drop-in is in its table, with the exposure that the next test measures."""
    text = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)\.conf` \|.*\| ([0-9.]+) \|$", text, re.MULTILINE)
    told = {name: float(figure) for name, figure in rows}
    assert told == {path.stem: EXPOSURE_MAX[path.stem] for path in DROP_INS}
    assert f"without drop-ins has {EXPOSURE_MAX[None]}" in text


@pytest.mark.parametrize(
    ("drop_in", "exposure_max"),
    EXPOSURE_MAX.items(),
)
def test_systemd_has_no_complaint_and_little_exposure(
    drop_in: str | None, exposure_max: float, tmp_path: Path
) -> None:
    """`systemd-analyze verify` is silent; no change of the unit opens it unseen."""
    if not (tool := shutil.which("systemd-analyze")):
        pytest.skip("systemd-analyze is not installed")
    text = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text())
    if drop_in is not None:  # `security --offline` does not read folders of drop-ins
        added = (ROOT / f"systemd/drop-ins/{drop_in}.conf").read_text()
        text = text.replace("[Install]", f"{added}\n[Install]")
    copy = tmp_path / UNIT.name
    copy.write_text(text)
    verified = subprocess.run(
        [tool, "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    rated = subprocess.run(
        [tool, "security", "--offline=true", "--no-pager", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    level = re.search(r"exposure level for \S+ ([0-9.]+)", rated.stdout)
    assert level is not None, rated.stdout + rated.stderr
    assert float(level[1]) <= exposure_max
