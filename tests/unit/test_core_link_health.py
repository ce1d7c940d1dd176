"""Link health: states from evidence, the timer of RFC 6298, and the choice between links."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.core.airtime import LoraAirtime, SerialAirtime
from gateway.core.events import LinkTraits
from gateway.core.link_health import LinkHealth
from gateway.core.policy import Policy
from gateway.core.routing import best_links
from gateway.errors import InvalidTransitionError
from gateway.model import Instant, LinkName, LinkState

POLICY = Policy()
CABLE = LinkTraits(1024, SerialAirtime(9600))
RADIO = LinkTraits(
    200, LoraAirtime(spreading_factor=11, bandwidth_khz=250, coding_rate=5), is_radio=True
)


def health(traits: LinkTraits = CABLE) -> LinkHealth:
    link = LinkHealth(POLICY)
    link.device_up(traits)
    return link


def test_a_port_that_opens_is_no_working_link() -> None:
    """PROBING until the first round trip; DOWN again when the device goes."""
    link = health()
    assert link.state is LinkState.PROBING
    link.heard(Instant(10))
    assert link.state is LinkState.PROBING
    link.round_trip(Instant(20), 15)
    assert (link.state, link.up_since, link.round_trip_ms) == (LinkState.UP, 20, 15)
    link.round_trip(Instant(30), None)
    assert link.up_since == 20
    link.device_down()
    assert link.state.value == "DOWN"
    assert link.up_since is None
    assert link.traits is None


@pytest.mark.parametrize(("traits", "limit_ms"), [(CABLE, 8_000), (RADIO, 420_000)])
def test_two_misses_degrade_and_four_with_silence_end_it(traits: LinkTraits, limit_ms: int) -> None:
    """Misses alone never make DOWN while anything is heard within the link's limit."""
    link = health(traits)
    link.round_trip(Instant(0), 100)
    link.heard(Instant(0))
    states = []
    for at in (1, 2, 3, 4, limit_ms - 1, limit_ms):
        link.missed(Instant(at))
        states.append(link.state)
    degraded = LinkState.DEGRADED
    assert states == [LinkState.UP, degraded, degraded, degraded, degraded, LinkState.DOWN]
    link.round_trip(Instant(limit_ms + 1), None)
    assert (link.state, link.misses) == (LinkState.UP, 0)


def test_a_verdict_of_the_radio_counts_as_a_miss_without_waiting() -> None:
    """The second NAK degrades; it never makes DOWN by itself."""
    link = health(RADIO)
    link.round_trip(Instant(0), 100)
    for _ in range(2):
        link.lost_at_once()
    assert link.state is LinkState.DEGRADED
    for _ in range(20):
        link.lost_at_once()
    assert link.state is LinkState.DEGRADED
    assert link.loss == pytest.approx(1 - 0.9**22)


def test_the_timer_follows_rfc_6298() -> None:
    """Before a sample floor + initial; then smoothed + 4 variations, never below the floor."""
    link = health()
    floor = link.floor_ms(50)
    assert link.timer_ms(50) == round(floor) + POLICY.rto_initial_serial_ms
    link.round_trip(Instant(0), 1_000)
    assert link.timer_ms(50) == 1_000 + 4 * 500
    link.round_trip(Instant(1), 200)
    assert link.round_trip_ms == 900
    assert link.timer_ms(50) == 900 + 4 * (500 + 75)
    for at in range(2, 200):
        link.round_trip(Instant(at), 1)
    assert link.timer_ms(50) == round(floor)


def test_a_radio_needs_twice_the_answer_and_a_longer_first_timer() -> None:
    """The far side may have begun a frame of its own when ours arrives."""
    link = health(RADIO)
    answer = RADIO.airtime.of(25)
    assert link.floor_ms(200) == 2 * answer + POLICY.rto_slack_ms
    assert link.timer_ms(200) == round(link.floor_ms(200) + POLICY.rto_initial_radio_ms)


def test_the_timer_doubles_only_while_nothing_is_heard() -> None:
    """Reception within 20 s forbids it; silence doubles up to 60 s; the next sign ends it."""
    link = health()
    link.heard(Instant(0))
    base = link.timer_ms(50)
    link.missed(Instant(20_000))
    assert link.timer_ms(50) == base
    link.missed(Instant(20_001))
    link.missed(Instant(20_002))
    assert link.timer_ms(50) == 4 * base
    for at in range(20):
        link.missed(Instant(30_000 + at))
    assert link.timer_ms(50) == POLICY.rto_max_ms
    link.heard(Instant(40_000))
    assert link.timer_ms(50) == base


def test_beats_come_sooner_after_a_miss_until_the_link_is_given_up() -> None:
    """Serial 6 s, then 1.2 s; radio 300 s, then 60 s; after four misses the usual pace."""
    for traits, usual, sooner in ((CABLE, 8_000, 1_200), (RADIO, 300_000, 60_000)):
        link = health(traits)
        assert link.beat_interval_ms() == usual
        link.missed(Instant(1))
        assert link.beat_interval_ms() == sooner
        for _ in range(3):
            link.missed(Instant(1))
        assert link.beat_interval_ms() == usual


def test_a_new_device_begins_without_the_old_samples() -> None:
    """Another radio in the port has another round trip; what it lost stays an estimate."""
    link = health()
    link.round_trip(Instant(0), 5_000)
    link.missed(Instant(1))
    link.device_up(RADIO)
    assert (link.state, link.misses, link.round_trip_ms) == (LinkState.PROBING, 0, None)


def test_an_input_outside_the_table_is_a_bug_of_ours() -> None:
    """Never a guess."""
    with pytest.raises(InvalidTransitionError):
        health()._advance("nonsense")  # type: ignore[arg-type]


@dataclass
class Named:
    name: LinkName
    health: LinkHealth


def links(*states: LinkState | None, up_since: int | None = 0) -> list[Named]:
    """Links in PACE order in these states; None: no device."""
    made = []
    for number, state in enumerate(states):
        link = LinkHealth(POLICY)
        if state is not None:
            link.device_up(CABLE)
            link.state = state
        if state is LinkState.UP:
            link.up_since = None if up_since is None else Instant(up_since)
        made.append(Named(LinkName(f"l{number}"), link))
    return made


def names(chosen: list[Named]) -> str:
    return " ".join(link.name for link in chosen)


def test_links_are_chosen_by_state_then_in_pace_order() -> None:
    """UP, DEGRADED, PROBING, DOWN; no device: not at all; excluded: not at all."""
    s = LinkState
    candidates = links(s.DOWN, s.PROBING, None, s.DEGRADED, s.UP, s.UP)
    assert names(best_links(candidates, POLICY, Instant(20_000))) == "l4 l5 l3 l1 l0"
    chosen = best_links(candidates, POLICY, Instant(20_000), exclude=[LinkName("l4")])
    assert names(chosen) == "l5 l3 l1 l0"


def test_a_link_that_came_back_waits_behind_a_settled_one() -> None:
    """3 s of hysteresis; but a fresh link is better than a degraded one."""
    first, second, third = links(LinkState.UP, LinkState.UP, LinkState.DEGRADED)
    first.health.up_since = Instant(5_000)
    candidates = [first, second, third]
    assert names(best_links(candidates, POLICY, Instant(7_999))) == "l1 l0 l2"
    assert names(best_links(candidates, POLICY, Instant(8_000))) == "l0 l1 l2"
