"""The configuration file: every problem at once, and never a traceback."""

from __future__ import annotations

import errno
import os
import typing
from pathlib import Path

import msgspec
import pytest

from gateway.config.document import Problem, read_fields
from gateway.config.load import load_keyring, load_policy, load_settings, settings_digest
from gateway.config.radio_words import PresetWord, RegionWord
from gateway.config.settings import MeshtasticLinkSettings, SerialLinkSettings, Settings
from gateway.core.events import Rights
from gateway.core.policy import Policy
from gateway.doctor.wishes import wanted_of
from gateway.errors import ConfigError
from gateway.links.meshtastic.setup_plan import PRESETS, REGIONS, Wanted
from gateway.model import Operation, Precedence, Role, Station
from gateway.security.cards import card_text, key_file_text, make_card, secret_text
from gateway.security.keys import new_station_keys
from gateway.security.secrets import parse_secrets, secrets_text

NORTH, SOUTH = Station(1), Station(2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make the files of the station NORTH with a line to SOUTH."""
    for number, name in ((1, "NORTH"), (2, "SOUTH")):
        keys = new_station_keys(
            bytes([number]) * 32 + bytes([number + 9]) * 32, station=Station(number)
        )
        card = make_card(keys, name=name, party=f"Party {number}", language="en")
        (tmp_path / f"{name}.card").write_text(card_text(card, keys) + "\n")
        (tmp_path / f"{name}.key").write_text(key_file_text(keys, card))
        (tmp_path / f"{name}.key").chmod(0o600)
    (tmp_path / "SOUTH.secret").write_text(secret_text(bytes(range(32))))
    (tmp_path / "SOUTH.secret").chmod(0o600)
    return tmp_path


def write(folder: Path, *, replace: dict[str, str] | None = None, more: str = "") -> Path:
    """Write a valid file with some of its text replaced, and more at its end."""
    text = f"""
[station]
name = "NORTH"
state_folder = "{folder}/state"
runtime_folder = "{folder}/run"
key_file = "{folder}/NORTH.key"

[[line]]
card = "{folder}/SOUTH.card"
secret_file = "{folder}/SOUTH.secret"
generation = 3

[[line.link]]
name = "radio"
driver = "meshtastic"
port = "tcp://localhost:4403"
node = "!4d4c00b2"

[[line.link]]
name = "cable"
driver = "serial"
port = "/dev/serial/by-id/usb-1"
bit_rate = 19200

[indicators]
factory = "mock"
"""
    for old, new in (replace or {}).items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "config.toml"
    path.write_text(text + more)
    return path


def problems(path: Path) -> list[str]:
    """Load a file that must be refused, and give its sentences without the file's name."""
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert str(caught.value) == "\n".join(caught.value.problems)
    prefix = f"{path}: "
    assert all(sentence.startswith(prefix) for sentence in caught.value.problems)
    return [sentence.removeprefix(prefix) for sentence in caught.value.problems]


def test_a_good_file_gives_settings_and_keys(folder: Path) -> None:
    """Every value of the file arrives typed, with the defaults of what it leaves out."""
    settings = load_settings(write(folder))
    assert settings.station.name == "NORTH"
    assert settings.line[0].generation == 3
    radio, cable = settings.line[0].link
    assert isinstance(radio, MeshtasticLinkSettings)
    assert radio.node == "!4d4c00b2"
    assert isinstance(cable, SerialLinkSettings)
    assert cable.bit_rate == 19_200
    assert settings.mqtt is None
    assert settings.log_folder == folder / "state" / "log"
    assert settings.api_socket == folder / "run" / "api.sock"
    assert settings.lock_file.parent == settings.station.state_folder
    keyring = load_keyring(settings)
    assert keyring.card.name == "NORTH"
    assert keyring.lines[SOUTH].card.name == "SOUTH"
    assert keyring.lines[SOUTH].generation == 3


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ("!ffffffff", "'!ffffffff' is every radio in reach, not one"),
        ("!00000000", "'!00000000' is no radio's number"),
        ("!00000003", "'!00000003' is no radio's number"),
    ],
)
@pytest.mark.parametrize("key", ["node", "own_node"])
def test_number_that_is_no_single_radio(folder: Path, key: str, node: str, words: str) -> None:
    """Frames to everyone would be relayed by strangers; what to write is told."""
    if key == "node":
        path = write(folder, replace={"!4d4c00b2": node})
    else:
        path = write(folder, replace={'"!4d4c00b2"': f'"!4d4c00b2"\nown_node = "{node}"'})
    (found,) = problems(path)
    assert found.startswith(f"[[line]] 1, [[line.link]] 1 {key}: {words}; write the number of")


def test_own_radio_is_not_the_far_one(folder: Path) -> None:
    """The same number twice is a slip."""
    path = write(folder, replace={'"!4d4c00b2"': '"!4d4c00b2"\nown_node = "!4d4c00b2"'})
    (found,) = problems(path)
    assert "is our own radio as well" in found


def test_what_a_radio_shall_be_set_to(folder: Path) -> None:
    """Every key typed; a wrong word says what to write; the lists are those of the definitions."""
    more = (
        'region = "EU_868"\npreset = "SHORT_FAST"\nrole = "CLIENT_MUTE"\nhop_limit = 3\n'
        'channel = "Hotline"\nchannel_key_file = "/k"\nlong_name = "N hotline"\nshort_name = "N"'
    )
    radio = load_settings(write(folder, replace={'"!4d4c00b2"': f'"!4d4c00b2"\n{more}'})).links[0]
    assert isinstance(radio, MeshtasticLinkSettings)
    assert wanted_of(radio, bytes(16)) == Wanted(
        region="EU_868",
        preset="SHORT_FAST",
        role="CLIENT_MUTE",
        hop_limit=3,
        channel_name="Hotline",
        channel_key=bytes(16),
        long_name="N hotline",
        short_name="N",
    )
    wrong = 'region = "EU_686"\npreset = "FAST"\nrole = "ROUTER"\nhop_limit = 8\nchannel = "é"'
    found = problems(write(folder, replace={'"!4d4c00b2"': f'"!4d4c00b2"\n{wrong}'}))
    assert [line.split(" does not fit; ")[1].split(",")[0] for line in found] == [
        "write the region where the radio stands",
        "write the modem preset of both ends",
        'write "CLIENT"',
        "write how often a frame may be relayed",
        "write the name of the channel at both ends: 1 to 11 of ASCII",
    ]
    assert set(typing.get_args(RegionWord)) == set(REGIONS)
    assert set(typing.get_args(PresetWord)) == set(PRESETS)


def test_every_type_of_the_settings_can_be_read() -> None:
    """No table has a type that msgspec refuses only once an operator writes the key."""
    values: tuple[object, ...] = ({}, 1, "x", [], [{}], {"x": 1}, True)
    for value in values:
        document: dict[str, object] = {}
        for field in msgspec.structs.fields(Settings):
            document[field.name] = value
        found: list[Problem] = []
        read_fields(Settings, document, "", found)
        assert found


def test_rights_default_to_exercise_and_test(folder: Path) -> None:
    """A broker may submit TEST and EXERCISE up to IMMEDIATE by default, and answer nothing."""
    mqtt = load_settings(write(folder, more='[mqtt]\nurl = "mqtt://localhost"\n')).mqtt
    assert mqtt is not None
    assert mqtt.rights == Rights(
        submit=frozenset({Operation.TEST, Operation.EXERCISE}),
        precedence=Precedence.IMMEDIATE,
        answer=False,
    )
    assert mqtt.role_code is Role.AUTOMATIC


def test_all_problems_come_in_one_error(folder: Path) -> None:
    """One wrong value hides no other, and each sentence says where, what and what to do."""
    path = write(
        folder,
        replace={
            'name = "NORTH"': 'name = "north"',
            "generation = 3": "generations = 3",
            'driver = "meshtastic"': 'driver = "pigeon"',
            "bit_rate = 19200": 'bit_rate = "fast"',
            'factory = "mock"': 'factory = "native"',
        },
        more='[log]\nlevel = "loud"\n[policy]\nrto_max_ms = true\n[extra]\n',
    )
    assert problems(path) == [
        (
            "'extra': is no known key; known: station, line, indicators, api, mqtt, nats, spare,"
            " log, store, policy"
        ),
        (
            "[station] name: 'north' does not fit; write the name on the station's card:"
            " 1 to 12 of A-Z, 0-9 and -"
        ),
        "[[line]] 1 'generations': is no known key; did you mean generation?",
        (
            "[[line]] 1, [[line.link]] 1 driver: 'pigeon' is no driver that we have;"
            " write 'meshtastic' or 'serial'"
        ),
        (
            "[[line]] 1, [[line.link]] 2 bit_rate: 'fast' does not fit;"
            " write bits a second, 50 to 4000000, such as 9600"
        ),
        (
            "[indicators] factory: 'native' does not fit;"
            ' write "lgpio" on a Raspberry Pi, "mock" on a bench, or "none"'
        ),
        '[log] level: \'loud\' does not fit; write "debug", "info", "warning" or "error"',
        "[policy] rto_max_ms: True does not fit; write 1 to 1000000000; the default is 60000",
    ]


def test_missing_keys_are_named_with_what_to_write(folder: Path) -> None:
    """A link without a port and a file without indicators say which key to add."""
    path = write(
        folder,
        replace={
            'port = "/dev/serial/by-id/usb-1"\n': "",
            '[indicators]\nfactory = "mock"': "",
        },
    )
    assert problems(path) == [
        (
            "[[line]] 1, [[line.link]] 2 port: is missing;"
            ' write its device, "/dev/hotline/cable-..." or "/dev/serial/by-id/..."'
        ),
        "[indicators]: is missing; add [indicators]",
    ]


@pytest.mark.parametrize(
    ("replace", "more", "sentence"),
    [
        (
            {'name = "cable"': 'name = "radio"'},
            "",
            "[[line]] 1, [[line.link]] 2 name: 'radio' is already",
        ),
        (
            {"/dev/serial/by-id/usb-1": "/x"},
            "[policy]\nnope = 1\n",
            "[policy] 'nope': is no number",
        ),
        ({}, "[policy]\nrto_max_ms = 0\n", "[policy] rto_max_ms: 0 does not fit; write 1 to"),
        (
            {},
            "[indicators.pins]\nalarm = 17\n",
            (
                "[indicators.pins] alarm: pin 17 is already used by alive; name one that is free:"
                " 18, 21, 23, 25, 26"
            ),
        ),
        (
            {},
            "[indicators.pins]\nalarm = 2\n",
            "[indicators.pins] alarm: pin 2 belongs to I2C, where the clock module is; name one",
        ),
        (
            {},
            "[indicators.pins]\nlink = [13, 5]\n",
            (
                "[indicators.pins] link 2: pin 5 is pulled up at power-on and glows before the"
                " gateway runs; name one that is free: 16, 18, 19, 20, 21, 25, 26"
            ),
        ),
        (
            {},
            "[indicators.pins]\nbutton = 25\n",
            (
                "[indicators.pins] button: pin 25 is pulled down at power-on, as if the button were"
                " held; name one that is free: 4, 5, 6"
            ),
        ),
        (
            {},
            "[indicators.pins]\nbutton = 8\n",
            "[indicators.pins] button: pin 8 belongs to SPI; name one that is free: 4, 5, 6",
        ),
        (
            {},
            "[indicators.pins]\nbuzzer = 1\n",
            "[indicators.pins] buzzer: pin 1 belongs to the EEPROM of a HAT; name one that is free",
        ),
        (
            {},
            "[indicators.pins]\nbuzzer = 28\n",
            "[indicators.pins] buzzer: 28 does not fit; write a BCM number: 12, 13 or 16 to 27 for",
        ),
        (
            {},
            "[indicators.pins]\nlink = [13]\n",
            "[indicators.pins] link: names 1 lamps for 2 links",
        ),
        (
            {},
            "[indicators.pins]\nlink = [13, 99]\n",
            "[indicators.pins] link: [13, 99] does not fit",
        ),
        ({}, '[mqtt]\nurl = "http://x"\n', "[mqtt] url: is no address of a broker"),
        ({}, '[mqtt]\nurl = "mqtt://me:pw@x"\n', "[mqtt] url: holds a user or password"),
        ({}, '[mqtt]\nurl = "mqtt://x:port"\n', "[mqtt] url: is no address of a broker"),
        ({}, '[api]\ngroup = "no-such-group"\n', "[api] group: this machine has no group"),
        (
            {},
            '[[api.user]]\nname = "no-such-user"\n',
            "[[api.user]] 1 name: this machine has no user",
        ),
        (
            {},
            '[[api.user]]\nname = "root"\n[[api.user]]\nname = "root"\n',
            "[[api.user]] 2 name: 'root' is already [[api.user]] 1",
        ),
        (
            {"tcp://localhost:4403": "tcp://:4403"},
            "",
            "[[line]] 1, [[line.link]] 1 port: 'tcp://:4403' names",
        ),
        (
            {"/dev/serial/by-id/usb-1": "/dev/radio", "tcp://localhost:4403": "/dev/radio"},
            "",
            "[[line]] 1, [[line.link]] 2 port: '/dev/radio' is already the port of",
        ),
        (
            {},
            "[nats]\nservers = []\n",
            "[nats] servers: ",
        ),
        (
            {},
            '[nats]\nservers = ["http://x"]\n',
            "[nats] servers 1: is no address of a server",
        ),
        (
            {},
            '[nats]\nservers = ["nats://x", "nats://me:pw@y"]\n',
            "[nats] servers 2: holds a user or password",
        ),
        (
            {},
            '[nats]\nservers = ["nats://x/y"]\n',
            "[nats] servers 1: has more than host and port",
        ),
        (
            {},
            '[nats]\nservers = ["nats://x", "tls://y"]\n',
            "[nats] servers: mix nats:// and tls://",
        ),
        (
            {},
            '[nats]\nservers = ["nats://x", "nats://x"]\n',
            "[nats] servers: name one server twice",
        ),
        (
            {},
            '[nats]\nservers = ["nats://x"]\nreplicas = 2\n',
            "[nats] replicas: ",
        ),
        (
            {},
            '[nats]\nservers = ["nats://x"]\nca_file = "/x"\n',
            "[nats] ca_file: is of no use without tls://",
        ),
        (
            {},
            '[nats]\nservers = ["nats://x"]\npassword_file = "/x"\n',
            "[nats] user: is missing beside password_file",
        ),
        (
            {},
            '[nats]\nservers = ["nats://x"]\nuser = "n"\nnkey_file = "/x"\n',
            "[nats] nkey_file: stands beside user",
        ),
        (
            {},
            '[mqtt]\nurl = "mqtt://x"\n[nats]\nservers = ["nats://x"]\n',
            "[nats]: stands beside [mqtt]",
        ),
        ({}, '[mqtt]\nurl = "unix:x.sock"\n', "[mqtt] url: names no socket"),
        ({}, '[mqtt]\nurl = "mqtt:///x"\n', "[mqtt] url: names no host"),
        (
            {},
            '[mqtt]\nurl = "mqtt://x"\npassword_file = "/x"\n',
            "[mqtt] user: is missing beside password_file",
        ),
        (
            {},
            '[mqtt]\nurl = "mqtt://x"\ncert_file = "/x"\nkey_file = "/y"\n',
            "[mqtt] cert_file: is of no use without mqtts://",
        ),
        (
            {},
            '[mqtt]\nurl = "mqtts://x"\ncert_file = "/x"\n',
            "[mqtt] key_file: is missing beside the other of cert_file and key_file",
        ),
        (
            {},
            '[mqtt]\nurl = "mqtts://x"\nkey_file = "/x"\n',
            "[mqtt] cert_file: is missing beside the other of cert_file and key_file",
        ),
        (
            {},
            '[mqtt]\nurl = "mqtt://x"\nca_file = "/x"\n',
            "[mqtt] ca_file: is of no use without mqtts://",
        ),
        ({}, '[mqtt]\nurl = "mqtt://x:0"\n', "[mqtt] url: is no address of a broker"),
        ({}, '[mqtt]\nurl = "mqtt://x/path"\n', "[mqtt] url: has more than host and port"),
        ({}, '[mqtt]\nurl = "mqtt://x?a=b"\n', "[mqtt] url: has more than host and port"),
        ({}, "[api]\nuser = 3\n", "[[api.user]]: is 3"),
        (
            {},
            '[api.user]\nname = "root"\n',
            "[[api.user]]: is one table, and there may be several; write [[api.user]] with two",
        ),
        (
            {'[[line.link]]\nname = "radio"': '[line.link]\nname = "radio"'}
            | {'[[line.link]]\nname = "cable"': '[line.link.more]\nname = "cable"'},
            "",
            "[[line]] 1, [[line.link]]: is one table, and there may be several; write [[",
        ),
        (
            {"[indicators]": "[indicators]\npins = 7"},
            "",
            "[indicators.pins]: is 7; make it a table",
        ),
        ({'"radio"': "3"}, "", "[[line]] 1, [[line.link]] 1 name: 3 does not fit"),
        ({'driver = "serial"': ""}, "", "[[line]] 1, [[line.link]] 2 driver: is missing; write"),
        ({"/run": "/state"}, "", "[station] runtime_folder: is the state folder as well"),
        ({"/run": "/x/..//state"}, "", "[station] runtime_folder: is the state folder as well"),
        ({"/run": "/state/run"}, "", "[station] runtime_folder: /"),
        ({"/state": "/run/state"}, "", "[station] state_folder: /"),
        ({"{folder}/state": "/"}, "", "[station] state_folder: is the root of all folders"),
        ({"{folder}/run": "//.."}, "", "[station] runtime_folder: is the root of all folders"),
        ({"/run": "/run" + "x" * 120}, "", "[station] runtime_folder: is too long"),
    ],
)
def test_what_no_single_value_can_show(
    folder: Path, replace: dict[str, str], more: str, sentence: str
) -> None:
    """Names, ports and pins used twice, unknown numbers, users and brokers are refused."""
    replace = {old.format(folder=folder): new for old, new in replace.items()}
    path = write(folder, replace=replace, more=more)
    assert any(found.startswith(sentence) for found in problems(path)), problems(path)


@pytest.mark.parametrize("state", ["/etc/hotline-gateway", "//etc/x/../hotline-gateway/state"])
def test_no_state_in_the_folder_of_the_configuration(folder: Path, state: str) -> None:
    """The service cannot write there, and a purge removes it."""
    path = write(folder, replace={f"{folder}/state": state})
    assert f"[station] state_folder: {state} is in /etc/hotline-gateway" in problems(path)[0]


def test_a_broker_password_in_the_address_is_not_repeated(folder: Path) -> None:
    """What may be a secret is never quoted."""
    path = write(folder, more='[mqtt]\nurl = "mqtt://me:hunter2@x"\n')
    assert "hunter2" not in str(problems(path))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[station]\nname = \n", "line 2, column 8"),
        ("[station\n", "line 1"),
        ("a = 1\na = 2\n", "line 2"),
    ],
)
def test_broken_toml_says_line_and_column(folder: Path, text: str, place: str) -> None:
    """The parser's place reaches the operator."""
    path = folder / "config.toml"
    path.write_text(text)
    (sentence,) = problems(path)
    assert "is not TOML" in sentence
    assert place in sentence


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"[station]\nname = '\xff'", "line 2 is not UTF-8"),
        (b"a = " + b"[" * 5000, "is nested too deeply"),
        (b"#" * 70_000, "has more than 65536 octets"),
    ],
)
def test_octets_that_are_no_configuration(folder: Path, octets: bytes, words: str) -> None:
    """A file of another kind is one sentence, not a traceback."""
    path = folder / "config.toml"
    path.write_bytes(octets)
    (sentence,) = problems(path)
    assert words in sentence


def test_a_missing_file_names_the_option(folder: Path) -> None:
    """Where nothing is configured, the sentence says how a station is set up."""
    (sentence,) = problems(folder / "none.toml")
    assert sentence == (
        "is not there; set this station up with `sudo hotline init`, or name the file with --config"
    )


def test_a_file_that_may_not_be_read_asks_for_sudo(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration, and a key that it names; another path would not help."""
    path = write(folder)
    refused = PermissionError(errno.EACCES, "Permission denied")
    key, real = str(folder / "NORTH.key"), os.open

    def open_others(name: os.PathLike[str], flags: int) -> int:
        if str(name) == key:
            raise refused
        return real(name, flags)

    monkeypatch.setattr("gateway.config.files.os.open", open_others)
    (sentence,) = problems(path)
    assert "may not be read by this user; run it with sudo" in sentence

    def read(_path: Path) -> bytes:
        raise refused

    monkeypatch.setattr(Path, "read_bytes", read)
    assert problems(path) == ["may not be read by this user; run it with sudo"]


def test_a_line_that_is_missing_names_the_commands(folder: Path) -> None:
    """A person who has run `hotline init` needs the far station next, not a table."""
    path = folder / "config.toml"
    path.write_text('[station]\nname = "NORTH"\n[indicators]\nfactory = "none"\n')
    (sentence,) = [it for it in problems(path) if it.startswith("[[line]]")]
    assert sentence.startswith(
        "[[line]]: is missing; join each far station, 1 to 16: `sudo hotline"
    )
    assert "line invite" in sentence
    assert "line accept --add" in sentence


@pytest.mark.parametrize("name", ["NORTH.key", "SOUTH.secret"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_may_read_is_refused(folder: Path, name: str, mode: int) -> None:
    """One sentence with the mode and the command that mends it."""
    (folder / name).chmod(mode)
    (sentence,) = problems(write(folder))
    assert sentence.endswith(
        f"may be read by others (mode {mode:04o}); run: chmod 600 {folder / name}"
    )


def test_wrong_key_files_are_all_said(folder: Path) -> None:
    """A missing key, a damaged card and a short secret come together, and no key is quoted."""
    secret = "ab" * 31
    (folder / "NORTH.key").unlink()
    (folder / "SOUTH.card").write_text((folder / "SOUTH.card").read_text().replace("A", "B", 3))
    (folder / "SOUTH.secret").write_text(secret)
    found = problems(write(folder))
    assert [sentence.split(":", 1)[0] for sentence in found] == [
        "[station] key_file",
        "[[line]] 1 card",
        "[[line]] 1 secret_file",
    ]
    assert secret not in str(found)


def test_a_card_of_the_own_station_is_no_far_station(folder: Path) -> None:
    """The operator who names the wrong card is told so."""
    path = write(folder, replace={"SOUTH.card": "NORTH.card"})
    (sentence,) = problems(path)
    assert sentence.startswith("[[line]] 1 card: is of this station itself")


def test_the_name_must_be_that_of_the_key_file(folder: Path) -> None:
    """A copied configuration does not run under another station's keys."""
    (sentence,) = problems(write(folder, replace={'"NORTH"': '"WEST"'}))
    assert sentence.startswith("[station] name: the key file is of the station NORTH, not WEST")


def test_wrong_values_hide_no_missing_files(folder: Path) -> None:
    """One run names the bad value of one table and the missing files of the others."""
    (folder / "NORTH.key").unlink()
    (folder / "SOUTH.secret").chmod(0o644)
    path = write(folder, replace={'factory = "mock"': 'factory = "steam"'})
    assert [sentence.split(":", 1)[0] for sentence in problems(path)] == [
        "[indicators] factory",
        "[station] key_file",
        "[[line]] 1 secret_file",
    ]


def test_two_lines_share_neither_files_nor_stations(folder: Path) -> None:
    """The same card twice, or two cards of one number, would be one station with two keys."""
    again = f"""
[[line]]
card = "{folder}/SOUTH.card"
secret_file = "{folder}/SOUTH.secret"
[[line.link]]
name = "other"
driver = "serial"
port = "/dev/other"
"""
    path = write(folder, replace={"[indicators]": again + "[indicators]"})
    assert [sentence.split(":", 1)[0] for sentence in problems(path)] == [
        "[[line]] 2 card",
        "[[line]] 2 secret_file",
    ]
    keys = new_station_keys(bytes(range(64)), station=SOUTH)
    card = make_card(keys, name="WEST", party="Party 3", language="en")
    (folder / "WEST.card").write_text(card_text(card, keys))
    (folder / "WEST.secret").write_text(secret_text(bytes(range(1, 33))))
    (folder / "WEST.secret").chmod(0o600)
    path = write(
        folder, replace={"[indicators]": again.replace("SOUTH.", "WEST.") + "[indicators]"}
    )
    (sentence,) = problems(path)
    assert sentence.startswith("[[line]] 2 card: WEST has the number 2, as SOUTH has")


def test_a_rotated_line_keeps_its_first_secret_for_hellos(folder: Path) -> None:
    """A peer restored from a backup is never locked out: hello roots do not rotate."""
    before = load_keyring(load_settings(write(folder))).lines[SOUTH].keys
    old = parse_secrets((folder / "SOUTH.secret").read_text(), generation=3)
    (folder / "SOUTH.secret").write_text(secrets_text(old.rotated(4, bytes(range(5, 37)))))
    after = load_keyring(load_settings(write(folder))).lines[SOUTH].keys
    assert (after.generation, after.former) == (4, before.newest)
    assert after.newest.outbound != before.newest.outbound
    assert after.hello.outbound == before.hello.outbound


def test_a_revoked_card_is_loaded_as_such(folder: Path) -> None:
    """The line stays in the configuration; the engine takes nothing from it."""
    line = load_keyring(load_settings(write(folder))).lines[SOUTH]
    assert not line.is_revoked
    secrets = parse_secrets((folder / "SOUTH.secret").read_text())
    (folder / "SOUTH.secret").write_text(secrets_text(secrets.revoking(line.card.sign_public)))
    assert load_keyring(load_settings(write(folder))).lines[SOUTH].is_revoked


def test_a_credential_of_systemd_takes_the_place_of_its_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the name of the file; root's, open by an ACL whose mask shows as the group's."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    path = write(folder)
    (folder / "SOUTH.secret").rename(credentials / "SOUTH.secret")
    load_keyring(load_settings(path))
    (credentials / "SOUTH.secret").chmod(0o440)
    if os.geteuid() == 0:
        load_keyring(load_settings(path))
    (credentials / "SOUTH.secret").chmod(0o444)
    (sentence,) = problems(path)
    assert "may be read by others (mode 0444)" in sentence


def test_what_adapters_need_is_read_at_the_start(folder: Path) -> None:
    """A broker's password that others may read is found now and not at night."""
    (folder / "password").write_text("hunter2")
    (folder / "password").chmod(0o644)
    more = f'[mqtt]\nurl = "mqtt://x"\nuser = "me"\npassword_file = "{folder}/password"\n'
    (sentence,) = problems(write(folder, more=more))
    assert sentence.startswith("[mqtt] password_file: ")
    assert "hunter2" not in sentence
    (folder / "password").chmod(0o600)
    load_settings(write(folder, more=more))


@pytest.mark.parametrize(
    ("name", "holds"),
    [("ca_file", "certificate"), ("cert_file", "certificate"), ("key_file", "private key")],
)
def test_a_file_of_tls_is_one(name: str, holds: str, folder: Path) -> None:
    """Another file than a certificate is found now, and not by a broker's refusal."""
    text = "-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n"
    more = '[mqtt]\nurl = "mqtts://x"\n'
    for file in ("ca_file", "cert_file", "key_file"):
        (folder / file).write_text(text)
        (folder / file).chmod(0o600)
        more += f'{file} = "{folder}/{file}"\n'
    load_settings(write(folder, more=more))
    (folder / name).write_text("root:x:0:0:root:/root:/bin/bash\n")
    (sentence,) = problems(write(folder, more=more))
    assert sentence.startswith(f"[mqtt] {name}: {folder}/{name}: it holds no {holds}; name")


@pytest.mark.parametrize(
    ("replace", "sentence"),
    [
        (
            {'node = "!4d4c00b2"': 'node = "!4d4c00b2"\nchannel_key_file = "/nope"'},
            "[[line]] 1, [[line.link]] 1 channel_key_file: /nope cannot be read",
        ),
        (
            {"/dev/serial/by-id/usb-1": "/etc/passwd"},
            "[[line]] 1, [[line.link]] 2 port: '/etc/passwd' is there, and is no serial device",
        ),
        (
            {"tcp://localhost:4403": "/dev"},
            "[[line]] 1, [[line.link]] 1 port: '/dev' is there, and is no serial device",
        ),
        ({"{folder}/state": "/dev/null"}, "[station] state_folder: /dev/null is no folder"),
    ],
)
def test_a_person_is_told_what_the_daemon_starts_without(
    replace: dict[str, str], sentence: str, folder: Path
) -> None:
    """What is there and cannot serve; a device that is absent may come."""
    replace = {old.format(folder=folder): new for old, new in replace.items()}
    load_settings(write(folder), is_asked=True)
    path = write(folder, replace=replace)
    load_settings(path)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, is_asked=True)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: {sentence}")


def test_a_channel_key_of_roots_is_no_problem(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The set-up reads it as root, and `config check` runs as the service's user."""
    open_ = os.open

    def refuse(path: Path, *more: int) -> int:
        if str(path) == "/root/channel":
            raise PermissionError(errno.EACCES, "Permission denied")
        return open_(path, *more)

    monkeypatch.setattr("gateway.config.files.os.open", refuse)
    key = {'node = "!4d4c00b2"': 'node = "!4d4c00b2"\nchannel_key_file = "/root/channel"'}
    load_settings(write(folder, replace=key), is_asked=True)


def test_files_may_be_left_alone(folder: Path) -> None:
    """A client that may not read the keys can still learn where the socket is."""
    (folder / "NORTH.key").unlink()
    settings = load_settings(write(folder), check_files=False)
    assert settings.api_socket.name == "api.sock"


def test_a_pipe_as_a_key_does_not_hang(folder: Path) -> None:
    """A file that would block the start is refused."""
    (folder / "SOUTH.secret").unlink()
    os.mkfifo(folder / "SOUTH.secret", 0o600)
    (sentence,) = problems(write(folder))
    assert "is no file" in sentence


def test_policy_numbers_are_overridden(folder: Path) -> None:
    """What [policy] names changes, the rest stays."""
    policy = load_policy(load_settings(write(folder, more="[policy]\nrto_max_ms = 7\n")))
    assert policy.rto_max_ms == 7
    assert policy.restore_ms == Policy().restore_ms


def test_a_changed_setting_shows_in_the_digest(folder: Path) -> None:
    """The log book tells by it that a start went on by another configuration."""
    settings = load_settings(write(folder))
    assert settings_digest(settings) == settings_digest(load_settings(write(folder)))
    other = load_settings(write(folder, more='[mqtt]\nurl = "mqtt://localhost"\n'))
    assert settings_digest(other) != settings_digest(settings)
    assert len(settings_digest(settings)) == 16
