"""CBOR diagnostic notation (RFC 8949 section 8, RFC 8610 appendix G) for people and other tools.

Comments between slashes say what a part is; without them the text is the value, octet for octet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import DecodeError
from gateway.model import AnswerCode, Kind, Operation, Precedence, Role, TimeQuality
from gateway.wire.canonical import unpack_id
from gateway.wire.compression import decompress
from gateway.wire.items import HelloKey, ItemType
from gateway.wire.limits import LANGUAGES
from gateway.wire.notice import CODE_ANSWER, CODE_COUNTERSIGN, CODE_VOID, Key

_WIDTH: Final = 92
_OTHER_CODES: Final = {
    CODE_ANSWER: "answer",
    CODE_VOID: "void",
    CODE_COUNTERSIGN: "countersign",
}
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n"}


@dataclass(frozen=True, slots=True)
class Noted:
    """A value with a comment after it."""

    value: object
    note: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """A byte string that holds CBOR, shown as `<< ... >>`."""

    value: object


@dataclass(frozen=True, slots=True)
class Tagged:
    tag: int
    value: object


def diagnose(value: object, *, indent: int = 0) -> str:
    """The notation of a decoded value; long arrays and maps take a line an element."""
    match value:
        case Noted(inner, note):
            return f"{diagnose(inner, indent=indent)} / {_comment(note)} /"
        case Embedded(inner):
            return f"<< {diagnose(inner, indent=indent)} >>"
        case Tagged(tag, inner):
            return f"{tag}({diagnose(inner, indent=indent)})"
        case bytes():
            return f"h'{value.hex()}'"
        case str():
            return '"' + "".join([_character(character) for character in value]) + '"'
        case True | False:
            return "true" if value else "false"
        case int():
            return str(value)
        case None:
            return "null"
        case Mapping():
            pairs = [
                f"{diagnose(key)}: {diagnose(entry, indent=indent + 2)}"
                for key, entry in value.items()
            ]
            return _lay_out("{", pairs, "}", indent)
        case Sequence():
            return _lay_out("[", [diagnose(part, indent=indent + 2) for part in value], "]", indent)
        case _:
            raise TypeError(f"{type(value).__name__} is no CBOR of ours")


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be").hex()
    return "".join([f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4)])


def _comment(note: str) -> str:
    return note.replace("/", "|")


def _lay_out(opening: str, parts: list[str], closing: str, indent: int) -> str:
    line = opening + ", ".join(parts) + closing
    if len(line) + indent <= _WIDTH and "\n" not in line:
        return line
    inner = ",\n".join([" " * (indent + 2) + part for part in parts])
    return f"{opening}\n{inner}\n{' ' * indent}{closing}"


def annotate_act(fields: Mapping[int, object]) -> dict[object, object]:
    """The map of an act with what its keys and codes mean; unknown ones stay bare."""
    return {key: Noted(value, _act_note(key, value)) for key, value in fields.items()}


def _act_note(key: int, value: object) -> str:
    if key not in list(Key):
        return "not known to this version"
    name = Key(key).name.lower().replace("_", " ")
    match key, value:
        case Key.HEAD, int(head):
            return f"{name}: {_head_note(head)}"
        case ((Key.ID | Key.OWN_REFERENCE | Key.THEIR_REFERENCE | Key.PREVIOUS), int(packed)):
            return f"{name}: {id_note(packed)}"
        case Key.TEXT, bytes(compressed):
            return f"{name}: {_text_note(compressed)}"
        case Key.LANGUAGE, int(index) if 0 <= index < len(LANGUAGES):
            return f"{name}: {LANGUAGES[index]}"
        case Key.RELEASED_BY, int(role) if role in list(Role):
            return f"{name}: {Role(role).name}"
        case Key.ANSWER, int(code) if code in list(AnswerCode):
            return f"{name}: {AnswerCode(code).name}"
        case _:
            return name


def _text_note(compressed: bytes) -> str:
    """The text in quotes, for a comment: a slash, which would end that, is escaped."""
    try:
        return diagnose(decompress(compressed)).replace("/", "\\u002f")
    except DecodeError as error:
        return str(error)


def _head_note(head: int) -> str:
    code, quality = divmod(head >> 4, 3)
    name = Kind(code).name if code in list(Kind) else _OTHER_CODES.get(code, "unknown")
    words = [name, Precedence(head >> 2 & 3).name, Operation(head & 3).name]
    return ", ".join([*words, f"time {TimeQuality(quality).name}"])


def id_note(packed: int) -> str:
    """Epoch and serial as in the text form of an id."""
    if not 0 <= packed < 1 << 32:
        return "no id"
    epoch, serial = unpack_id(packed, "id")
    return f"{epoch:04x}-{serial}"


_ITEM_NAMES: Final[dict[ItemType, tuple[str, ...]]] = {
    ItemType.RECEIPT: ("receipt", "cumulative", "bitmap", "echo"),
    ItemType.SELECTIVE_RECEIPT: ("selective receipt", "epoch", "serials", "echo"),
    ItemType.DISPLAYED: ("displayed", "epoch", "serials"),
    ItemType.FRAGMENT: ("fragment", "age s", "act", "part", "octets"),
    ItemType.FRAGMENT_RECEIPT: ("fragment receipt", "act", "count", "bitmap", "echo"),
    ItemType.BEAT: ("beat", "token", "entry number"),
    ItemType.HELLO: ("hello", ""),
}
_PACKED_NAMES: Final = ("cumulative", "act")


def annotate_item(item: Sequence[object]) -> list[object]:
    """An item with what its elements mean."""
    first = item[0]
    if not isinstance(first, int) or first >= 0:
        age, act, signature = item
        fields = annotate_act(act) if isinstance(act, Mapping) else act
        return [Noted(age, "age s"), fields, Noted(signature, "signature")]
    names = _ITEM_NAMES[ItemType(first)]
    if first == ItemType.HELLO and isinstance(item[1], Mapping):
        return [Noted(first, names[0]), {key: _hello_note(key, item[1][key]) for key in item[1]}]
    return [
        Noted(value, f"{name}: {id_note(value)}")
        if name in _PACKED_NAMES and isinstance(value, int)
        else Noted(value, name)
        for value, name in zip(item, names, strict=False)
    ]


def _hello_note(key: int, value: object) -> Noted:
    if key not in list(HelloKey):
        return Noted(value, "not known to this version")
    name = HelloKey(key).name.lower()
    if key == HelloKey.PREVIOUS and isinstance(value, int):
        return Noted(value, f"{name}: {id_note(value)}")
    return Noted(value, name)
