"""Compressed text: what it saves on notices that made no dictionary, and what is refused."""

from __future__ import annotations

import time
import zlib
from pathlib import Path
from random import Random

import pytest

from gateway.cli.draft import check_draft, size_text
from gateway.core.airtime import LoraAirtime
from gateway.errors import DecodeError
from gateway.model import Kind, Text
from gateway.wire.canonical import dump
from gateway.wire.compression import _Decoder, _encode, _Encoder, compress, decompress
from gateway.wire.diagnostic import annotate_act, diagnose
from gateway.wire.dictionary import DICTIONARIES, NUMBERS
from gateway.wire.limits import LANGUAGES
from gateway.wire.notice import decode_act
from tests.vectors.independent import read_text
from tests.vectors.values import NORTH, SOUTH

CORPUS = Path(__file__).parents[1] / "vectors/corpus"
LONG_FAST = LoraAirtime(11, 250, 5)
FRAME_SIZE = 115
"""About what a signed and sealed notice takes without its text."""


def lines(language: str, half: str) -> list[str]:
    return (CORPUS / f"{language}-{half}.txt").read_text().splitlines()


def deflated(text: str, language: str) -> int:
    """The better of deflate's forms with the language's training half as preset dictionary."""
    sizes = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED):
        preset = DICTIONARIES[NUMBERS[language]].text.encode()
        coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy, zdict=preset)
        sizes.append(1 + len(coder.compress(text.encode()) + coder.flush()))
    return min(*sizes, len(text.encode()))


def test_the_corpus_is_two_halves() -> None:
    """No measured notice made a dictionary; there are enough of them in each language."""
    for language in NUMBERS:
        training, held = lines(language, "training"), lines(language, "held")
        assert not set(training) & set(held)
        used = DICTIONARIES[NUMBERS[language]].text.strip("\0").split("\0")
        assert set(used) <= set(training)
        if language in ("en", "ru", "ar"):
            assert len(training) + len(held) >= 80


@pytest.mark.parametrize(
    ("language", "share"), [("en", 0.42), ("fr", 0.42), ("ru", 0.29), ("ar", 0.29), ("uk", 0.30)]
)
def test_what_it_saves(language: str, share: float) -> None:
    """The held-out half shrinks to its share, and at least 10 % more is saved than by deflate."""
    texts = lines(language, "held")
    plain = coded = deflate = 0
    airtime_ms = 0.0
    for text in texts:
        octets = compress(text, language)
        size = len(text.encode())
        now = size if octets is None else len(octets)
        airtime_ms += LONG_FAST.of(FRAME_SIZE + size) - LONG_FAST.of(FRAME_SIZE + now)
        plain, coded, deflate = plain + size, coded + now, deflate + deflated(text, language)
    each = (plain - coded) / len(texts)
    print(
        f"{language}: {len(texts)} notices, {plain / len(texts):.0f} octets, deflate with one "
        f"{deflate / plain:.1%}, ours {coded / plain:.1%}: {each:.1f} octets and "
        f"{airtime_ms / len(texts):.0f} ms of LongFast saved each"
    )
    assert coded <= plain * share
    assert plain - coded >= 1.1 * (plain - deflate)


@pytest.mark.parametrize("language", NUMBERS)
def test_every_notice_comes_back(language: str) -> None:
    """What is compressed is shorter, names its dictionary, and two readers read it as it was."""
    for text in lines(language, "held") + lines(language, "training"):
        octets = compress(text, language)
        assert octets is not None
        assert octets[0] == NUMBERS[language]
        assert len(octets) < len(text.encode())
        assert decompress(octets) == text
        if len(text) < 60:
            assert read_text(octets) == text


@pytest.mark.parametrize("text", ["", "a", "K7Q2M9", "漢字仮名交じり文", "~^`|" * 50])
def test_what_does_not_shrink_goes_as_it_is(text: str) -> None:
    """Compression never makes a text longer, in any language."""
    for language in LANGUAGES:
        octets = compress(text, language)
        assert octets is None or (len(octets) < len(text.encode()) and decompress(octets) == text)
    assert compress(text, "en") is None


def test_a_language_without_dictionary_takes_the_best() -> None:
    """Spanish is read by the French or English one, Serbian in Cyrillic by a Cyrillic one."""
    spanish = compress("El puente está cerrado hasta mañana por la tarde", "es")
    serbian = compress("Улица Пушкина затворена до сутра", "sr")
    assert spanish is not None
    assert spanish[0] in (1, 2)
    assert serbian is not None
    assert serbian[0] in (3, 5)


GOOD = compress("The road is closed.", "en") or b""


@pytest.mark.parametrize("octets", [b"", b"\x00" + GOOD[1:], b"\x06" + GOOD[1:], b"\xff"])
def test_an_unknown_dictionary_is_refused(octets: bytes) -> None:
    """A dictionary of a later version is CANTPRO, not a guess."""
    with pytest.raises(DecodeError, match="dictionary"):
        decompress(octets)


@pytest.mark.parametrize("rest", [b"\x00", b"\x01", b"\xff", GOOD[1:]])
def test_nothing_follows_the_end(rest: bytes) -> None:
    """Exactly one stream: octets that change nothing in the text are refused."""
    with pytest.raises(DecodeError, match="canonical"):
        decompress(GOOD + rest)


def test_longer_than_the_text_is_refused() -> None:
    """The rule of encoders holds for decoders: `K7Q2M9`, coded, is no text of ours."""
    for text in ("K7Q2M9", "", "漢字"):
        with pytest.raises(DecodeError, match="no shorter"):
            decompress(_encode(text, 1))


@pytest.mark.parametrize("number", DICTIONARIES)
def test_a_bomb_is_bounded(number: int) -> None:
    """Octets that never end a text stop at 1024 octets of it, soon; too many go unread."""
    bombs = [_encode("e" * 1025, number), _encode("me. " * 500, number)]
    bombs += [bytes([number]) + b"\xff" * size for size in (1000, 100_000)]
    start = time.process_time()
    for bomb in bombs:
        with pytest.raises(DecodeError):
            decompress(bomb)
    assert time.process_time() - start < 2


def test_the_interval_is_open_above() -> None:
    """The upper half of all codes is 0x80, not the first code after it."""
    encoder = _Encoder()
    encoder.put(1, 1, 2)
    assert encoder.finish() == b"\x80"


def act(octets: bytes) -> bytes:
    return dump({0: 36, 1: 65537, 7: octets, 8: 0, 14: 0})


@pytest.mark.parametrize("text", ["cafe\u0301 is closed", "no \u202efire", "shots\x07 heard"])
def test_what_people_may_not_be_shown_is_refused(text: str) -> None:
    """A compressed text passes the same checks as a plain one."""
    octets = compress(text, "en")
    assert octets is not None
    with pytest.raises(DecodeError):
        decode_act(act(octets), originator=NORTH, to=SOUTH)


def test_an_act_in_another_dictionary_is_read() -> None:
    """Which dictionary is the sender's choice; a later one may be better."""
    text = "The bridge is closed. Please tell your posts."
    found = decode_act(act(_encode(text, 2)), originator=NORTH, to=SOUTH)
    assert found.kind is Kind.NOTIFY  # type: ignore[union-attr]
    assert found.body == Text(text, "en")  # type: ignore[union-attr]


def test_notation_shows_the_text() -> None:
    """`hotline frame` shows what was said; a slash cannot end its comment."""
    octets = compress('Truck at 40 km/h on the road "A"', "en")
    assert octets is not None
    shown = diagnose(annotate_act({7: octets}))
    assert '/ text: "Truck at 40 km\\u002fh on the road \\"A\\"" /' in shown
    assert shown.count("/") == 2
    assert "no dictionary" in diagnose(annotate_act({7: b"\xff"}))


def test_the_release_screen_counts_what_is_sent() -> None:
    """Who releases a notice sees the octets of its text, and the size of what goes on the air."""
    document: dict[str, object] = {"to": "SOUTH", "kind": "NOTIFY"}
    document |= {"precedence": "PRIORITY", "operation": "TEST"}
    draft = check_draft(document | {"text": lines("ru", "held")[-1], "language": "ru"})
    assert size_text(draft).endswith("one radio frame")
    assert size_text(draft).startswith("285 octets of text; about 192 octets")


def test_an_interval_at_its_least_is_not_widened() -> None:
    """Of 256 parts the first leaves just 2^24, at both ends alike: what follows is read as put."""
    rng = Random(1)
    parts = [
        (256, rng.randrange(256)),
        *[(total, rng.randrange(total)) for total in (50_000,) * 40],
    ]
    encoder = _Encoder()
    for total, place in parts:
        encoder.put(place, 1, total)
    decoder = _Decoder(encoder.finish())
    assert [decoder.take_of(total) for total, _ in parts] == [place for _, place in parts]
