"""The codebook: coded phrases with one meaning in every language (as SMCP, CUES and ICS have them).

A notice carries a code and what fills its slots; each side reads them in its own language. Code and
slots are what the originator signed; every text made here is only a reading of them. The kind of a
notice modifies a phrase: QUERY asks whether it is so, UPDATE changes it, CANCEL takes it back.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import FieldError
from gateway.model import Kind, NoticeDraft, Phrase
from gateway.wire.phrase_entry import PHRASE_LANGUAGES, PhraseEntry, Slot, SlotType
from gateway.wire.phrases import PHRASES

CALLSIGN_SIZE_MAX: Final = 24

_REMEDY: Final = "see `hotline phrases`"
_BY_CODE: Final = {entry.code: entry for entry in PHRASES}
_CALLSIGN: Final = re.compile(r"[0-9]*[A-Z][A-Z0-9]*([ -][A-Z0-9]+)*|[0-9]+")
"""Digits alone before a blank or hyphen would change sides in a text that runs from the right."""
_TIME: Final = re.compile(r"(0[1-9]|[12][0-9]|3[01])([01][0-9]|2[0-3])[0-5][0-9]Z")
_RANGES: Final = {SlotType.NUMBER: (0, 0xFFFF), SlotType.COUNT: (1, 0xFFFF)}
_MINIMIZE_WORDS: Final = frozenset({"FLASH", "IMMEDIATE", "PRIORITY"})
_WANTED: Final = {
    SlotType.CALLSIGN: f"A-Z, 0-9, blank and hyphen, at most {CALLSIGN_SIZE_MAX}, such as A-7",
    SlotType.PLACE: f"A-Z, 0-9, blank and hyphen, at most {CALLSIGN_SIZE_MAX}, such as KILO 4",
    SlotType.TIME: "day, hour and minute in UTC, such as 221430Z",
    SlotType.NUMBER: "a whole number from 0 to 65535",
    SlotType.COUNT: "a whole number from 1 to 65535",
    SlotType.PRECEDENCE: "FLASH, IMMEDIATE or PRIORITY",
    SlotType.TEXT: "one line of text, at most 120 octets",
}
_MODIFIERS: Final = {
    Kind.QUERY: {"en": "QUESTION: ", "fr": "QUESTION : ", "ru": "ВОПРОС: ", "ar": "سؤال: "},
    Kind.UPDATE: {"en": "CHANGED: ", "fr": "MODIFIÉ : ", "ru": "ИЗМЕНЕНО: ", "ar": "تعديل: "},
    Kind.CANCEL: {
        "en": "CANCELLED: ",
        "fr": "ANNULÉ : ",
        "ru": "ОТМЕНЕНО: ",  # noqa: RUF001 (Cyrillic)
        "ar": "إلغاء: ",
    },
}


def phrase(code: int) -> PhraseEntry | None:
    """The entry of a code; None if this version of the codebook has none."""
    return _BY_CODE.get(code)


def phrase_language(tag: str) -> str:
    """The language of the codebook for a tag such as `fr-CA`; English for one that it lacks."""
    language = tag.lower().partition("-")[0]
    return language if language in PHRASE_LANGUAGES else PHRASE_LANGUAGES[0]


def render(body: Phrase, language: str, *, kind: Kind | None = None) -> str:
    """The phrase in `language` (English if unknown), with the modifier of the notice's `kind`.

    Never raises: what our codebook does not explain (versions differ on a line, a peer may err)
    reads `PHRASE 12: slots`. Slots of a peer are in it; whoever prints it escapes it.
    """
    entry = phrase(body.code)
    if entry is None or _problem(entry, body) is not None:
        slots = ", ".join(str(slot) for slot in body.slots)
        return f"PHRASE {body.code}" + (f": {slots}" if slots else "")
    language = phrase_language(language)
    names = [slot.name for slot in entry.slots]
    text = entry.templates[language].format(**dict(zip(names, body.slots, strict=True)))
    if kind is None or kind in entry.kinds:
        return text
    return _MODIFIERS.get(kind, {}).get(language, "") + text


def check(body: Phrase) -> None:
    """Raise `FieldError` for a code that the codebook lacks, or slots that do not fit it."""
    problem = _problem(_entry_of(body), body)
    if problem is not None:
        raise problem


def fits(body: Phrase) -> bool:
    """Whether the codebook has the phrase and the slots fit it."""
    entry = phrase(body.code)
    return entry is not None and _problem(entry, body) is None


def check_draft(draft: NoticeDraft) -> None:
    """Check the phrase of a draft, if it has one, and the draft around it. Raises `FieldError`.

    The kind is one of the phrase's own or a modifier; the fields that the text names are there,
    unless the draft takes back or changes what an earlier notice said.
    """
    if not isinstance(draft.body, Phrase):
        return
    check(draft.body)
    entry = _entry_of(draft.body)
    if draft.kind not in entry.kinds and draft.kind not in _MODIFIERS:
        kinds = ", ".join(kind.name for kind in (*entry.kinds, *_MODIFIERS))
        raise FieldError(
            "kind",
            f"{draft.kind.name} does not go with phrase {entry.code}",
            f"use one of {kinds}, or another phrase",
            code="conflict",
        )
    if draft.kind in (Kind.UPDATE, Kind.CANCEL):
        return
    for field in entry.needs:
        if getattr(draft, field) is None:
            raise FieldError(
                field,
                f"is missing; phrase {entry.code} speaks of it",
                "give it too, or use another phrase",
                code="missing_field",
            )


def codebook_document() -> dict[str, object]:
    """The whole codebook as plain values, in the order of its codes."""
    return {
        "languages": list(PHRASE_LANGUAGES),
        "phrases": [entry_document(entry) for entry in PHRASES],
    }


def entry_document(entry: PhraseEntry) -> dict[str, object]:
    return {
        "phrase": entry.code,
        "kinds": [kind.name for kind in entry.kinds],
        "slots": [{"name": slot.name, "type": slot.type.value} for slot in entry.slots],
        "needs": list(entry.needs),
        "templates": dict(entry.templates),
    }


def _entry_of(body: Phrase) -> PhraseEntry:
    entry = phrase(body.code)
    if entry is None:
        raise FieldError(
            "phrase", f"{body.code} is not in the codebook", _REMEDY, code="unknown_phrase"
        )
    return entry


def _problem(entry: PhraseEntry, body: Phrase) -> FieldError | None:
    """Why the slots do not fit, None if they do."""
    if len(body.slots) != len(entry.slots):
        names = ", ".join(slot.name for slot in entry.slots) or "none"
        return FieldError(
            "slots",
            f"are {len(body.slots)}, phrase {entry.code} has {len(entry.slots)} ({names})",
            _REMEDY,
            code="bad_slot",
        )
    for index, (slot, value) in enumerate(zip(entry.slots, body.slots, strict=True)):
        if not _fits(slot, value):
            return FieldError(
                f"slots[{index}]",
                f"does not fit {slot.name} of phrase {entry.code}",
                f"give {_WANTED[slot.type]}",
                code="bad_slot",
            )
    return None


def _fits(slot: Slot, value: str | int) -> bool:
    if slot.type in _RANGES:
        low, high = _RANGES[slot.type]
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if not isinstance(value, str):
        return False
    match slot.type:
        case SlotType.TIME:
            return _TIME.fullmatch(value) is not None
        case SlotType.PRECEDENCE:
            return value in _MINIMIZE_WORDS
        case SlotType.TEXT:
            return value.strip() != "" and "\n" not in value  # the rest `Phrase` has checked
        case _:
            return len(value) <= CALLSIGN_SIZE_MAX and _CALLSIGN.fullmatch(value) is not None
