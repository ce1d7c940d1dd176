"""From the options of `hotline send` to the public JSON form of a notice. Pure; asks no one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Final

import click

from gateway.model import (
    UTC_MAX,
    ActId,
    Epoch,
    Kind,
    LineState,
    Notice,
    NoticeDraft,
    Operation,
    Precedence,
    Role,
    Serial,
    Station,
    Text,
    TimeQuality,
    UtcTime,
)
from gateway.wire.codebook import phrase
from gateway.wire.declaration import PHRASE_MINIMIZE, PHRASE_MINIMIZE_OFF, PHRASE_OF_STATE
from gateway.wire.document import LANGUAGE_DEFAULT, draft_from_document
from gateway.wire.phrase_entry import SlotType

KINDS: Final = [kind.name for kind in Kind]
LINE_STATES: Final = [state.value for state in LineState]
MINIMIZE_WORDS: Final = ["FLASH", "IMMEDIATE", "PRIORITY", "OFF"]
OPERATIONS: Final = [operation.name for operation in Operation]
ROLES: Final = [role.name for role in Role]

_UPPER: Final = (SlotType.CALLSIGN, SlotType.PLACE, SlotType.TIME, SlotType.PRECEDENCE)
_SOME_STATION: Final = Station(255)
_SEALING_SIZE: Final = 64 + 2 + 2 + 13
"""Signature with its head, array and age, frame header with tag: DESIGN gives 12 to 14 for it."""
_UNITS_MIN: Final = {"": 1, "m": 1, "min": 1, "h": 60, "d": 1440}
_UNITS_S: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"([0-9]{1,5}) ?([A-Za-z]{0,3})")
_DTG: Final = re.compile(r"([0-9]{6}Z) ?([A-Z]{3}) ?([0-9]{2})")


class WordType(click.ParamType[str]):
    """One word of a list, in any case, with a blank or `-` for `_`."""

    name = "word"

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "[" + "|".join(self.words) + "]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 (click's own type)
        word = str(value).upper().replace(" ", "_").replace("-", "_")
        if word not in self.words:
            self.fail(f"{value!r} is not known; use one of {self.choice}", param, ctx)
        return word

    @property
    def choice(self) -> str:
        """What may be written, for a refusal."""
        return ", ".join(self.words)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(w) for w in self.words if w.startswith(incomplete.upper())]


class PrecedenceType(WordType):
    """FLASH, IMMEDIATE, PRIORITY, ROUTINE or the letter Z, O, P, R."""

    def __init__(self) -> None:
        super().__init__([precedence.name for precedence in Precedence])
        self._letters = {precedence.letter: precedence.name for precedence in Precedence}

    @property
    def choice(self) -> str:
        """With the letters: `-p I` is a likely mistake, as IMMEDIATE is O."""
        return ", ".join(f"{name} ({letter})" for letter, name in self._letters.items())

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 (click's own type)
        return super().convert(self._letters.get(str(value).upper(), value), param, ctx)


class DurationType(click.ParamType[int]):
    """Whole minutes: `90`, `90m`, `2h`, `1d`; or whole seconds: `30`, `30s`, `10m`, `2h`."""

    name = "duration"

    def __init__(self, *, in_seconds: bool = False) -> None:
        self._units = _UNITS_S if in_seconds else _UNITS_MIN
        self._examples = "30s, 10m or 2h" if in_seconds else "90m, 2h or 1d"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 (click's own type)
        match = _DURATION.fullmatch(str(value).strip())
        unit = self._units.get(match[2].lower()) if match else None
        if match is None or unit is None:
            self.fail(f"{value!r} is no length of time; write {self._examples}", param, ctx)
        return int(match[1]) * unit


class TimeType(click.ParamType[str]):
    """A minute in UTC: a DTG such as `221430Z NOV 26`, or `2026-11-22T14:30Z`. Gives the latter."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 (click's own type)
        text = str(value).strip().upper()
        try:
            if match := _DTG.fullmatch(text):
                words = " ".join(match.groups())
                moment = datetime.strptime(words, "%d%H%MZ %b %y").replace(tzinfo=UTC)
            else:
                moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"{value!r} is no time; write 221430Z NOV 26 or 2026-11-22T14:30Z", param, ctx
            )
        if moment.tzinfo is None:
            self.fail(f"{value!r} has no zone; end it with Z for UTC", param, ctx)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


class PointType(click.ParamType[tuple[float, float]]):
    """`LATITUDE,LONGITUDE` in degrees."""

    name = "lat,lon"

    def convert(
        self,
        value: Any,  # noqa: ANN401 (click's own type)
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        try:
            latitude, longitude = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no point; write for example 35.1,38.75", param, ctx)
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            self.fail(
                f"{value!r} is not on the globe; latitude is -90 to 90, longitude -180 to 180",
                param,
                ctx,
            )
        return latitude, longitude


def draft_document(options: dict[str, Any]) -> dict[str, object]:
    """The JSON form that `POST /v1/notices` takes; what was not given is absent.

    Raises `click.UsageError` where two options contradict each other.
    """
    document: dict[str, object] = {
        name: options[name]
        for name in (
            "to",
            "kind",
            "precedence",
            "operation",
            "text",
            "phrase",
            "expires_min",
            "reply_by_min",
            "reference",
        )
        if options.get(name) is not None
    }
    if options.get("released_by"):
        document["released_by"] = options["released_by"].lower()
    if options.get("text") is not None:
        document["language"] = options["language"] or LANGUAGE_DEFAULT
    if options.get("slots"):
        document["slots"] = _slots(options.get("phrase"), options["slots"])
    document |= _line_state(options)
    place = _place(options)
    if place:
        document["place"] = place
    if options.get("window"):
        document["window"] = dict(zip(("from", "to"), options["window"], strict=True))
    return document


def _line_state(options: dict[str, Any]) -> dict[str, object]:
    """The phrase of --state or --minimize; one notice declares one thing."""
    state, minimize = options.get("line_state"), options.get("minimize")
    if not state and not minimize:
        return {}
    if options.get("kind") != Kind.LINE_STATE.name:
        raise click.UsageError("--state and --minimize need -k LINE-STATE")
    said = (state, minimize, options.get("text"), options.get("phrase"))
    if sum(one is not None for one in said) > 1:
        raise click.UsageError(
            "--state, --minimize, --phrase and TEXT exclude each other; send two notices"
        )
    if state:
        return {"phrase": PHRASE_OF_STATE[LineState(state)]}
    if minimize == "OFF":
        return {"phrase": PHRASE_MINIMIZE_OFF}
    return {"phrase": PHRASE_MINIMIZE, "slots": [minimize]}


def _slots(code: int | None, words: Sequence[str]) -> list[str | int]:
    """The words as the phrase's slots want them; what does not fit is refused by the check."""
    entry = None if code is None else phrase(code)
    types = [slot.type for slot in entry.slots] if entry else []
    return [_slot(kind, word) for kind, word in zip_longest(types, words) if word is not None]


def _slot(kind: SlotType | None, word: str) -> str | int:
    if kind in (SlotType.NUMBER, SlotType.COUNT) and re.fullmatch(r"[0-9]{1,9}", word):
        return int(word)
    return word.upper() if kind in _UPPER else word


def _place(options: dict[str, Any]) -> dict[str, object]:
    point, polygon = options.get("point"), options.get("polygon") or ()
    radius, altitude = options.get("radius_m"), options.get("altitude")
    if point and polygon:
        raise click.UsageError("--point and --polygon exclude each other; give one of them")
    if radius is not None and not point:
        raise click.UsageError("--radius needs --point LAT,LON")
    if altitude and not (point or polygon):
        raise click.UsageError("--altitude needs --point or --polygon")
    place: dict[str, object] = {}
    if point:
        place = {"latitude": point[0], "longitude": point[1], "radius_m": radius or 0}
    elif polygon:
        place = {"polygon": [list(pair) for pair in polygon]}
    if altitude:
        place["altitude"] = {"low_m": altitude[0], "high_m": altitude[1]}
    return place


def check_draft(document: dict[str, object]) -> NoticeDraft:
    """Check everything that needs no gateway: whether the station is known, it alone can say.

    Raises `FieldError`.
    """
    return draft_from_document(document, station_number=lambda _name: _SOME_STATION)


def size_text(draft: NoticeDraft) -> str:
    """Octets of the text and, about, of the signed and sealed act; how many radio frames."""
    from gateway.wire.limits import FRAME_SIZE_MAX_RADIO, LIFETIME_DEFAULT_MIN
    from gateway.wire.notice import encode_act

    body = draft.body
    text_size = len(body.text.encode()) if isinstance(body, Text) else 0
    own = draft.reference.originator if draft.reference else Station(1)
    far = Station(2 if own != 2 else 1)
    act = Notice(
        id=ActId(own, Epoch(0xFFFF), Serial(0xFFFF)),
        to=far,
        kind=draft.kind,
        precedence=draft.precedence,
        operation=draft.operation,
        created=UtcTime(UTC_MAX),
        time_quality=TimeQuality.SYNCHRONISED,
        lifetime_min=draft.lifetime_min or LIFETIME_DEFAULT_MIN[draft.precedence],
        reply_by_min=draft.reply_by_min,
        reference=draft.reference,
        body=body,
        place=draft.place,
        window=draft.window,
        released_by=draft.released_by,
    )
    size = len(encode_act(act)) + _SEALING_SIZE
    frames = "one radio frame" if size <= FRAME_SIZE_MAX_RADIO else "several radio frames"
    return f"{text_size} octets of text; about {size} octets signed and sealed, {frames}"
