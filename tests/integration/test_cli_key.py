"""`hotline key`, `hotline config check` and `hotline frame` on real files."""

from __future__ import annotations

import json
import os
import pwd
import stat
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.lines import configured_cards
from gateway.cli.main import main
from gateway.cli.options import Common
from gateway.config.load import load_keyring, load_settings
from gateway.doctor.finding import Mark
from gateway.doctor.installation import examine_configuration
from gateway.model import (
    ActId,
    Epoch,
    Kind,
    Notice,
    Operation,
    Precedence,
    Previous,
    Serial,
    Station,
    Text,
    TimeQuality,
    UtcTime,
)
from gateway.security.cards import fingerprint_words, parse_card
from gateway.security.keys import derive_line_keys
from gateway.security.seal import seal_frame
from gateway.security.signature import sign_act
from gateway.wire.byte_stream import encode_stream
from gateway.wire.frame import Header
from gateway.wire.items import ActItem, encode_items
from gateway.wire.notice import encode_act

NORTH, SOUTH = Station(1), Station(2)
INCARNATION = bytes(range(8))


@dataclass
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command in this process."""
    for name in ("HOTLINE_CONFIG", "HOTLINE_SOCKET"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: object) -> Ended:
        code = main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return Ended(code, shown.out, shown.err)

    return call


@dataclass
class Side:
    """One station's folder with its configuration and keys."""

    folder: Path
    config: Path
    card: Path


def make_side(run: Run, folder: Path, station: int, name: str) -> Side:
    folder.mkdir(exist_ok=True)
    config = folder / "hotline.toml"
    config.write_text(
        f'[station]\nname = "{name}"\nkey_file = "{folder}/station.key"\n'
        f'state_folder = "{folder}/state"\nruntime_folder = "{folder}/run"\n'
        '[indicators]\nfactory = "none"\n'
    )
    made = run(
        "key", "new", "--station", station, "--name", name, "--party", f"Party of {name}",
        "--config", config,
    )  # fmt: skip
    assert made.code == 0, made.err
    return Side(folder, config, folder / f"{name}.card")


@pytest.fixture
def sides(run: Run, tmp_path: Path) -> tuple[Side, Side]:
    return (
        make_side(run, tmp_path / "north", 1, "NORTH"),
        make_side(run, tmp_path / "south", 2, "SOUTH"),
    )


@pytest.fixture
def joined(run: Run, sides: tuple[Side, Side], tmp_path: Path) -> tuple[Side, Side]:
    """Both stations trust each other, as the help of `hotline key` says."""
    north, south = sides
    stick = tmp_path / "line.secret"
    first = run(
        "key", "trust", south.card, "--config", north.config, "--new-secret", "--carry", stick,
        "--yes", "--cable", "/dev/null", "9600", "--add",
    )  # fmt: skip
    second = run(
        "key", "trust", north.card, "--config", south.config, "--secret-file", stick,
        "--yes", "--radio", "tcp://localhost:4403", "!4d4c00b2", "--add",
    )  # fmt: skip
    assert (first.code, second.code) == (0, 0), (first.err, second.err)
    return sides


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def as_user(user: pwd.struct_passwd) -> Iterator[None]:
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_keys_that_root_makes_are_the_service_users(run: Run) -> None:
    """As with sudo: files get the owner of their folder, who can then start the gateway."""
    service = pwd.getpwnam("daemon")
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o755)
        folder = Path(outer) / "etc"
        folder.mkdir(mode=0o750)
        os.chown(folder, service.pw_uid, service.pw_gid)
        side = make_side(run, folder, 1, "NORTH")
        other = make_side(run, Path(outer) / "south", 2, "SOUTH")
        trusted = run(
            "key", "trust", other.card, "--config", side.config, "--new-secret", "--carry",
            Path(outer) / "line.secret", "--yes", "--cable", "/dev/null", "9600", "--add",
        )  # fmt: skip
        assert trusted.code == 0, trusted.err
        for name, expected in (("station.key", 0o600), ("SOUTH.secret", 0o600)):
            made = folder / name
            assert (made.stat().st_uid, made.stat().st_gid) == (service.pw_uid, service.pw_gid)
            assert mode(made) == expected
        with as_user(service):
            checked = run("config", "check", "--config", side.config)
        assert checked.code == 0, checked.err


def test_new_keys_are_private_and_never_overwritten(run: Run, sides: tuple[Side, Side]) -> None:
    """Mode 0600, a card beside it with the same words, and no second `key new` over it."""
    north = sides[0]
    key_file = north.folder / "station.key"
    before = key_file.read_bytes()
    assert (mode(key_file), mode(north.card)) == (0o600, 0o644)
    again = run(
        "key", "new", "--station", 1, "--name", "NORTH", "--party", "x", "--file", key_file
    )  # fmt: skip
    assert again.code == 7
    assert "is not overwritten" in again.err
    assert key_file.read_bytes() == before


def test_two_key_files_never_agree(sides: tuple[Side, Side]) -> None:
    """Keys come from the system's entropy: two stations share no key."""
    first, second = (parse_card(side.card.read_text()) for side in sides)
    assert first.sign_public != second.sign_public
    assert first.exchange_public != second.exchange_public


def test_card_goes_alone_to_standard_output(run: Run, sides: tuple[Side, Side]) -> None:
    """`hotline key card > FILE` makes the card file; the words go to the screen."""
    north = sides[0]
    shown = run("key", "card", "--config", north.config)
    assert shown.out == north.card.read_text()
    words = " ".join(fingerprint_words(parse_card(shown.out)))
    assert f"words {words}" in shown.err
    document = json.loads(run("key", "card", "--config", north.config, "--json").out)
    assert (document["name"], document["station"], " ".join(document["words"])) == (
        "NORTH",
        1,
        words,
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--station", 0, "--name", "NORTH", "--party", "x"), "0 is not in the range"),
        (("--station", 1, "--name", "north", "--party", "x"), "is no station name"),
        (("--station", 1, "--name", "NORTH", "--party", "x\x1b"), "control character U+001B"),
        (("--station", 1, "--name", "NORTH", "--party", "x", "--language", "?"), "language tag"),
    ],
)
def test_bad_names_make_no_files(
    run: Run, tmp_path: Path, options: tuple[object, ...], words: str
) -> None:
    """A refused name or number leaves nothing behind."""
    ended = run("key", "new", *options, "--file", tmp_path / "station.key")
    assert ended.code == 2
    assert words in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_that_others_can_read_is_refused(run: Run, sides: tuple[Side, Side]) -> None:
    """Exit code 78 and the command that mends it."""
    key_file = sides[0].folder / "station.key"
    key_file.chmod(0o640)
    ended = run("key", "card", "--file", key_file)
    assert ended.code == 78
    assert f"run: chmod 600 {key_file}" in ended.err


def test_both_sides_get_one_secret_and_one_line(joined: tuple[Side, Side]) -> None:
    """After the two `key trust` both configurations load and derive the same line keys."""
    north, south = (load_keyring(load_settings(side.config)) for side in joined)
    assert mode(joined[0].folder / "SOUTH.secret") == 0o600
    assert mode(joined[1].folder / "NORTH.secret") == 0o600
    assert (
        north.lines[SOUTH].keys.outbound(False, INCARNATION).key
        == south.lines[NORTH].keys.inbound(False, INCARNATION).key
    )


def test_config_check_sums_up(run: Run, joined: tuple[Side, Side]) -> None:
    """A good configuration is summed up; --json says the same."""
    north, south = joined
    shown = run("config", "check", "--config", north.config)
    assert shown.code == 0
    assert "serial /dev/null, 9600 bit/s" in shown.out
    document = json.loads(run("config", "check", "--config", south.config, "--json").out)
    assert document["lines"][0]["links"][0]["port"] == "tcp://localhost:4403"


def test_config_check_notes_a_missing_port(run: Run, joined: tuple[Side, Side]) -> None:
    """A port that is not there is no error: the daemon waits for it."""
    north = joined[0]
    north.config.write_text(north.config.read_text().replace("/dev/null", "/dev/not-there"))
    shown = run("config", "check", "--config", north.config)
    assert shown.code == 0
    assert "/dev/not-there is not there now; the gateway will wait for it" in shown.out


def test_config_check_and_doctor_refuse_a_port_that_is_a_file(
    run: Run, joined: tuple[Side, Side]
) -> None:
    """The daemon would wait for it; who asks is told."""
    north = joined[0]
    north.config.write_text(north.config.read_text().replace("/dev/null", "/etc/passwd"))
    ended = run("config", "check", "--config", north.config)
    assert (ended.code, "is no serial device" in ended.err) == (78, True), ended.err
    settings, (found,) = examine_configuration(north.config, is_named=True)
    assert settings is not None
    assert (found.mark, "is no serial device" in found.text) == (Mark.FAULT, True)


def test_config_check_prints_every_problem(run: Run, joined: tuple[Side, Side]) -> None:
    """All problems at once, a line each, exit code 78; a broken file names its line."""
    north = joined[0]
    text = north.config.read_text()
    north.config.write_text(
        text.replace('factory = "none"', 'factory = "magic"').replace("9600", '"fast"')
    )
    ended = run("config", "check", "--config", north.config)
    assert ended.code == 78
    assert len(ended.err.splitlines()) == 2
    assert all(line.startswith(f"hotline: {north.config}: ") for line in ended.err.splitlines())
    north.config.write_text("[station\n")
    broken = run("config", "check", "--config", north.config)
    assert broken.code == 78
    assert "line 1" in broken.err
    absent = run("config", "check", "--config", north.folder / "none.toml")
    assert absent.code == 78


def test_run_refuses_a_wrong_configuration(run: Run, joined: tuple[Side, Side]) -> None:
    """`hotline run` ends with 78 and the same sentences, before it touches anything."""
    north = joined[0]
    (north.folder / "SOUTH.secret").chmod(0o644)
    ended = run("run", "--config", north.config)
    assert ended.code == 78
    assert "chmod 600" in ended.err
    assert not (north.folder / "state").exists()


def trust(run: Run, side: Side, card: object, *options: object) -> Ended:
    return run("key", "trust", card, "--config", side.config, *options)


def test_trust_needs_the_words(run: Run, sides: tuple[Side, Side]) -> None:
    """Without a terminal, --words or --yes nobody is trusted; wrong words are refused."""
    north, south = sides
    unasked = trust(run, north, south.card, "--new-secret")
    assert unasked.code == 2
    wrong = trust(run, north, south.card, "--new-secret", "--words", "one two three")
    assert wrong.code == 3
    assert sorted(path.name for path in north.folder.iterdir()) == [
        "NORTH.card",
        "hotline.toml",
        "station.key",
    ]
    words = " ".join(fingerprint_words(parse_card(south.card.read_text()))).upper()
    right = trust(run, north, south.card, "--new-secret", "--words", words)
    assert right.code == 0
    assert "[[line]]" in right.out


def test_trust_takes_a_card_as_text(run: Run, sides: tuple[Side, Side]) -> None:
    """The card's line itself may be given, folded or in small letters."""
    north, south = sides
    text = south.card.read_text().strip().lower()
    folded = text[:60] + "\n" + text[60:]
    assert trust(run, north, folded, "--new-secret", "--yes").code == 0
    assert (north.folder / "SOUTH.card").read_text() == south.card.read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-9], "was damaged on its way"),
        (lambda text: text.replace("HOTLINE-CARD-1", "HOTLINE-CARD-2"), "another version"),
        (lambda _text: "-----BEGIN PGP-----", "is not the card of a hotline station"),
    ],
)
def test_a_bad_card_is_refused(
    run: Run, sides: tuple[Side, Side], change: Callable[[str], str], words: str
) -> None:
    """A damaged card, one of another version, another file: one sentence, nothing written."""
    north, south = sides
    south.card.write_text(change(south.card.read_text().strip()))
    ended = trust(run, north, south.card, "--new-secret", "--yes")
    assert ended.code == 2
    assert words in ended.err
    assert not (north.folder / "SOUTH.card").exists()


def test_trust_refuses_what_would_confuse_the_line(run: Run, sides: tuple[Side, Side]) -> None:
    """Our own card, a card with our number, both or no secret: nothing is written."""
    north, south = sides
    assert trust(run, north, north.card, "--new-secret", "--yes").code == 2
    twin = make_side(run, south.folder / "twin", 1, "TWIN")
    assert trust(run, north, twin.card, "--new-secret", "--yes").code == 7
    assert trust(run, north, south.card, "--yes").code == 2
    both = ("--new-secret", "--secret-file", "/x", "--yes")
    assert trust(run, north, south.card, *both).code == 2
    missing = trust(run, north, south.card, "--secret-file", "/nonexistent", "--yes")
    assert missing.code == 5
    bad = south.folder / "bad.secret"
    bad.write_text("00" * 31)
    assert trust(run, north, south.card, "--secret-file", bad, "--yes").code == 2


def test_trust_knows_its_own_card_before_there_is_a_configuration(
    run: Run, sides: tuple[Side, Side], tmp_path: Path
) -> None:
    """The key beside the card, or in the folder of the files, tells whose card it is."""
    north, south = sides
    missing = ("--config", tmp_path / "etc" / "hotline.toml", "--new-secret", "--yes")
    own = run("key", "trust", north.card, "--folder", tmp_path, *missing)
    assert (own.code, "of this station itself" in own.err) == (2, True)
    text = north.card.read_text().strip()
    own = run("key", "trust", text, "--folder", north.folder, *missing)
    assert (own.code, "of this station itself" in own.err) == (2, True)
    assert not list(tmp_path.glob("*.secret"))
    assert run("key", "trust", south.card, "--folder", north.folder, *missing).code == 0


def test_two_stations_of_one_number_are_never_trusted(
    run: Run, joined: tuple[Side, Side], tmp_path: Path
) -> None:
    """A second card with the number of a trusted station is a conflict that names the first."""
    north, _south = joined
    east = make_side(run, tmp_path / "east", 2, "EAST")
    ended = trust(run, north, east.card, "--new-secret", "--yes")
    assert ended.code == 7
    assert "SOUTH.card of SOUTH has the number 2 too" in ended.err
    assert not (north.folder / "EAST.card").exists()


def test_a_known_station_keeps_its_keys(run: Run, joined: tuple[Side, Side]) -> None:
    """Another card or secret of a trusted name needs --replace, and both then change."""
    north, south = joined
    secret = (north.folder / "SOUTH.secret").read_text()
    assert trust(run, north, south.card, "--new-secret", "--yes").code == 7
    other = make_side(run, south.folder / "other", 2, "SOUTH")
    (north.folder / "SOUTH.secret").unlink()
    changed = trust(run, north, other.card, "--new-secret", "--yes")
    assert changed.code == 7
    assert "ask SOUTH why its keys changed" in changed.err
    replaced = trust(run, north, other.card, "--new-secret", "--yes", "--replace")
    assert replaced.code == 0
    assert (north.folder / "SOUTH.card").read_text() == other.card.read_text()
    assert (north.folder / "SOUTH.secret").read_text() != secret


def test_a_stanza_is_added_once(run: Run, joined: tuple[Side, Side]) -> None:
    """--add keeps the old text of the configuration and refuses a second line with one card."""
    north, south = joined
    text = north.config.read_text()
    assert text.startswith('[station]\nname = "NORTH"')
    assert len(tomllib.loads(text)["line"]) == 1
    again = trust(
        run, north, south.card, "--new-secret", "--yes", "--replace", "--cable", "/dev/x", 1200,
        "--add",
    )  # fmt: skip
    assert again.code == 7
    assert north.config.read_text() == text


def test_json_tells_what_was_written(run: Run, sides: tuple[Side, Side]) -> None:
    """A program gets the card, the words and the paths."""
    north, south = sides
    document: dict[str, Any] = json.loads(
        trust(run, north, south.card, "--new-secret", "--yes", "--json").out
    )
    assert document["name"] == "SOUTH"
    assert Path(document["secret_file"]).exists()
    assert tomllib.loads(document["stanza"])["line"][0]["card"] == document["card_file"]


def test_secret_files_are_fresh_and_private(run: Run, tmp_path: Path) -> None:
    """`key secret` writes 32 octets in hex, mode 0600, never over an old one."""
    path = tmp_path / "line.secret"
    assert run("key", "secret", path).code == 0
    assert mode(path) == 0o600
    assert len(bytes.fromhex(path.read_text())) == 32
    assert run("key", "secret", path).code == 7


def test_a_folder_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    """No such folder: one sentence with the path."""
    ended = run("key", "secret", tmp_path / "none" / "line.secret")
    assert ended.code == 5
    assert "none/line.secret cannot be written" in ended.err
    if os.getuid() != 0:
        tmp_path.chmod(0o500)
        assert run("key", "secret", tmp_path / "line.secret").code == 6


def test_before_there_is_a_configuration_keys_lie_beside_it(run: Run, tmp_path: Path) -> None:
    """`--config` of a file that is yet to come: nothing is written elsewhere."""
    config = tmp_path / "box/hotline.toml"
    config.parent.mkdir()
    made = run(
        *("key", "new", "--station", 3, "--name", "EAST", "--party", "C", "--config", config)
    )
    assert made.code == 0
    assert sorted(path.name for path in config.parent.iterdir()) == ["EAST.card", "station.key"]
    assert run("key", "card", "--config", config).code == 0


def test_an_export_names_stations_by_the_configuration(
    joined: tuple[Side, Side], tmp_path: Path
) -> None:
    """Ours by the card beside the key; what cannot be read only costs the names."""
    config = joined[0].config
    names = {station: card.name for station, card in configured_cards(Common(config)).items()}
    assert names == {NORTH: "NORTH", SOUTH: "SOUTH"}
    for text in ("", "[station]\nkey_file = 5", "no toml", '[[line]]\ncard = "/none"'):
        (tmp_path / "other.toml").write_text(text)
        found = configured_cards(Common(tmp_path / "other.toml"))
        assert set(found) <= set(names)
    assert configured_cards(Common(tmp_path / "none/hotline.toml")) == {}


# Frames


def frames_of(side: Side) -> list[bytes]:
    """Two frames of NORTH with one signed notice; the second does not name its incarnation."""
    ring = load_keyring(load_settings(side.config))
    notice = Notice(
        id=ActId(NORTH, Epoch(7), Serial(1)),
        to=SOUTH,
        kind=Kind.WARNING,
        precedence=Precedence.FLASH,
        operation=Operation.EXERCISE,
        created=UtcTime(1_795_357_800),
        time_quality=TimeQuality.SYNCHRONISED,
        lifetime_min=120,
        body=Text("Mines [red] at\nthe ford", "en"),
        previous=Previous(0, 0),
    )
    octets = encode_act(notice)
    item = ActItem(3, octets, sign_act(ring.own, octets, originator=NORTH, to=SOUTH))
    key = ring.lines[SOUTH].keys.outbound(False, INCARNATION)
    return [
        seal_frame(
            key, Header(NORTH, 1, counter, incarnation), encode_items([item]), recipient=SOUTH
        )
        for counter, incarnation in ((0, INCARNATION), (1, None))
    ]


def test_a_frame_is_expanded_without_keys(run: Run, joined: tuple[Side, Side]) -> None:
    """COSE_Encrypt0 in diagnostic notation, its octets in hex, and why it stays closed."""
    frame = frames_of(joined[0])[0]
    shown = run("frame", frame.hex())
    assert shown.code == 0
    for words in (
        "16([",
        "1: 11 / alg: AES-CCM-16-64-256 /",
        "10: h'0001020304050607'",
        "hex d083",
    ):
        assert words in shown.out
    assert "no configuration with keys" in shown.err


@pytest.mark.parametrize("side", [0, 1])
def test_keys_of_either_side_open_it(run: Run, joined: tuple[Side, Side], side: int) -> None:
    """With the configuration of the sender or the receiver: items, the act, its signature."""
    frame = frames_of(joined[0])[0]
    shown = run("frame", frame.hex(), "--config", joined[side].config)
    assert shown.code == 0
    for words in (
        "from         station 1 NORTH",
        "to           station 2 SOUTH",
        '/ text: "Mines [red] at\\nthe ford" /',
        "18([",
        "signature good, of NORTH",
    ):
        assert words in shown.out


def test_frames_of_a_file_share_an_incarnation(
    run: Run, joined: tuple[Side, Side], tmp_path: Path
) -> None:
    """One frame a line in hex, raw octets, or a serial capture; --incarnation helps a lone one."""
    first, second = frames_of(joined[0])
    config = joined[1].config
    lines = tmp_path / "frames.hex"
    lines.write_text(f"{first.hex()}\n{second.hex(':')}\n")
    opened = run("frame", lines, "--config", config, "--json")
    assert [json.loads(line)["opened"] for line in opened.out.splitlines()] == [True, True]
    raw = tmp_path / "frame.bin"
    raw.write_bytes(second)
    alone = run("frame", raw, "--config", config)
    assert alone.code == 3
    assert "does not name its sender's incarnation" in alone.err
    helped = run("frame", raw, "--config", config, "--incarnation", INCARNATION.hex())
    assert helped.code == 0
    capture = tmp_path / "cable.bin"
    capture.write_bytes(b"\x07noise\x00" + encode_stream(first) + encode_stream(second) + b"cut")
    streamed = run("frame", "--stream", capture, "--config", config)
    assert streamed.code == 0
    assert streamed.out.count("signature good") == 2


def test_foreign_keys_do_not_open_it(run: Run, joined: tuple[Side, Side]) -> None:
    """Another secret: expanded, but closed, with exit code 3."""
    north, south = joined
    (south.folder / "NORTH.secret").write_text("ab" * 16 + "cd" * 16)
    ended = run("frame", frames_of(north)[0].hex(), "--config", south.config)
    assert ended.code == 3
    assert "no key of station 1, generation 1 opens the frame" in ended.err
    assert "16([" in ended.out


@pytest.mark.parametrize(
    ("captured", "code", "words"),
    [
        ("0900", 2, "is hexadecimal, but too short for a frame"),
        ("00", 2, "is hexadecimal, but too short for a frame"),
        ("aabbccddeeff001", 2, "not in pairs"),
        ("aabbccddeeff0011", 2, "no frame of the hotline"),
        ("/nonexistent/frame.bin", 5, "neither hexadecimal digits nor a file"),
    ],
)
def test_what_is_no_frame_is_refused(run: Run, captured: str, code: int, words: str) -> None:
    """Odd digits, other octets, a missing file: one sentence each."""
    ended = run("frame", captured)
    assert ended.code == code
    assert words in ended.err


def test_the_derived_keys_need_both_cards(joined: tuple[Side, Side]) -> None:
    """The same secret with another card gives other keys: words protect the exchange key too."""
    north = load_keyring(load_settings(joined[0].config))
    line = north.lines[SOUTH]
    secret = bytes.fromhex((joined[0].folder / "SOUTH.secret").read_text())
    assert derive_line_keys(north.own, line.card, secret, 1) == line.keys
    assert derive_line_keys(north.own, line.card, secret, 2).newest.outbound != (
        line.keys.newest.outbound
    )
