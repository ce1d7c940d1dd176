"""A text in fewer octets: predicted from a dictionary, coded by a range coder.

Each character is predicted from the three before it by what followed them in the dictionary (PPM,
method C with exclusion). The dictionary's text is the whole model and nothing is learnt from the
text itself, so no state is kept; integers only, so a text has one form for each dictionary on any
machine. The rules for another program are in `gateway.cddl`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from gateway.content import BODY_SIZE_MAX
from gateway.errors import DecodeError
from gateway.wire.dictionary import DICTIONARIES, END, NUMBERS

_CONTEXT_LENGTH_MAX: Final = 3
_BLOCK_COUNT: Final = 0x110000 >> 7
_RANGE_BITS: Final = 32
_RANGE_MIN: Final = 1 << 24


def compress(text: str, language: str) -> bytes | None:
    """The number of a dictionary (an octet) and the coded text, or None: no shorter than UTF-8.

    The dictionary is the language's own; the best of all where it has none.
    """
    numbers = [NUMBERS[language]] if language in NUMBERS else list(DICTIONARIES)
    best = min([_encode(text, number) for number in numbers], key=len)
    return best if len(best) < len(text.encode()) else None


def decompress(octets: bytes) -> str:
    """The text of what `compress` gave, at most `BODY_SIZE_MAX` octets of UTF-8.

    Raises `DecodeError`, also for what no encoder makes: longer than the text, or another form.
    """
    if not octets or octets[0] not in DICTIONARIES:
        raise DecodeError("a compressed text has no dictionary that is known here")
    if len(octets) >= BODY_SIZE_MAX:
        raise DecodeError(f"a compressed text takes {BODY_SIZE_MAX} octets or more")
    number, decoder = octets[0], _Decoder(octets[1:])
    characters: list[str] = []
    history, size = END, 0
    while (character := _take_character(decoder, number, history)) != END:
        if "\ud800" <= character <= "\udfff":
            raise DecodeError("a compressed text holds a surrogate")
        characters.append(character)
        size += len(character.encode())
        if size > BODY_SIZE_MAX:
            raise DecodeError(f"a compressed text is longer than {BODY_SIZE_MAX} octets")
        history = (history + character)[-_CONTEXT_LENGTH_MAX:]
    text = "".join(characters)
    if len(octets) >= size:
        raise DecodeError("a compressed text is no shorter than the text")
    if _encode(text, number) != octets:
        raise DecodeError("a compressed text is not in its canonical form")
    return text


def _encode(text: str, number: int) -> bytes:
    encoder, history = _Encoder(), END
    for character in text + END:
        _put_character(encoder, number, history, character)
        history = (history + character)[-_CONTEXT_LENGTH_MAX:]
    return bytes([number]) + encoder.finish()


class _Encoder:
    """Narrows an interval of integers; `low` is exact, so that no carry is ever lost."""

    __slots__ = ("_bits", "_low", "_range")

    def __init__(self) -> None:
        self._low, self._range, self._bits = 0, 1 << _RANGE_BITS, _RANGE_BITS

    def put(self, start: int, size: int, total: int) -> None:
        """Narrow to `size` of `total` parts from `start`."""
        part = self._range // total
        self._low += part * start
        self._range = part * size
        while self._range < _RANGE_MIN:
            self._low <<= 8
            self._range <<= 8
            self._bits += 8

    def finish(self) -> bytes:
        """The shortest octets, zeros understood after them, in the interval; the least of them."""
        for size in range(self._bits // 8 + 1):
            rest = self._bits - 8 * size
            value = -(-self._low >> rest)
            if value << rest < self._low + self._range:
                return value.to_bytes(size, "big")
        raise AssertionError("an interval is never empty")


class _Decoder:
    """Follows the encoder's interval; `_value` counts from its low end."""

    __slots__ = ("_octets", "_position", "_range", "_value")

    def __init__(self, octets: bytes) -> None:
        self._octets, self._position, self._range = octets, 0, 1 << _RANGE_BITS
        self._value = 0
        for _ in range(_RANGE_BITS // 8):
            self._shift()

    def place(self, total: int) -> int:
        """Which of `total` parts comes next; `take` what it belongs to."""
        return min(self._value // (self._range // total), total - 1)

    def take(self, start: int, size: int, total: int) -> None:
        part = self._range // total
        self._value -= part * start
        self._range = part * size
        while self._range < _RANGE_MIN:
            self._shift()
            self._range <<= 8

    def take_of(self, total: int) -> int:
        """One of `total` equal parts."""
        place = self.place(total)
        self.take(place, 1, total)
        return place

    def _shift(self) -> None:
        octet = self._octets[self._position] if self._position < len(self._octets) else 0
        self._value = self._value << 8 | octet
        self._position += 1


def _put_character(encoder: _Encoder, number: int, history: str, character: str) -> None:
    excluded: set[str] = set()
    for skipped in range(len(history) + 1):
        followers = _followers(number, history[skipped:])
        start = found = count = total = 0
        for follower, frequency in followers:
            if follower in excluded:
                continue
            if follower == character:
                start, found = total, frequency
            total += frequency
            count += 1
        if found:
            encoder.put(start, found, total + count)
            return
        if count:
            encoder.put(total, count, total + count)
            excluded.update([follower for follower, _ in followers])
    block, rest = divmod(ord(character), 128)
    home = DICTIONARIES[number].block
    encoder.put({0: 0, home: 1}.get(block, 2), 1, 3)
    if block not in (0, home):
        encoder.put(block, 1, _BLOCK_COUNT)
    encoder.put(rest, 1, 128)


def _take_character(decoder: _Decoder, number: int, history: str) -> str:
    excluded: set[str] = set()
    for skipped in range(len(history) + 1):
        followers = [
            entry for entry in _followers(number, history[skipped:]) if entry[0] not in excluded
        ]
        if not followers:
            continue
        escape = sum([frequency for _, frequency in followers])
        total = escape + len(followers)
        place = decoder.place(total)
        start = 0
        for follower, frequency in followers:
            if place < start + frequency:
                decoder.take(start, frequency, total)
                return follower
            start += frequency
        decoder.take(escape, len(followers), total)
        excluded.update([follower for follower, _ in followers])
    which = decoder.take_of(3)
    block = (0, DICTIONARIES[number].block)[which] if which < 2 else decoder.take_of(_BLOCK_COUNT)
    return chr(block << 7 | decoder.take_of(128))


@lru_cache(maxsize=1024)
def _followers(number: int, context: str) -> tuple[tuple[str, int], ...]:
    """How often each character follows `context` in a dictionary, by code point.

    Remembered because it is asked again for each text; the bound is about 0.7 MB.
    """
    text, length = DICTIONARIES[number].text, len(context)
    counts: dict[str, int] = {}
    position = text.find(context)
    while 0 <= position < len(text) - length:
        follower = text[position + length]
        counts[follower] = counts.get(follower, 0) + 1
        position = text.find(context, position + 1)
    return tuple(sorted(counts.items()))
