"""`hotline init`: by options, at a terminal, refused; then a line joined with what it wrote."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.cli.ports_found import found_ports
from gateway.config.load import load_keyring, load_settings
from gateway.doctor.machine import Machine


@dataclass
class Ended:
    code: int
    out: str
    err: str


Init = Callable[..., Ended]
WHO = ("--station", "1", "--name", "NORTH", "--party", "Party A")


@pytest.fixture
def init(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Init:
    """Run `hotline init` for a folder of its own, on a machine with nothing plugged in."""
    monkeypatch.setattr("gateway.cli.init.found_ports", list)
    monkeypatch.setattr("gateway.cli.init.has_header", lambda: False)

    def run(*arguments: str, command: str = "init") -> Ended:
        code = main(["--config", str(tmp_path / "hotline.toml"), *command.split(), *arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


def test_options_alone_make_keys_and_a_configuration(init: Init, tmp_path: Path) -> None:
    """What is written passes the check with the line that the next command adds."""
    ended = init(
        *WHO, "--cable", "/dev/hotline/cable-A1", "--pin", "alarm=25", "--pin", "link=16,20",
        "--lamps", "lgpio", "--mqtt", "mqtt://localhost:1883", "--yes",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert stat.S_IMODE((tmp_path / "station.key").stat().st_mode) == 0o600
    command = f"sudo hotline --config {tmp_path}/hotline.toml"
    accept = "line accept --add --cable /dev/hotline/cable-A1 9600"
    for step in ("line invite", accept, "config check"):
        assert f"{command} {step}" in ended.out
    join(init, tmp_path)
    settings = load_settings(tmp_path / "hotline.toml")
    assert load_keyring(settings).card.name == "NORTH"
    assert (settings.indicators.pins.alarm, settings.indicators.pins.link) == (25, (16, 20))
    assert settings.indicators.factory == "lgpio"
    assert settings.mqtt is not None
    assert settings.mqtt.submit == ("test", "exercise")
    assert [link.port for link in settings.links] == ["/dev/hotline/cable-A1"]
    assert init(command="config check").code == 0


def join(init: Init, tmp_path: Path) -> None:
    """SOUTH invites, NORTH accepts with the words of the file."""
    south = tmp_path / "south"
    south.mkdir()
    config = ("--config", str(south / "hotline.toml"))
    who = ("--station", "2", "--name", "SOUTH", "--party", "Party B")
    assert main([*config, "init", *who, "--yes"]) == 0
    assert main([*config, "line", "invite", "--file", str(south / "invitation")]) == 0
    ended = init(
        "--add", "--cable", "/dev/hotline/cable-A1", "9600", "--yes",
        "--file", str(tmp_path / "reply"), str(south / "invitation"), command="line accept",
    )  # fmt: skip
    assert ended.code == 0, ended.err


def test_nothing_is_overwritten(init: Init, tmp_path: Path) -> None:
    """A configuration stays; keys that are here are used, or refused if others were meant."""
    assert init(*WHO, "--yes").code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = init(*WHO, "--yes")
    assert (again.code, "is not overwritten" in again.err) == (7, True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "hotline.toml").unlink()
    other = init("--name", "SOUTH", "--yes")
    assert (other.code, "has keys of station 1 NORTH" in other.err) == (7, True)
    assert init("--yes").code == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--yes",), 2, "give --station, --name, --party"),
        ((*WHO,), 2, "give --yes to write"),
        ((*WHO[:2], "--name", "no good", *WHO[4:], "--yes"), 78, "1 to 12 of A-Z"),
        ((*WHO, "--lamps", "lgpio", "--pin", "alarm=17", "--yes"), 78, "17"),
        ((*WHO, "--pin", "alarm", "--yes"), 2, "as in alarm=25"),
        ((*WHO, "--pin", "alarm=5", "--pin", "alarm=6", "--yes"), 2, "twice"),
        ((*WHO, "--mqtt", "localhost", "--yes"), 78, "mqtt://host:1883"),
        ((*WHO, "--radio", "ttyUSB0", "--yes"), 78, "/dev/serial/by-id"),
        ((*WHO, "--duty-officer", "nobody-of-this-name", "--yes"), 78, "adduser"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(
    arguments: tuple[str, ...], code: int, said: str, init: Init, tmp_path: Path
) -> None:
    """Each refusal says what to write instead."""
    ended = init(*arguments)
    assert (ended.code, said in ended.err) == (code, True), ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_trial_writes_nothing_and_programs_can_read_it(init: Init, tmp_path: Path) -> None:
    """The same document before and after the writing, but for the card."""
    trial = json.loads(init(*WHO, "--dry-run", "--json").out)
    assert list(tmp_path.iterdir()) == []
    done = json.loads(init(*WHO, "--yes", "--json").out)
    assert (trial["written"], done["written"]) == (False, True)
    assert (tmp_path / "hotline.toml").read_text() == trial["text"] == done["text"]
    assert done["station"] == 1
    assert trial["next"] == done["next"]


def test_a_person_is_asked_and_may_refuse(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers are those of a terminal; without the last yes nothing is written."""
    monkeypatch.setattr("gateway.cli.init.can_ask", lambda: True)
    answers = iter([1, "NORTH", "Party A", "none", "/dev/hotline/cable-A1", "none", "none"])
    monkeypatch.setattr("click.prompt", lambda *_words, **_options: next(answers))
    monkeypatch.setattr("click.confirm", lambda *_words, **_options: False)
    ended = init()
    assert ended.code == 130
    assert "nothing was written" in ended.err
    assert "cable    /dev/hotline/cable-A1, 9600 bit/s" in ended.out
    assert list(tmp_path.iterdir()) == []
    answers = iter([1, "NORTH", "Party A", "none", "none", "none", "none", "later"])
    monkeypatch.setattr("click.confirm", lambda *_words, **_options: True)
    assert init().code == 0
    assert (tmp_path / "hotline.toml").exists()


def test_ports_are_found_under_the_names_that_stay(tmp_path: Path) -> None:
    """Our own name before by-id before the number; the chip says what it may be."""
    for name, vendor in (("ttyACM0", "239a"), ("ttyUSB0", "0403"), ("ttyUSB1", "10c4")):
        usb = tmp_path / f"sys/devices/{name}"
        (usb / "tty").mkdir(parents=True)
        (usb / "idVendor").write_text(vendor)
        (usb / "idProduct").write_text("0001")
        (tmp_path / f"sys/class/tty/{name}").mkdir(parents=True)
        (tmp_path / f"sys/class/tty/{name}/device").symlink_to(usb / "tty")
    for folder, name, target in (
        ("dev/hotline", "radio-77", "../ttyACM0"),
        ("dev/serial/by-id", "usb-77-if00", "../../ttyACM0"),
        ("dev/serial/by-id", "usb-FTDI-if00", "../../ttyUSB0"),
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).symlink_to(target)
    assert [(port.path, port.kind) for port in found_ports(Machine(tmp_path))] == [
        ("/dev/hotline/radio-77", "radio"),
        ("/dev/serial/by-id/usb-FTDI-if00", "cable"),
        ("/dev/ttyUSB1", "radio"),
    ]
