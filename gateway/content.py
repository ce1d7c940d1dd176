"""What a notice says: text or phrase, place, window. Values that check themselves when made."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.errors import FieldError

UTC_MAX: Final = 0xFFFF_FFFF
BODY_SIZE_MAX: Final = 1024
SLOT_COUNT_MAX: Final = 8
POLYGON_POINT_COUNT_MAX: Final = 8
POLYGON_POINT_COUNT_MIN: Final = 3

_BIDI: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?")


def check_text(
    field: str,
    text: str,
    *,
    size_max: int = BODY_SIZE_MAX,
    remedy: str = "shorten it or send it as two notices",
) -> str:
    """Return `text` in NFC if people may be shown it, else raise `FieldError`.

    No control characters but line feed, no bidirectional overrides, at most `size_max` octets;
    `remedy` is for a longer one.
    """
    text = unicodedata.normalize("NFC", text)
    for index, character in enumerate(text):
        category = unicodedata.category(character)
        if (category == "Cc" and character != "\n") or category in ("Cs", "Zl", "Zp"):
            raise FieldError(
                field,
                f"has the control character U+{ord(character):04X} at {index}",
                "use printable text and line feeds only",
                code="bad_text",
            )
        if character in _BIDI:
            raise FieldError(
                field,
                f"has the bidirectional override U+{ord(character):04X} at {index}",
                "remove it; the screen sets the direction by itself",
                code="bad_text",
            )
    size = len(text.encode())
    if size > size_max:
        raise FieldError(
            field,
            f"has {size} octets of UTF-8, the limit is {size_max}",
            remedy,
            code="text_too_long",
        )
    return text


def in_range(field: str, value: int, low: int, high: int, unit: str = "") -> None:
    """Raise `FieldError` unless low <= value <= high."""
    if not low <= value <= high:
        raise FieldError(field, f"{value} is out of range", f"give {low} to {high}{unit}")


@dataclass(frozen=True, slots=True)
class Text:
    """Free text with its language (BCP 47, for example `en`); 1 to 1024 octets of UTF-8, NFC."""

    text: str
    language: str

    def __post_init__(self) -> None:
        if check_text("text", self.text) != self.text:
            raise FieldError("text", "is not in Unicode NFC", "normalise it first")
        if not self.text:
            raise FieldError("text", "is empty", "write what you want to say")
        if len(self.language) > 12 or not _LANGUAGE.fullmatch(self.language):
            raise FieldError(
                "language", f"{self.language[:20]!r} is no language tag", "write for example en"
            )


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase of the codebook, 1 to 65535, and what fills its slots (at most 8)."""

    code: int
    slots: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        in_range("phrase", self.code, 1, 0xFFFF)
        in_range("slots", len(self.slots), 0, SLOT_COUNT_MAX)
        for slot in self.slots:
            if isinstance(slot, str):
                if check_text("slots", slot, size_max=120) != slot:
                    raise FieldError("slots", "is not in Unicode NFC", "normalise it first")
            else:
                in_range("slots", slot, -(2**31), 2**31 - 1)


class Point(NamedTuple):
    """WGS 84, in 1e-5 degree (about a metre): latitude +-9 000 000, longitude +-18 000 000."""

    latitude_e5: int
    longitude_e5: int


@dataclass(frozen=True, slots=True)
class Altitude:
    """An altitude band in metres above mean sea level, -500 to 30 000 each, low <= high."""

    low_m: int
    high_m: int

    def __post_init__(self) -> None:
        in_range("altitude", self.low_m, -500, 30_000, " m")
        in_range("altitude", self.high_m, self.low_m, 30_000, " m")


@dataclass(frozen=True, slots=True)
class Place:
    """A point with a radius (metres, 0 to 65535), or a polygon of 3 to 8 points with radius 0."""

    points: tuple[Point, ...]
    radius_m: int = 0
    altitude: Altitude | None = None

    def __post_init__(self) -> None:
        if len(self.points) != 1:
            in_range(
                "place",
                len(self.points),
                POLYGON_POINT_COUNT_MIN,
                POLYGON_POINT_COUNT_MAX,
                " points",
            )
            in_range("radius_m", self.radius_m, 0, 0)
        in_range("radius_m", self.radius_m, 0, 0xFFFF, " m")
        for point in self.points:
            in_range("latitude", point.latitude_e5, -9_000_000, 9_000_000, " (1e-5 degree)")
            in_range("longitude", point.longitude_e5, -18_000_000, 18_000_000, " (1e-5 degree)")


@dataclass(frozen=True, slots=True)
class Window:
    """When an activity takes place: minutes since 1970 UTC, and its length, 0 to 65535 min."""

    start_min: int
    length_min: int

    def __post_init__(self) -> None:
        in_range("window", self.start_min, 0, UTC_MAX // 60, " minutes since 1970")
        in_range("window", self.length_min, 0, 0xFFFF, " min")
