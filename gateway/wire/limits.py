"""Constants of the format: both ends must agree on them. Choices of ours are in `core/policy`."""

from __future__ import annotations

from typing import Final

from gateway.model import Precedence

PROTOCOL: Final = "hotline/1"
"""Bound into every key, frame and signature; another version of the format is another name."""

FRAME_SIZE_MAX: Final = 1024
FRAME_SIZE_MAX_SERIAL: Final = 1024
FRAME_SIZE_MAX_RADIO: Final = 200
"""Over Meshtastic: 219 is the limit of a direct message, broadcasts of 2.8 leave less."""

STATION_MAX: Final = 255
GENERATION_MAX: Final = 255
GENERATION_HELLO: Final = 0
"""The generation that names the hello key; it never retires, its frames name the incarnation."""

FRAME_COUNT_MAX: Final = 1 << 20
"""Frames sealed with one key (counters 0 to this - 1); failed opens of one key before the alarm."""
PARTIAL_IV_SIZE_MAX: Final = 3
INCARNATION_SIZE: Final = 8
CHALLENGE_SIZE: Final = 8
KID_SIZE: Final = 2
TAG_SIZE: Final = 8
KEY_SIZE: Final = 32
NONCE_SIZE: Final = 13
SECRET_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64
PROOF_SIZE: Final = 8

NESTING_MAX: Final = 4
"""Arrays and maps inside each other, the item's own array included."""
ACT_NESTING_MAX: Final = 3
KEY_CRITICAL_MAX: Final = 15
KEY_MAX: Final = 23
"""Map keys 16 to this are optional: kept when unknown."""

ITEM_COUNT_MAX: Final = 32
"""Items in one frame; a frame with more is refused whole."""
ACT_SIZE_MAX: Final = 1536
"""Octets of an act's map: the longest body with every other field, and extensions."""
BITMAP_COUNT: Final = 32
"""Serials that the bitmap of a receipt names; also the send window."""
FRAGMENT_COUNT_MAX: Final = 32
SERIAL_LIST_COUNT_MAX: Final = 16
KNOWN_COUNT_MAX: Final = 4
UINT16_MAX: Final = 0xFFFF
UINT32_MAX: Final = 0xFFFF_FFFF
AGE_S_MAX: Final = UINT32_MAX

LIFETIME_DEFAULT_MIN: Final = {
    Precedence.FLASH: 120,
    Precedence.IMMEDIATE: 240,
    Precedence.PRIORITY: 720,
    Precedence.ROUTINE: 1440,
}
"""Minutes; a lifetime that equals its precedence's default is absent on the wire."""

LANGUAGES: Final = (
    "en",
    "fr",
    "es",
    "ru",
    "ar",
    "zh",
    "pt",
    "de",
    "hi",
    "ur",
    "fa",
    "tr",
    "he",
    "uk",
    "ko",
    "ja",
    "it",
    "pl",
    "el",
    "ro",
    "sr",
    "hy",
    "az",
    "ka",
)
"""Languages with an index of one octet (0 to 23); append never, replace never: it is the format."""
LANGUAGE_INDEX: Final = {language: index for index, language in enumerate(LANGUAGES)}
