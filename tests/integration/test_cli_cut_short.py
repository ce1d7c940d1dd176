"""`hotline line accept` and `key trust` that end between two files, and what they replace."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from gateway.cli.line import PENDING_NAME
from gateway.config.load import load_settings
from tests.integration.test_cli_key import Run, Side, run, sides
from tests.integration.test_cli_line import agree, clock, invited, joined, key, line, stick, words

__all__ = ["clock", "joined", "run", "sides", "stick"]
CABLE = ("--cable", "/dev/null", "9600", "--add")


@contextmanager
def room_for(count: int, folder: Path) -> Iterator[list[str]]:
    """A folder that takes `count` more files, and then has no inode left; what was refused."""
    open_ = os.open
    made = itertools.count()
    refused: list[str] = []

    def limited(path: str | Path, flags: int, *more: int) -> int:
        if flags & os.O_EXCL and Path(path).parent == folder and next(made) >= count:
            refused.append(Path(path).name)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open_(path, flags, *more)

    with mock.patch("gateway.cli.keyfiles.os.open", limited):
        yield refused


def is_whole(run: Run, side: Side) -> bool:
    return (
        run("config", "check", "--config", side.config).code == 0
        and len(load_settings(side.config).links) == 1
    )


@pytest.mark.parametrize("count", range(4))
def test_the_same_command_finishes_an_invitation(
    count: int, run: Run, sides: tuple[Side, Side], stick: Path
) -> None:
    """Wherever it ended: the reply, the card, the secret or the configuration was not written."""
    north, south = sides
    invitation = invited(run, north, stick)
    accept = ("accept", invitation, "--words", words(run, north), *CABLE, "--file")
    with room_for(count, south.folder) as refused:
        assert line(run, south, *accept, stick / "reply").code != 0
        assert len(refused) == 1
    ended = line(run, south, *accept, stick / "reply-2")
    assert ended.code == 0, ended.err
    assert is_whole(run, south)
    reply = south.folder / "NORTH.reply"
    taken = line(run, north, "accept", reply, "--words", words(run, south), *CABLE)
    assert taken.code == 0, taken.err
    assert agree(north, south)


@pytest.mark.parametrize("count", range(3))
def test_the_same_command_finishes_a_reply(
    count: int, run: Run, sides: tuple[Side, Side], stick: Path
) -> None:
    """The invitation stays open until all of the line is kept."""
    north, south = sides
    invitation = invited(run, north, stick)
    answered = line(run, south, "accept", invitation, "--yes", *CABLE, "--file", stick / "reply")
    assert answered.code == 0, answered.err
    accept = ("accept", stick / "reply", "--words", words(run, south), *CABLE)
    with room_for(count, north.folder) as refused:
        assert line(run, north, *accept).code != 0
        assert len(refused) == 1
    ended = line(run, north, *accept)
    assert ended.code == 0, ended.err
    assert is_whole(run, north)
    assert not (north.folder / PENDING_NAME).exists()
    assert agree(north, south)


def test_what_is_left_to_do_is_named(run: Run, sides: tuple[Side, Side], stick: Path) -> None:
    """Taken without --add, and asked again; a card that is gone comes back without --replace."""
    north, south = sides
    invitation = invited(run, north, stick)
    accept = ("accept", invitation, "--yes", "--file")
    assert line(run, south, *accept, stick / "reply").code == 0
    again = line(run, south, *accept, stick / "reply-2")
    assert (again.code, "has no [[line]] to NORTH: the same command with --add" in again.err) == (
        7,
        True,
    )
    (south.folder / "NORTH.card").unlink()
    ended = line(run, south, *accept, stick / "reply-2", *CABLE)
    assert ended.code == 0, ended.err
    assert is_whole(run, south)


@pytest.mark.parametrize("count", range(2))
def test_trust_is_finished_by_the_same_command(
    count: int, run: Run, sides: tuple[Side, Side]
) -> None:
    """The card or the secret was not written."""
    north, south = sides
    trust = ("trust", south.card, "--new-secret", "--yes", *CABLE)
    with room_for(count, north.folder) as refused:
        assert key(run, north, *trust).code != 0
        assert len(refused) == 1
    ended = key(run, north, *trust)
    assert ended.code == 0, ended.err
    assert is_whole(run, north)


def test_an_earlier_card_is_kept(run: Run, joined: tuple[Side, Side], stick: Path) -> None:
    """The log book of the time before is verified with it; its number is the next that is free."""
    north, south = joined
    first = (north.folder / "SOUTH.card").read_text()
    same = line(run, north, "invite", "--file", stick / "same")
    assert same.code == 0, same.err
    (south.folder / "station.key").unlink()
    south.card.unlink()
    made = key(run, south, "new", "--station", 2, "--name", "SOUTH", "--party", "PARTY B")
    assert made.code == 0, made.err
    second = south.card.read_text()
    ended = key(run, north, "trust", south.card, "--new-secret", "--yes", "--replace")
    assert ended.code == 0, ended.err
    assert "SOUTH.card.1: keep it" in ended.out
    assert (north.folder / "SOUTH.card.1").read_text() == first
    # The same card again leaves no copy.
    assert key(run, north, "trust", south.card, "--new-secret", "--yes", "--replace").code == 0
    assert not (north.folder / "SOUTH.card.2").exists()
    (south.folder / "station.key").unlink()
    south.card.unlink()
    key(run, south, "new", "--station", 2, "--name", "SOUTH", "--party", "PARTY B")
    answered = line(
        run, south, "accept", stick / "same", "--yes", "--replace", "--file", stick / "r"
    )
    assert answered.code == 0, answered.err
    taken = line(run, north, "accept", stick / "r", "--yes", "--replace", "--json")
    assert taken.code == 0, taken.err
    assert "SOUTH.card.2" in taken.out
    assert (north.folder / "SOUTH.card.2").read_text() == second


def test_where_the_secret_goes_and_comes_from_is_checked_before_the_words(
    run: Run, sides: tuple[Side, Side], stick: Path
) -> None:
    """Nobody reads words aloud for a command that cannot be done; nothing is written."""
    north, south = sides
    before = {path: path.read_bytes() for path in north.folder.iterdir()}
    there = stick / "there"
    there.write_text("what another line has")
    wrong: list[tuple[tuple[object, ...], int, str]] = [
        (("--new-secret", "--carry", there), 7, "not overwritten"),
        (("--new-secret", "--carry", stick / "none/line.secret"), 5, "mount the stick"),
        (("--new-secret", "--carry", north.folder / "SOUTH.secret"), 2, "this station's own file"),
        (("--new-secret", "--carry", north.folder / "SOUTH.card"), 2, "this station's own file"),
        (("--secret-file", stick / "none"), 5, "cannot be read"),
        (("--secret-file", there), 2, "64"),
    ]
    for options, code, sentence in wrong:
        ended = key(run, north, "trust", south.card, *options, "--yes")
        assert (ended.code, sentence in ended.err) == (code, True), ended.err
        assert "words" not in ended.out
        assert {path: path.read_bytes() for path in north.folder.iterdir()} == before
