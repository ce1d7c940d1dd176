"""The plan of a simulated history: timed actions, drawn from the seed before anything runs.

An action stands for itself: leaving some out leaves the others what they were, so that a plan that
fails can be shrunk. Actions that name an earlier notice name its place in the plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import Kind, LinkName, NoticeDraft, Station


@dataclass(frozen=True, slots=True)
class Submit:
    """Someone hands a notice in, perhaps twice with the same request id."""

    at_ms: int
    station: Station
    draft: NoticeDraft
    """Without reference where `about` says so."""
    about: int | None = None
    """Place of the own earlier notice that it cancels, updates or refers to."""
    change: Kind | None = None
    """CANCEL or UPDATE of `about`."""
    again_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Stations hear nothing on a link for a while: one is a one-way cut, both a silent one."""

    at_ms: int
    link: LinkName
    deaf: tuple[Station, ...]
    for_ms: int


@dataclass(frozen=True, slots=True)
class Unplug:
    at_ms: int
    link: LinkName
    for_ms: int


@dataclass(frozen=True, slots=True)
class Mute:
    """A driver reports nothing of what it sends."""

    at_ms: int
    link: LinkName
    station: Station
    for_ms: int


@dataclass(frozen=True, slots=True)
class Weather:
    """A link gets worse for a while, in bursts."""

    at_ms: int
    link: LinkName
    loss: float
    good_ms: int
    bad_ms: int
    for_ms: int


@dataclass(frozen=True, slots=True)
class Kill:
    """The process dies, or the power goes."""

    at_ms: int
    station: Station
    for_ms: int
    is_power_cut: bool
    keeps_normal: bool
    lose_last: int = 0
    """Commits that a lying card loses besides."""
    dies_at_effect: int | None = None
    """In the next step that writes (see `Post`); None: now, between two steps."""
    has_clock: bool = True
    """False: it comes back without a trusted clock, and gets one after `clock_after_ms`."""
    clock_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Restore:
    """The card is replaced by an image of it, made a while ago."""

    at_ms: int
    station: Station
    back_ms: int
    for_ms: int


@dataclass(frozen=True, slots=True)
class Twin:
    """A copy of the card runs in a second device beside the first."""

    at_ms: int
    station: Station
    for_ms: int


@dataclass(frozen=True, slots=True)
class FillDisk:
    at_ms: int
    station: Station
    for_ms: int


@dataclass(frozen=True, slots=True)
class StepClock:
    """The wall clock jumps, by years perhaps."""

    at_ms: int
    station: Station
    step_s: int


@dataclass(frozen=True, slots=True)
class Attack:
    """Someone on the medium sends again what he recorded, hurt or whole, and noise."""

    at_ms: int
    link: LinkName
    to: Station
    count: int
    seed: int
    hellos: bool = False
    """Whole hellos only, which anyone knows by their header: old ones first."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Strangers talk on a radio's channel: their airtime, their texts, frames of other lines."""

    at_ms: int
    link: LinkName
    share: float
    """Of the time, 0 to 1."""
    for_ms: int
    seed: int


@dataclass(frozen=True, slots=True)
class BrokerAway:
    at_ms: int
    station: Station
    for_ms: int


@dataclass(frozen=True, slots=True)
class Press:
    """Someone presses the button, so often, so long each time."""

    at_ms: int
    station: Station
    hold_ms: int
    count: int
    gap_ms: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The daemon is asked to stop, ends, and is started again."""

    at_ms: int
    station: Station
    for_ms: int


@dataclass(frozen=True, slots=True)
class Rotate:
    """A station makes a new secret of a line and starts again with it; the far one does later."""

    at_ms: int
    station: Station
    to: Station
    wait_ms: int
    """Until the far station has it."""
    for_ms: int
    """Each start takes so long."""
    seed: int


@dataclass(frozen=True, slots=True)
class Absence:
    """A watch does not answer for a while."""

    at_ms: int
    station: Station
    for_ms: int


Action = (
    Submit
    | Cut
    | Unplug
    | Mute
    | Weather
    | Kill
    | Restore
    | Twin
    | FillDisk
    | StepClock
    | Attack
    | Foreign
    | BrokerAway
    | Press
    | Stop
    | Rotate
    | Absence
)

Plan = tuple[Action, ...]
"""In the order of their times; the place of an action is its name for `--only`."""


def sentence(action: Action) -> str:
    """An action in one line for people."""
    at_s, name = action.at_ms / 1000, type(action).__name__.lower()
    fields = {
        key: getattr(action, key)
        for key in action.__dataclass_fields__
        if key not in ("at_ms", "draft")
    }
    if isinstance(action, Submit):
        draft = action.draft
        fields["kind"] = (action.change or draft.kind).name
        fields["precedence"] = draft.precedence.name
        fields["to"] = draft.to
    told = " ".join(f"{key}={value}" for key, value in fields.items() if value is not None)
    return f"{at_s:10.3f} s  {name} {told}"
