"""`hotline init`: by options, at a terminal, refused; then a line joined with what it wrote."""

from __future__ import annotations

import io
import json
import stat
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from gateway.cli.main import main
from gateway.cli.ports_found import found_ports
from gateway.config.load import load_keyring, load_settings
from gateway.config.settings import PinSettings
from gateway.doctor.machine import Machine


@dataclass
class Ended:
    code: int
    out: str
    err: str


Init = Callable[..., Ended]
Asked = Callable[..., Ended]
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


def test_no_card_is_replaced(init: Init, asked: Asked, tmp_path: Path) -> None:
    """Another station's card by our name is kept, and said before a question or when it is one."""
    assert init(*WHO, "--yes").code == 0
    card = tmp_path / "NORTH.card"
    for name in ("hotline.toml", "station.key"):
        (tmp_path / name).unlink()
    before = card.read_bytes()
    for more in (("--yes",), ("--dry-run",)):
        ended = init("--station", "2", *WHO[2:], *more)
        assert (ended.code, f"{card} exists" in ended.err) == (7, True), ended.err
    ended = asked("2", "NORTH", "SOUTH", "Party B", "none", "none", "none", "none", "n")
    assert (ended.code, f"no: {card} exists" in ended.err) == (130, True), ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["NORTH.card"]
    assert card.read_bytes() == before


def test_keys_without_their_card_get_it(init: Init, tmp_path: Path) -> None:
    """A power cut may have come between them; a card of other keys is not taken for theirs."""
    assert init(*WHO, "--yes").code == 0
    card = tmp_path / "NORTH.card"
    before = card.read_bytes()
    (tmp_path / "hotline.toml").unlink()
    card.write_text("another\n")
    ended = init("--yes")
    assert (ended.code, f"{card} exists" in ended.err) == (7, True), ended.err
    card.unlink()
    ended = init("--yes")
    assert (ended.code, f"written: {tmp_path}/hotline.toml, the card {card}\n" in ended.out) == (
        0,
        True,
    )
    assert card.read_bytes() == before


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


def test_a_name_and_a_number_may_be_typed_short(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of /dev/hotline without its folder, a radio's number without the shell's `!`."""
    (tmp_path / "radio-77").touch()
    monkeypatch.setattr("gateway.cli.port_type.LASTING_FOLDER", tmp_path)
    ended = init(*WHO, "--radio", "radio-77", "--far-node", "4D4C00B2", "--yes")
    assert ended.code == 0, ended.err
    assert f"line accept --add --radio {tmp_path}/radio-77 '!4d4c00b2'" in ended.out
    wrong = init(*WHO, "--cable", "cable-9", "--yes", "--config", str(tmp_path / "b.toml"))
    assert (wrong.code, f"{tmp_path} has: " in wrong.err) == (78, True)
    assert "radio-77" in wrong.err


def test_what_is_said_of_links_fits_the_options(init: Init, tmp_path: Path) -> None:
    """A port that is not plugged in is named; what belongs to none is refused or kept for later."""
    plug = "no serial device is plugged in here"
    ended = init(*WHO, "--radio", "/dev/nope", "--dry-run")
    assert (plug in ended.err, "note: /dev/nope is not there now" in ended.err) == (False, True)
    assert plug in init(*WHO, "--dry-run").err
    later = init(*WHO, "--far-node", "4d4c00b2", "--dry-run")
    assert "line accept --add --radio PORT '!4d4c00b2'\n" in later.out
    assert "far radio  !4d4c00b2" in later.out
    both = init(*WHO, "--radio", "/dev/nope", "--bit-rate", "19200", "--dry-run")
    assert "--radio /dev/nope '!FARNODE' --cable PORT 19200\n" in both.out
    assert init(*WHO, "--far-node", "!7", "--dry-run").code == 78
    for of_it, device in (("--far-node", "--radio"), ("--bit-rate", "--cable")):
        ended = init(*WHO, device, "none", of_it, "12345678"[: 8 if device == "--radio" else 4])
        assert (ended.code, f"{of_it} belongs to {device} PORT" in ended.err) == (2, True)
    (tmp_path / "file").touch()
    ended = init(*WHO, "--yes", "--config", str(tmp_path / "file/a.toml"))
    assert (ended.code, f"{tmp_path}/file is no folder" in ended.err) == (5, True)


@pytest.mark.parametrize(
    ("links", "lacking"),
    [
        (("--radio", "/dev/nope"), "the number of the far station's radio"),
        ((), "the port of a radio or cable"),
    ],
)
def test_a_line_is_not_accepted_without_a_whole_link(
    links: tuple[str, ...], lacking: str, init: Init
) -> None:
    """The station is set up, and the command that is left is shown."""
    ended = init(*WHO, *links, "--line", "accept", "--yes")
    assert ended.code == 0, ended.err
    assert f"{lacking} is not known yet" in ended.out
    assert "line accept --add" in ended.out.rpartition("next")[2]


def test_a_trial_writes_nothing_and_programs_can_read_it(init: Init, tmp_path: Path) -> None:
    """The same document before and after the writing, but for the card."""
    trial = json.loads(init(*WHO, "--dry-run", "--json").out)
    assert list(tmp_path.iterdir()) == []
    done = json.loads(init(*WHO, "--yes", "--json").out)
    assert (trial["written"], done["written"]) == (False, True)
    assert (tmp_path / "hotline.toml").read_text() == trial["text"] == done["text"]
    assert done["station"] == 1
    assert trial["next"] == done["next"]


@pytest.fixture
def asked(init: Init, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Run `hotline init` with these lines typed."""
    monkeypatch.setattr("gateway.cli.init.can_ask", lambda: True)

    def run(*lines: str, options: tuple[str, ...] = ()) -> Ended:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return init(*options)

    return run


def test_a_person_is_asked_and_may_refuse(asked: Asked, tmp_path: Path) -> None:
    """Without the last yes nothing is written; with it what was shown is."""
    cable = ("none", "/dev/hotline/cable-A1", "19200")
    ended = asked("1", "NORTH", "Party A", *cable, "mock", "", "none", "n")
    assert ended.code == 130
    assert "nothing was written" in ended.err
    assert "cable    /dev/hotline/cable-A1, 19200 bit/s" in ended.out
    assert list(tmp_path.iterdir()) == []
    ended = asked("1", "NORTH", "Party A", "none", "none", "none", "none", "y", "later")
    assert ended.code == 0, ended.err
    assert "pins" not in (tmp_path / "hotline.toml").read_text()


def test_a_wrong_answer_is_asked_again_with_the_reason(asked: Asked, tmp_path: Path) -> None:
    """What was answered before is kept, and no file is named that is not there yet."""
    ended = asked(
        "300", "1", "north", "NORTH", "", "x" * 41, "Party A", "ttyUSB0", "/dev/ttyUSB0", "!7",
        "none", "tty", "/dev/hotline/cable-A1", "5", "", "lamps", "lgpio", "alarm=2 button=25",
        "alrm=25", "alarm", "alarm=25 alarm=26", "alarm = 25, 26", "alarm=25 link = 18, 21",
        "broker", "mqtt://localhost", "y", "later",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    for reason in (
        "'north' does not fit; write the name on the station's card: 1 to 12 of A-Z",
        "party: has 41 octets",
        "'ttyUSB0' does not fit; write \"/dev/hotline/radio-...\"",
        "'!7' does not fit; write the number of the far station's radio",
        "'tty' does not fit; write its device, \"/dev/hotline/cable-...\"",
        "alarm: pin 2 belongs to I2C, where the clock module is; name one that is free: 18, 21,",
        "button: pin 25 is pulled down at power-on",
        "'alrm': is no known key; did you mean alarm?",
        "--pin alarm: write a lamp and its BCM number",
        "--pin alarm is given twice",
        "alarm has one pin",
        "[mqtt] url: is no address of a broker",
    ):
        assert reason in ended.err, (reason, ended.err)
    assert f"{tmp_path}/hotline.toml" not in ended.err
    assert "pending_out  22 (header 15)" in ended.out
    written = tomllib.loads((tmp_path / "hotline.toml").read_text())
    pins = written["indicators"]["pins"]
    assert (pins["alarm"], pins["link"], pins["button"]) == (25, [18, 21], 6)
    assert written["mqtt"]["url"] == "mqtt://localhost"


def test_a_wrong_option_is_said_before_the_first_question(asked: Asked, tmp_path: Path) -> None:
    """Nobody answers eight questions for nothing."""
    ended = asked(options=("--name", "north"))
    assert (ended.code, "'north' does not fit" in ended.err) == (78, True)
    assert "Number of this station" not in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_said_before_the_first_question(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without sudo."""
    monkeypatch.setattr("gateway.cli.init.os.access", lambda *_words: False)
    ended = asked()
    assert (ended.code, "sudo hotline init" in ended.err) == (6, True)
    assert "Number of this station" not in ended.err


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--mqtt", "mqtts://broker.example:8883"), ["broker.example is another", "name server"]),
        (("--radio", "tcp://192.0.2.7:4403"), ["192.0.2.7 is another machine"]),
        (("--mqtt", "mqtt://localhost:1883", "--radio", "tcp://127.0.0.1:4403"), []),
        (("--mqtt", "unix:///run/mosquitto/hotline.sock"), []),
    ],
)
def test_a_broker_elsewhere_needs_the_drop_in(
    options: tuple[str, ...], names: list[str], init: Init
) -> None:
    """The unit denies every address but this machine's; what to do is said after the writing."""
    ended = init(*WHO, *options, "--yes")
    assert ended.code == 0, ended.err
    steps = (
        (
            "sudo install -D -m 0644 -t /etc/systemd/system/hotline-gateway.service.d"
            " /usr/share/hotline-gateway/remote-broker.conf"
        ),
        "sudoedit /etc/systemd/system/hotline-gateway.service.d/remote-broker.conf",
        "sudo systemctl daemon-reload",
    )
    assert all((step in ended.out) == bool(names) for step in steps)
    assert all(name in ended.out for name in names)
    assert ("is another machine" in ended.out) == bool(names)


def test_pins_are_shown_and_written(init: Init, tmp_path: Path) -> None:
    """Every lamp, the buzzer and the button, as the chip and as the header count."""
    ended = init(*WHO, "--lamps", "lgpio", "--pin", "alarm=25", "--yes")
    assert ended.code == 0, ended.err
    for row in (
        "alarm        25 (header 22)",
        "link         13, 19, 16, 20 (header 33, 35, 36, 38)",
    ):
        assert f"  {row}\n" in ended.out
    text = (tmp_path / "hotline.toml").read_text()
    assert "button = 6                 # header 31" in text
    pins = tomllib.loads(text)["indicators"]["pins"]
    assert pins == msgspec.to_builtins(PinSettings(alarm=25)) | {"link": [13, 19, 16, 20]}


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
