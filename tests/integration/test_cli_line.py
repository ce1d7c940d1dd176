"""`hotline line`, `key rotate` and `revoke`: two machines that share only what is carried."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from gateway.cli import handover
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.line import PENDING_NAME
from gateway.config.load import load_keyring, load_settings
from gateway.model import Station, UtcTime
from gateway.security.keys import LineKeys
from tests.integration.test_cli_key import Ended, Run, Side, make_side, mode, run, sides

__all__ = ["run", "sides"]
NORTH, SOUTH = Station(1), Station(2)
NOW = 1_795_700_000


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """The wall clock of both machines; a call sets it on by seconds."""
    shown = [NOW]

    def forward(seconds: int) -> None:
        shown[0] += seconds

    for module in ("handover", "line", "renewal"):
        monkeypatch.setattr(f"gateway.cli.{module}.utc_now", lambda: UtcTime(shown[0]))
    return forward


def line(run: Run, side: Side, *arguments: object) -> Ended:
    return run("line", *arguments, "--config", side.config)


def key(run: Run, side: Side, *arguments: object) -> Ended:
    return run("key", *arguments, "--config", side.config)


def words(run: Run, side: Side) -> str:
    return " ".join(json.loads(run("key", "card", "--config", side.config, "--json").out)["words"])


def invited(run: Run, north: Side, folder: Path, *more: object) -> Path:
    path = folder / f"invitation-{len(list(folder.iterdir()))}"
    made = line(run, north, "invite", "--file", path, *more)
    assert made.code == 0, made.err
    return path


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    """What the courier carries."""
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


@pytest.fixture
def joined(run: Run, sides: tuple[Side, Side], stick: Path) -> tuple[Side, Side]:
    north, south = sides
    invitation = invited(run, north, stick)
    cable = ("--cable", "/dev/null", "9600", "--add")
    answered = line(
        run, south, "accept", invitation, "--words", words(run, north), "--file",
        stick / "reply", *cable,
    )  # fmt: skip
    assert answered.code == 0, answered.err
    taken = line(run, north, "accept", stick / "reply", "--words", words(run, south), *cable)
    assert taken.code == 0, taken.err
    return sides


def keys_of(side: Side) -> LineKeys:
    (found,) = load_keyring(load_settings(side.config)).lines.values()
    return found.keys


def agree(north: Side, south: Side) -> bool:
    """Whether what one seals the other opens, in every generation that both hold."""
    ours, theirs = keys_of(north), keys_of(south)
    return (ours.newest.outbound, ours.newest.inbound, ours.hello.outbound) == (
        theirs.newest.inbound,
        theirs.newest.outbound,
        theirs.hello.inbound,
    )


def secrets_in(side: Side) -> list[str]:
    (path,) = side.folder.glob("*.secret")
    return re.findall(r"[0-9a-f]{64}", path.read_text())


def test_what_could_not_be_added_is_told(
    run: Run, sides: tuple[Side, Side], stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys are there and the invitation is taken: the rest can be done by hand."""
    north, south = sides
    invitation = invited(run, north, stick)

    def no_room(path: Path, *_: object) -> None:
        raise CommandError(ExitCode.FORBIDDEN, f"{path} cannot be written (No space left)")

    monkeypatch.setattr("gateway.cli.stanza.append", no_room)
    answered = line(
        run, south, "accept", invitation, "--words", words(run, north), "--file",
        stick / "reply", "--cable", "/dev/null", "9600", "--add",
    )  # fmt: skip
    assert answered.code == ExitCode.FORBIDDEN
    assert "the keys of the line are kept; add this" in answered.err
    south.config.write_text(f"{south.config.read_text()}\n{answered.out}")
    assert run("config", "check", "--config", south.config).code == 0


def test_one_file_each_way_joins_a_line(run: Run, joined: tuple[Side, Side]) -> None:
    """Both derive the same keys; private files are private; nothing is left pending."""
    north, south = joined
    assert agree(north, south)
    assert mode(north.folder / "SOUTH.secret") == mode(south.folder / "NORTH.secret") == 0o600
    assert not (north.folder / PENDING_NAME).exists()
    assert run("config", "check", "--config", north.config).code == 0
    assert north.config.read_text().count("[[line]]") == 1


def test_the_secret_is_shown_once(run: Run, sides: tuple[Side, Side], stick: Path) -> None:
    """Not on the screen beside the file, not again; another invitation has another secret."""
    north, _ = sides
    first = stick / "first"
    shown = line(run, north, "invite", "--file", first)
    assert mode(first) == 0o600
    text = first.read_text().strip()
    assert text.startswith("HOTLINE-INVITE-1.")
    assert text not in shown.out + shown.err
    again = line(run, north, "invite", "--file", stick / "second")
    assert again.code == 7
    assert "never shown twice" in again.err
    assert not (stick / "second").exists()
    invited(run, north, stick, "--again")
    assert (north.folder / PENDING_NAME).read_text().strip() != text
    assert line(run, north, "invite", "--again", "--file", first).code == 7, "nothing overwritten"


def test_a_terminal_shows_a_code_and_a_picture_holds_one(
    run: Run, sides: tuple[Side, Side], stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 80 columns; without a terminal, or with --json, a file must be named."""
    north, south = sides
    assert line(run, north, "invite").code == 2
    assert line(run, north, "invite", "--json").code == 2
    assert not (north.folder / PENDING_NAME).exists(), "no secret is made that cannot be shown"
    monkeypatch.setattr(handover, "is_terminal", lambda: True)
    shown = line(run, north, "invite")
    assert shown.code == 0
    rows = [row for row in shown.out.splitlines() if "█" in row or "▄" in row or "▀" in row]
    rows = [re.sub(r"\x1b\[[0-9;]*m", "", row) for row in rows]
    assert 30 < len(rows) < 48
    assert max(map(len, rows)) <= 80
    picture = stick / "code.png"
    assert line(run, south, "invite", "--png", picture).code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert mode(picture) == 0o600


def test_nobody_is_trusted_before_the_words_agree(
    run: Run, sides: tuple[Side, Side], stick: Path
) -> None:
    """Wrong words, or none: nothing is written on either side, and the right ones still do."""
    north, south = sides
    invitation = invited(run, north, stick)
    for wrong in (("--words", "one two three"), ()):
        ended = line(run, south, "accept", invitation, "--file", stick / "reply", *wrong)
        assert ended.code in (2, 3)
        assert not list(south.folder.glob("NORTH.*"))
        assert not (stick / "reply").exists()
    good = line(run, south, "accept", invitation, "--yes", "--file", stick / "reply")
    assert good.code == 0
    assert line(run, north, "accept", stick / "reply", "--words", "one two").code == 3
    assert not list(north.folder.glob("SOUTH.*"))
    assert (north.folder / PENDING_NAME).exists()
    assert line(run, north, "accept", stick / "reply", "--yes").code == 0


def test_what_does_not_belong_is_refused(
    run: Run, sides: tuple[Side, Side], stick: Path, tmp_path: Path
) -> None:
    """Our own, another one's, an older one's, a damaged one, a card: one sentence each."""
    north, south = sides
    invitation = invited(run, north, stick)
    own = line(run, north, "accept", invitation, "--yes")
    assert (own.code, "that this station made" in own.err) == (2, True)
    damaged = stick / "damaged"
    damaged.write_text(invitation.read_text()[:-9])
    ended = line(run, south, "accept", damaged, "--yes")
    assert (ended.code, "damaged on its way" in ended.err) == (2, True)
    card = line(run, south, "accept", north.card, "--yes")
    assert (card.code, "neither an invitation" in card.err) == (2, True)
    argument = line(run, south, "accept", invitation.read_text().strip(), "--yes")
    assert (argument.code, "on the command line" in argument.err) == (2, True)
    assert invitation.read_text().strip() not in argument.err
    line(run, south, "accept", invitation, "--yes", "--file", stick / "old-reply")
    invited(run, north, stick, "--again")
    old = line(run, north, "accept", stick / "old-reply", "--yes")
    assert (old.code, "to another invitation" in old.err) == (3, True)
    east = make_side(run, tmp_path / "east", 3, "EAST")
    stray = line(run, east, "accept", stick / "old-reply", "--yes")
    assert (stray.code, "no invitation is open" in stray.err) == (5, True)
    assert not list(north.folder.glob("SOUTH.*"))


def test_a_reply_that_was_exchanged_on_its_way_is_refused(
    run: Run, sides: tuple[Side, Side], stick: Path, tmp_path: Path
) -> None:
    """Who saw the token but not the secret cannot answer for another card."""
    from gateway.security.cards import card_octets, parse_key_file
    from gateway.security.invitation import parse_invitation
    from gateway.security.paper import write_paper
    from gateway.wire.canonical import dump

    north, _ = sides
    invitation = parse_invitation(invited(run, north, stick).read_text())
    thief = make_side(run, tmp_path / "thief", 2, "SOUTH")
    keys, card = parse_key_file((thief.folder / "station.key").read_text())
    forged = stick / "forged"
    forged.write_text(
        write_paper("reply", dump([card_octets(card, keys), invitation.token, bytes(16)]))
    )
    ended = line(run, north, "accept", forged, "--yes")
    assert (ended.code, "not made from our invitation" in ended.err) == (3, True)
    assert not list(north.folder.glob("SOUTH.*"))


def test_an_invitation_ends(
    run: Run, sides: tuple[Side, Side], stick: Path, clock: Callable[[int], None]
) -> None:
    """Expired, it is refused; a machine whose clock stands before its making is told to set it."""
    north, south = sides
    invitation = invited(run, north, stick, "--valid", 2)
    clock(-86_400)
    early = line(run, south, "accept", invitation, "--yes", "--file", stick / "reply")
    assert (early.code, "set the clock" in early.err) == (2, True)
    clock(86_400 + 2 * 3600 + 1)
    late = line(run, south, "accept", invitation, "--yes", "--file", stick / "reply")
    assert (late.code, "has expired" in late.err) == (2, True)
    assert not list(south.folder.glob("NORTH.*"))
    invited(run, north, stick)  # the expired one is not in its way


def test_each_is_taken_once(run: Run, joined: tuple[Side, Side], stick: Path) -> None:
    """The same invitation or reply again changes nothing, and tells where the reply is."""
    north, south = joined
    before = secrets_in(north) + secrets_in(south)
    (invitation,) = stick.glob("invitation-*")
    again = line(run, south, "accept", invitation, "--yes", "--replace", "--file", stick / "r2")
    assert (again.code, "NORTH.reply" in again.err) == (7, True)
    assert (south.folder / "NORTH.reply").read_text() == (stick / "reply").read_text()
    assert line(run, north, "accept", stick / "reply", "--yes", "--replace").code == 7
    assert secrets_in(north) + secrets_in(south) == before


def test_a_line_rotates_and_keeps_its_first_secret_for_hellos(
    run: Run, joined: tuple[Side, Side], stick: Path
) -> None:
    """One side makes it, the other takes it later; the former is erased when it is over."""
    north, south = joined
    old = keys_of(north)
    assert key(run, north, "rotate", "SOUTH", "--file", stick / "two").code == 0
    assert mode(stick / "two") == 0o600
    assert (keys_of(north).generation, keys_of(north).former) == (2, old.newest)
    pending = key(run, north, "rotate", "SOUTH", "--file", stick / "three")
    assert (pending.code, "--finish" in pending.err) == (7, True)
    assert key(run, north, "rotate", "EAST", "--file", stick / "three").code == 5
    taken = line(run, south, "accept", stick / "two")
    assert taken.code == 0, taken.err
    assert agree(north, south)
    assert keys_of(north).hello == old.hello
    assert keys_of(south).former is not None
    assert line(run, south, "accept", stick / "two").code == 7
    for side, far in ((north, "SOUTH"), (south, "NORTH")):
        assert key(run, side, "rotate", far, "--finish").code == 0
        assert keys_of(side).former is None
        assert key(run, side, "rotate", far, "--finish").code == 7
    assert old.newest.outbound.hex() not in "".join(secrets_in(north))


def test_a_renewal_that_does_not_fit_is_refused(
    run: Run, joined: tuple[Side, Side], stick: Path, tmp_path: Path, clock: Callable[[int], None]
) -> None:
    """Our own, one for another station, one of an untrusted card, an older one, an expired one."""
    north, south = joined
    before = secrets_in(south)
    assert key(run, north, "rotate", "SOUTH", "--file", stick / "two").code == 0
    own = line(run, north, "accept", stick / "two")
    assert (own.code, "made this renewal itself" in own.err) == (2, True)
    east = make_side(run, tmp_path / "east", 3, "EAST")
    wrong = line(run, east, "accept", stick / "two")
    assert (wrong.code, "is for station 2" in wrong.err) == (3, True)
    assert key(run, north, "rotate", "SOUTH", "--again", "--file", stick / "three").code == 0
    assert keys_of(north).generation == 3
    clock(8 * 86_400)
    expired = line(run, south, "accept", stick / "three")
    assert (expired.code, "has expired" in expired.err) == (2, True)
    clock(-8 * 86_400)
    assert line(run, south, "accept", stick / "three").code == 0
    older = line(run, south, "accept", stick / "two")
    assert (older.code, "not newer than" in older.err) == (2, True)
    assert agree(north, south)
    assert before[0] in secrets_in(south), "the first secret stays"
    thief = make_side(run, tmp_path / "thief", 1, "NORTH")
    (north.folder / "station.key").write_text((thief.folder / "station.key").read_text())
    again = key(run, north, "rotate", "SOUTH", "--again", "--file", stick / "four")
    assert again.code == 0
    forged = line(run, south, "accept", stick / "four")
    assert (forged.code, "not signed by the card of NORTH" in forged.err) == (2, True)


def test_a_lost_station_is_revoked_and_comes_back_with_new_keys(
    run: Run, joined: tuple[Side, Side], stick: Path
) -> None:
    """The revoked card is never taken again; its new one is, and the line agrees."""
    north, south = joined
    assert key(run, south, "revoke", "NORTH").code == 2
    assert key(run, south, "revoke", "NORTH", "--yes").code == 0
    assert key(run, south, "revoke", "NORTH", "--yes").code == 7
    (revoked,) = load_keyring(load_settings(south.config)).lines.values()
    assert revoked.is_revoked
    thief = invited(run, north, stick)
    taken = line(run, south, "accept", thief, "--yes", "--replace", "--file", stick / "never")
    assert (taken.code, "was revoked here" in taken.err) == (3, True)
    (north.folder / "station.key").rename(north.folder / "stolen.key")
    new = ("new", "--station", 1, "--name", "NORTH", "--party", "Party of NORTH")
    kept = key(run, north, *new)
    assert (kept.code, "NORTH.card exists" in kept.err) == (7, True), "the old book needs its card"
    assert not (north.folder / "station.key").exists()
    north.card.rename(north.folder / "stolen.card")
    made = key(run, north, *new)
    assert made.code == 0, made.err
    fresh = invited(run, north, stick, "--again")
    unasked = line(run, south, "accept", fresh, "--yes", "--file", stick / "again")
    assert (unasked.code, "use --replace" in unasked.err) == (7, True)
    done = line(run, south, "accept", fresh, "--yes", "--replace", "--file", stick / "again")
    assert done.code == 0, done.err
    assert line(run, north, "accept", stick / "again", "--yes", "--replace").code == 0
    assert agree(north, south)
    (line_now,) = load_keyring(load_settings(south.config)).lines.values()
    assert not line_now.is_revoked


def test_a_scanner_or_a_pipe_may_bring_it(
    run: Run, sides: tuple[Side, Side], stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` reads standard input, folded and in small letters too."""
    north, south = sides
    text = invited(run, north, stick).read_text().lower()
    monkeypatch.setattr(sys, "stdin", StringIO(text[:70] + "\n" + text[70:]))
    assert line(run, south, "accept", "-", "--yes", "--file", stick / "reply").code == 0
    assert line(run, south, "accept").code == 2, "no terminal to ask on"


def test_programs_get_json(run: Run, sides: tuple[Side, Side], stick: Path) -> None:
    """Paths and numbers, never a secret."""
    north, south = sides
    made = line(run, north, "invite", "--json", "--file", stick / "i")
    assert json.loads(made.out)["invitation"] == str(stick / "i")
    answered = line(run, south, "accept", stick / "i", "--yes", "--json", "--file", stick / "r")
    document = json.loads(answered.out)
    assert (document["name"], document["reply"]) == ("NORTH", str(stick / "r"))
    for text in (made.out, answered.out):
        assert not any(secret in text for secret in secrets_in(south))


WRONG_LINKS = [
    (("--cable", "cable-A1", "9600"), 78, "'cable-A1' does not fit; write its device"),
    (("--cable", "/dev/null", "7"), 78, "bit_rate"),
    (("--cable", "/dev/null", "9600bps"), 2, "'9600bps' is no bit rate"),
    (("--cable", "/dev/null", "9" * 5000), 2, "is no bit rate"),
    (("--cable", "/dev/\udcff", "9600"), 78, "cannot hold"),
    (("--radio", "radio-X", "!4d4c00b2"), 78, "/dev/hotline has: cable-B7, radio-77"),
    (("--radio", "/dev/null", "4d4c00b"), 78, "write the number of the far station's radio"),
    (("--radio", "/dev/null", "!ffffffff"), 78, "every radio in reach"),
    (("--radio", "tcp://", "!4d4c00b2"), 78, "tcp://host:4403"),
    (("--radio", "/dev/null", "!4d4c00b2", "--cable", "/dev/null", "9600"), 78, "already the port"),
    ((), 2, "--add needs a link"),
]


@pytest.fixture
def plugged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What udev would have named."""
    folder = tmp_path / "dev/hotline"
    folder.mkdir(parents=True)
    for name in ("cable-B7", "radio-77"):
        (folder / name).touch()
    monkeypatch.setattr("gateway.cli.port_type.LASTING_FOLDER", folder)
    return folder


@pytest.mark.parametrize(("links", "code", "said"), WRONG_LINKS)
@pytest.mark.parametrize("add", [("--add",), ()])
def test_wrong_links_are_said_before_anything_is_read_or_taken(
    links: tuple[str, ...], code: int, said: str, add: tuple[str, ...], run: Run,
    sides: tuple[Side, Side], stick: Path, plugged_in: Path,
) -> None:  # fmt: skip
    """Also where the stanza is only printed; the invitation is good for another try."""
    if not links and not add:
        return
    north, south = sides
    invitation = invited(run, north, stick)
    before = {path: path.read_bytes() for path in south.folder.iterdir()}
    said = said.replace("/dev/hotline", str(plugged_in))
    for command in (
        ("line", "accept", "--file", stick / "reply", "no-such-file"),
        ("line", "accept", "--file", stick / "reply", invitation),
        ("key", "trust", north.card, "--new-secret", "--carry", stick / "carry"),
    ):
        ended = run(*command, "--yes", "--config", south.config, *links, *add)
        assert (ended.code, said in ended.err) == (code, True), ended.err
        assert "words" not in ended.out
    assert {path: path.read_bytes() for path in south.folder.iterdir()} == before
    assert list(stick.iterdir()) == [invitation]
    good = ("--cable", "/dev/null", "9600", "--add", "--yes", "--file", stick / "reply")
    assert line(run, south, "accept", invitation, *good).code == 0


def test_a_name_and_a_number_may_be_typed_short(
    run: Run, sides: tuple[Side, Side], stick: Path, plugged_in: Path
) -> None:
    """A name of /dev/hotline without its folder, a radio's number without the shell's `!`."""
    north, south = sides
    invitation = invited(run, north, stick)
    ended = line(
        run, south, "accept", invitation, "--yes", "--file", stick / "reply", "--add",
        "--radio", "radio-77", "4D4C00B2", "--cable", "cable-B7", "9600",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    radio, cable = load_settings(south.config).links
    assert (radio.port, cable.port) == (f"{plugged_in}/radio-77", f"{plugged_in}/cable-B7")
    assert 'node = "!4d4c00b2"' in south.config.read_text()


@pytest.mark.parametrize("way", ["line", "key"])
def test_what_the_configuration_would_refuse_is_said_before_anything_is_taken(
    way: str, run: Run, joined: tuple[Side, Side], stick: Path, tmp_path: Path
) -> None:
    """A port that another line has; a second line to the same station. A free one goes in."""
    north, _ = joined
    west = make_side(run, tmp_path / "west", 4, "WEST")
    before = {path: path.read_bytes() for path in north.folder.iterdir()}
    first: tuple[object, ...] = ("key", "trust", west.card, "--new-secret")
    if way == "line":
        first = ("line", "accept", invited(run, west, stick), "--file", stick / "west-reply")
    command = (*first, "--yes", "--config", north.config, "--add")
    ended = run(*command, "--cable", "/dev/null", "9600")
    assert (ended.code, "already the port of [[line]] 1" in ended.err) == (78, True), ended.err
    assert str(north.config) in ended.err
    assert {path: path.read_bytes() for path in north.folder.iterdir()} == before
    ended = run(*command, "--cable", "/dev/zero", "9600")
    assert ended.code == 0, ended.err
    assert run("config", "check", "--config", north.config).code == 0
    assert [link.name for link in load_settings(north.config).links] == ["cable", "cable-2"]


def test_a_line_that_is_there_is_not_added_again(
    run: Run, joined: tuple[Side, Side], stick: Path
) -> None:
    """Nor are its keys replaced first; without a configuration nothing is taken either."""
    north, south = joined
    fresh = invited(run, north, stick)
    before = {path: path.read_bytes() for path in south.folder.iterdir()}
    again = ("accept", fresh, "--yes", "--replace", "--file", stick / "again")
    ended = line(run, south, *again, "--cable", "/dev/zero", "9600", "--add")
    assert (ended.code, "leave --add out" in ended.err) == (7, True), ended.err
    assert {path: path.read_bytes() for path in south.folder.iterdir()} == before
    assert line(run, south, *again).code == 0
    ended = run(
        "line", "accept", fresh, "--yes", "--file", stick / "r3", "--add",
        "--cable", "/dev/zero", "9600", "--config", south.folder / "none.toml",
    )  # fmt: skip
    assert (ended.code, "none.toml cannot be read" in ended.err) == (5, True)


@pytest.mark.parametrize("way", ["--file", "--png"])
def test_what_could_not_be_handed_over_is_not_kept(
    way: str, run: Run, joined: tuple[Side, Side], stick: Path, tmp_path: Path
) -> None:
    """No folder, or a file that cannot be made: the next try needs no --again."""
    north, south = joined
    broken = stick / "broken"  # found out only when it is opened
    broken.symlink_to("/nowhere/at/all")
    west = make_side(run, tmp_path / "west", 4, "WEST")
    for place, code in ((stick / "none/file", 5), (broken, 7)):
        before = {path: path.read_bytes() for path in north.folder.iterdir()}
        assert line(run, north, "invite", way, place).code == code
        assert key(run, north, "rotate", "SOUTH", way, place).code == code
        assert {path: path.read_bytes() for path in north.folder.iterdir()} == before
    invitation = invited(run, north, stick)
    open_ = (north.folder / PENDING_NAME).read_bytes()
    assert line(run, north, "invite", "--again", way, broken).code == 7
    assert (north.folder / PENDING_NAME).read_bytes() == open_, "what is open stays open"
    assert mode(north.folder / PENDING_NAME) == 0o600
    for place in (stick / "none/file", broken):
        assert line(run, west, "accept", invitation, "--yes", way, place).code in (5, 7)
        assert not list(west.folder.glob("NORTH.[cs]*"))
    assert line(run, west, "accept", invitation, "--yes", way, stick / "west-reply").code == 0
    assert key(run, south, "rotate", "NORTH", way, stick / "two").code == 0
