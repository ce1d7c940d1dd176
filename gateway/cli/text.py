"""How values read to people: escaped text, DTGs, ages, precedence. Pure; reads no clock."""

from __future__ import annotations

import unicodedata
from typing import Final

from gateway.model import UTC_MAX, UtcTime
from gateway.wire import document

_HIDDEN: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_JOINERS: Final = frozenset("\u200c\u200d")
"""Zero width joiner and non-joiner: Persian, Hindi and others cannot be written without them."""
_LETTERS: Final = {"FLASH": "Z", "IMMEDIATE": "O", "PRIORITY": "P", "ROUTINE": "R"}

RECEIPT_IS_NOT_CONSENT: Final = document.NOT_CONSENT
DTG_UNKNOWN: Final = "DTG UNKNOWN"


def visible(text: object, *, line_feeds: bool = False) -> str:
    """Return `text` with everything that could move, hide or reorder on a screen as `<U+XXXX>`.

    Line feeds stay only where `line_feeds` is set and the caller indents the lines.
    """
    return "".join(
        character if _is_harmless(character, line_feeds=line_feeds) else f"<U+{ord(character):04X}>"
        for character in str(text)
    )


def _is_harmless(character: str, *, line_feeds: bool) -> bool:
    if " " <= character <= "~":
        return True
    if character == "\n":
        return line_feeds
    return character in _JOINERS or unicodedata.category(character) not in _HIDDEN


def dtg(utc: int | None) -> str:
    """The date-time group of seconds since 1970, such as `221430Z NOV 26`; None is unknown."""
    if utc is None or not 0 <= utc <= UTC_MAX:
        return DTG_UNKNOWN
    return document.dtg(UtcTime(utc)) or DTG_UNKNOWN


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units: `42 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    if seconds is None:
        return "unknown"
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, second = divmod(whole, 60)
    if minutes < 10:
        return f"{minutes} min {second:02} s" if second else f"{minutes} min"
    hours, minute = divmod(minutes, 60)
    if hours == 0:
        return f"{minutes} min"
    days, hour = divmod(hours, 24)
    if days == 0:
        return f"{hours} h {minute:02} min"
    return f"{days} d {hour} h"


def milliseconds(value: int | None) -> str:
    """A measured time in ms for people: `850 ms`, `2.4 s`, `12 min`; None is `never`."""
    if value is None:
        return "never"
    if value < 1000:
        return f"{value} ms"
    return f"{value / 1000:.1f} s" if value < 60_000 else duration(value // 1000)


def precedence(word: object) -> str:
    """`FLASH (Z)`; the letter alone where the table is narrow is `precedence_letter`."""
    letter = precedence_letter(word)
    return f"{visible(word)} ({letter})" if letter != "?" else visible(word)


def precedence_letter(word: object) -> str:
    return _LETTERS.get(str(word).upper(), "?")


def indented(text: object, margin: str = "    ") -> str:
    """Text of a peer as a block: each line behind a margin, so that none looks like ours."""
    return "\n".join(margin + line for line in visible(text, line_feeds=True).split("\n"))


def shortened(text: object, width: int) -> str:
    """One line of at most `width` characters; line feeds become ` / `."""
    line = visible(" / ".join(str(text).split("\n")))
    return line if len(line) <= width else line[: max(1, width - 1)] + "…"
