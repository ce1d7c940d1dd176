"""Named kinds of history: which links there are, and what goes wrong how often."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class LinkProfile:
    """One link of a line."""

    name: str
    ends: tuple[int, int] = (1, 2)
    bit_rate: int | None = 9600
    """None: a radio."""
    half_duplex: bool = False
    short_fast: bool = False
    """The radio's modem setting; else LONG_FAST."""
    loss: tuple[float, ...] = (0.0,)
    """Drawn for each seed."""
    repeat: float = 0.0
    corrupt: float = 0.0
    jitter_ms: int = 5
    refuse: float = 0.0
    bursts: bool = False
    relay: float = 0.0
    """Share of packets that want an ack which another radio of the mesh repeats."""
    duty_share: float | None = None
    """Share of the rolling hour that the radio allows itself."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a history is drawn from. Rates are an hour, times in seconds."""

    name: str
    about: str
    links: tuple[LinkProfile, ...]
    stations: int = 2
    notices: float = 4.0
    """A station."""
    change: float = 0.1
    """Share of notices that cancel or update an earlier one."""
    again: float = 0.1
    """Share of requests handed in twice."""
    absences: float = 0.1
    cuts: float = 0.0
    unplugs: float = 0.0
    mutes: float = 0.0
    weathers: float = 0.0
    kills: float = 0.0
    power_cuts: float = 0.0
    """Share of kills."""
    lying_cards: float = 0.0
    """Share of power cuts that lose the last commits."""
    no_clock: float = 0.0
    """Share of power cuts that come back without a trusted clock."""
    days_off: float = 0.0
    """Share of power cuts that last for a day or more."""
    restores: float = 0.0
    twins: float = 0.0
    full_disks: float = 0.0
    clock_steps: float = 0.0
    attacks: float = 0.0
    foreigns: float = 0.0
    """Strangers on a radio's channel for a while."""
    brokers: float = 0.0
    """Brokers that go away."""
    presses: float = 0.0
    stops: float = 0.0
    """Clean stops."""
    rotations: float = 0.0
    """New secrets of a line; one that is under way is finished first."""
    inbound_notices: int | None = None
    """What others may have open at a station (`policy.inbound_notice_count`); None: as ever."""
    heal_min: int = 20
    """After the last fault every live notice is receipted and closed within this."""


_USUAL_DUTY_SHARE: Final = 0.1
"""What `Profile.heal_min` reckons with."""


def with_duty_share(profile: Profile, duty_share: float) -> Profile:
    """The same with this duty cycle, 0 to 1, for every radio.

    People send as much as ever, so that more waits than may go; healing has longer accordingly.
    """
    longer = max(_USUAL_DUTY_SHARE / duty_share, 1.0)
    return replace(
        profile,
        links=tuple(
            replace(link, duty_share=duty_share) if link.bit_rate is None else link
            for link in profile.links
        ),
        heal_min=round(profile.heal_min * longer),
    )


_CABLE: Final = LinkProfile("cable", loss=(0.0, 0.05), corrupt=0.01)
_BAD_CABLE: Final = LinkProfile(
    "cable", loss=(0.0, 0.1, 0.3, 0.5), repeat=0.05, corrupt=0.05, jitter_ms=200, bursts=True
)
_RADIO: Final = LinkProfile("radio", bit_rate=None, loss=(0.0, 0.05, 0.1), duty_share=0.1)
_BAD_RADIO: Final = LinkProfile(
    "radio", bit_rate=None, loss=(0.05, 0.1, 0.3), repeat=0.02, corrupt=0.03, refuse=0.02,
    bursts=True, relay=0.3,
)  # fmt: skip
PROFILES: Final = {
    profile.name: profile
    for profile in (
        Profile(
            "calm",
            "radio and cable that work, people who answer",
            (_RADIO, _CABLE),
            brokers=0.1,
            presses=2.0,
            stops=0.05,
            heal_min=15,
        ),
        Profile(
            "lossy",
            "up to half of all frames lost, bursts, cuts, unplugged links",
            (_BAD_RADIO, _BAD_CABLE),
            cuts=0.5,
            unplugs=0.4,
            weathers=0.3,
            absences=0.2,
        ),
        Profile(
            "radio-only",
            "one LongFast radio, shared air, its duty cycle, kills",
            (
                LinkProfile(
                    "radio",
                    bit_rate=None,
                    loss=(0.0, 0.1, 0.2),
                    bursts=True,
                    relay=0.3,
                    duty_share=0.1,
                ),
            ),
            notices=3.0,
            cuts=0.3,
            unplugs=0.2,
            mutes=0.1,
            foreigns=0.3,
            kills=0.2,
            power_cuts=0.5,
            absences=0.2,
            heal_min=90,
        ),
        Profile(
            "cable-only",
            "one cable, one direction at a time, kills between commit and effect",
            (
                LinkProfile(
                    "cable", half_duplex=True, loss=(0.0, 0.1, 0.3), corrupt=0.03, bursts=True
                ),
            ),
            kills=0.5,
            power_cuts=0.3,
            full_disks=0.2,
            cuts=0.5,
            unplugs=0.4,
            weathers=0.3,
            absences=0.2,
        ),
        Profile(
            "three-stations",
            "three stations, each with a line to the others",
            (
                LinkProfile("radio-12", (1, 2), bit_rate=None, loss=(0.0, 0.1)),
                LinkProfile("cable-12", (1, 2), loss=(0.0, 0.2)),
                LinkProfile("radio-13", (1, 3), bit_rate=None, loss=(0.0, 0.1)),
                LinkProfile("cable-23", (2, 3), loss=(0.0, 0.2)),
            ),
            stations=3,
            kills=0.3,
            power_cuts=0.3,
            heal_min=90,
            cuts=0.5,
            unplugs=0.4,
            weathers=0.3,
            absences=0.2,
        ),
        Profile(
            "clockless",
            "clocks that jump by years or are missing, days without power",
            (_RADIO, _CABLE),
            kills=0.3,
            power_cuts=0.8,
            no_clock=0.7,
            days_off=0.05,
            clock_steps=0.5,
            cuts=0.2,
        ),
        Profile(
            "hostile",
            "recorded frames again and hurt, noise, lying cards, restored and copied stores",
            (_BAD_RADIO, _CABLE),
            attacks=4.0,
            foreigns=0.5,
            presses=1.0,
            kills=0.3,
            power_cuts=0.7,
            lying_cards=0.4,
            restores=0.08,
            twins=0.08,
            rotations=0.15,
            cuts=0.2,
        ),
        Profile(
            "everything",
            "all faults of all profiles",
            (_BAD_RADIO, _BAD_CABLE),
            mutes=0.1,
            kills=0.4,
            power_cuts=0.5,
            lying_cards=0.2,
            no_clock=0.3,
            days_off=0.02,
            restores=0.04,
            twins=0.04,
            full_disks=0.1,
            clock_steps=0.1,
            attacks=1.0,
            foreigns=0.3,
            brokers=0.3,
            presses=4.0,
            stops=0.3,
            rotations=0.15,
            inbound_notices=10,
            heal_min=30,
            cuts=0.5,
            unplugs=0.4,
            weathers=0.3,
            absences=0.2,
        ),
    )
}
