"""How values read to people: escapes, DTGs, ages."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.text import (
    dtg,
    duration,
    indented,
    milliseconds,
    precedence,
    shortened,
    visible,
)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text", "plain text"),
        ("\x1b[2J", "<U+001B>[2J"),
        ("abc\u202efed", "abc<U+202E>fed"),
        ("\u2066x\u2069\u200f", "<U+2066>x<U+2069><U+200F>"),
        ("two\nlines\r", "two<U+000A>lines<U+000D>"),
        ("\x9b31m", "<U+009B>31m"),
        ("Ärger шум 你好", "Ärger шум 你好"),
        ("می\u200cشود", "می\u200cشود"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        ("\ud800", "<U+D800>"),
        ("\u2028", "<U+2028>"),
    ],
)
def test_hidden_characters_are_shown_as_code_points(raw: str, shown: str) -> None:
    """Whatever could move, hide or reorder on a screen is spelt out; letters stay."""
    assert visible(raw) == shown


@given(st.text())
def test_no_control_or_format_character_survives(text: str) -> None:
    """For any text: the output has nothing of the hidden categories but the two joiners."""
    left = visible(text, line_feeds=True)
    bad = [
        character
        for character in left
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        and character not in "\n\u200c\u200d"
    ]
    assert bad == []


def test_a_block_indents_every_line_of_a_peer() -> None:
    """A peer cannot write a line that begins where ours begin."""
    assert indented("hello\nstate  ROGER\n") == "    hello\n    state  ROGER\n    "


def test_one_line_form_has_no_line_feed_and_a_bound() -> None:
    """Tables get one bounded line."""
    assert shortened("a\nb", 10) == "a / b"
    assert shortened("x" * 50, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("utc", "shown"),
    [
        (1795357800, "221430Z NOV 26"),
        (0, "010000Z JAN 70"),
        (None, "DTG UNKNOWN"),
        (10**18, "DTG UNKNOWN"),
    ],
)
def test_dtg(utc: int | None, shown: str) -> None:
    """Date-time groups are day, hour, minute, Z, month, year; an unknown time says so."""
    assert dtg(utc) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "unknown"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (600, "10 min"),
        (3599, "59 min"),
        (3600 * 3 + 300, "3 h 05 min"),
        (86400 * 2 + 3600 * 4, "2 d 4 h"),
        (-5, "0 s"),
    ],
)
def test_duration(seconds: float | None, shown: str) -> None:
    """Ages read in their two largest units."""
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "never"), (850, "850 ms"), (2400, "2.4 s"), (720_000, "12 min")],
)
def test_milliseconds(value: int | None, shown: str) -> None:
    """Measured times read in their own unit; none is `never`."""
    assert milliseconds(value) == shown


def test_precedence_has_its_letter() -> None:
    """The field's letters: Z O P R; a word from elsewhere gets none."""
    assert [precedence(word) for word in ("FLASH", "IMMEDIATE", "PRIORITY", "ROUTINE")] == [
        "FLASH (Z)",
        "IMMEDIATE (O)",
        "PRIORITY (P)",
        "ROUTINE (R)",
    ]
    assert precedence("BLITZ\x1b") == "BLITZ<U+001B>"
