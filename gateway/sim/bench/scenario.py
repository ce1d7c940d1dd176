"""What a bench does: a TOML file read into steps. `scenarios/default.toml` explains the format.

Owns reading and checking; what a step does is `bench`'s business.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from gateway.errors import ConfigError, FieldError
from gateway.model import AnswerCode, NoticeDraft, Station
from gateway.wire.document import draft_from_document

DEFAULT_PATH: Final = Path(__file__).parents[1] / "scenarios" / "default.toml"
STEP_COUNT_MAX: Final = 200
STATION_NUMBERS: Final = {"NORTH": Station(1), "SOUTH": Station(2)}

StationName = Literal["NORTH", "SOUTH"]
LinkWord = Literal["radio", "cable"]
Until = Literal["accepted", "receipt", "answered"]
BUTTON: Final = "BUTTON"


class _Step(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="do"):
    """A step; the next one begins when it is done."""


class Send(_Step, tag="send", frozen=True, kw_only=True):
    """Submit a notice through the queue; the far watch answers it."""

    name: str
    notice: dict[str, Any]
    sender: StationName = msgspec.field(name="from", default="NORTH")
    answers: tuple[str, ...] = (BUTTON,)
    """BUTTON or codes; given by the far watch one after the other."""
    link: LinkWord | None = None
    """The link that its machine receipt must name; None: any."""
    until: Until = "answered"


class Cut(_Step, tag="cut", frozen=True, kw_only=True):
    """Take a link away. `during` and `after_frames`: in the middle of a notice under way."""

    link: LinkWord
    how: Literal["silence", "unplug"] = "silence"
    during: str | None = None
    after_frames: int = 2


class Restore(_Step, tag="restore", frozen=True, kw_only=True):
    """Give the link back; done when both gateways say that it is UP."""

    link: LinkWord


class Settle(_Step, tag="settle", frozen=True, kw_only=True):
    """Wait until both gateways say without a break for `seconds` that the link is UP."""

    link: LinkWord
    seconds: float = 2.0


class Kill(_Step, tag="kill", frozen=True, kw_only=True):
    """SIGKILL a gateway and start it again; done when it is ready."""

    station: StationName


class Pause(_Step, tag="pause", frozen=True, kw_only=True):
    """Wait."""

    seconds: float


class Finish(_Step, tag="finish", frozen=True, kw_only=True):
    """Wait until every notice sent so far has all its answers."""


Step = Send | Cut | Restore | Settle | Kill | Pause | Finish


class Scenario(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The settings of a bench and its steps."""

    preset: str = "MEDIUM_FAST"
    """Modem preset of the simulated radios."""
    baud: int = 9600
    """Bit rate of the cable; 300 to 1 000 000."""
    loss: float = 0.0
    """Share of frames lost on each link, each way; 0 to 0.9."""
    limit_s: float = 150.0
    """The bench fails when it has not ended by then; 10 to 3600."""
    policy: dict[str, int] = {}
    """Numbers of `core/policy.py` for both gateways, where the defaults take too long to see."""
    links: tuple[LinkWord, ...] = ("radio", "cable")
    """Links each of which must have carried at least one notice to its receipt."""
    step: tuple[Step, ...]


def load_scenario(path: Path) -> Scenario:
    """Read and check a scenario. Raises `ConfigError` with all problems."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}; give the path of a scenario"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: is not TOML: {error}"]) from error
    try:
        scenario = msgspec.convert(tables, Scenario)
    except msgspec.ValidationError as error:
        raise ConfigError([f"{path}: {error}; {DEFAULT_PATH} explains the format"]) from error
    problems = _problems(scenario)
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    return scenario


def far_station(name: StationName) -> StationName:
    """The other end of the bench's line."""
    return "SOUTH" if name == "NORTH" else "NORTH"


def draft_of(step: Send) -> NoticeDraft:
    """The notice of a step. Raises `FieldError`."""
    document = {**step.notice, "to": far_station(step.sender)}
    return draft_from_document(document, station_number=STATION_NUMBERS.get)


def _problems(scenario: Scenario) -> list[str]:
    problems: list[str] = []
    if not 1 <= len(scenario.step) <= STEP_COUNT_MAX:
        problems.append(f"has {len(scenario.step)} steps; give 1 to {STEP_COUNT_MAX}")
    for name, value, low, high in (
        ("baud", scenario.baud, 300, 1_000_000),
        ("loss", scenario.loss, 0, 0.9),
        ("limit_s", scenario.limit_s, 10, 3600),
    ):
        if not low <= value <= high:
            problems.append(f"{name}: {value} is out of range; give {low} to {high}")
    sent: set[str] = set()
    for number, step in enumerate(scenario.step, 1):
        problems.extend(f"step {number}: {problem}" for problem in _step_problems(step, sent))
    return problems


def _step_problems(step: Step, sent: set[str]) -> list[str]:
    problems: list[str] = []
    match step:
        case Send():
            if not step.name or step.name in sent:
                problems.append(f"name: {step.name!r} is empty or used before; choose another")
            sent.add(step.name)
            text = step.notice.get("text")
            if not text or f"text {text}" in sent:
                problems.append("notice.text: is missing or used before; the bench counts by it")
            sent.add(f"text {text}")
            if "to" in step.notice or "request_id" in step.notice:
                problems.append("notice: to and request_id are the bench's own; remove them")
            else:
                problems.extend(_draft_problems(step))
            problems.extend(
                f"answers: {answer!r} is no answer; give {BUTTON} or {_codes()}"
                for answer in step.answers
                if answer != BUTTON and answer not in _person_codes()
            )
        case Cut():
            if step.during is not None and step.during not in sent:
                problems.append(f"during: {step.during!r} was not sent before; name a sent notice")
            if not 1 <= step.after_frames <= 32:
                problems.append(f"after_frames: {step.after_frames} is out of range; give 1 to 32")
        case Pause() | Settle():
            if not 0 <= step.seconds <= 600:
                problems.append(f"seconds: {step.seconds} is out of range; give 0 to 600")
        case Restore() | Kill() | Finish():
            pass
    return problems


def _draft_problems(step: Send) -> list[str]:
    try:
        draft_of(step)
    except FieldError as error:
        return [f"notice.{error}"]
    return []


def _person_codes() -> list[str]:
    return [code.name for code in AnswerCode if code is not AnswerCode.CANTPRO]


def _codes() -> str:
    return ", ".join(_person_codes())
