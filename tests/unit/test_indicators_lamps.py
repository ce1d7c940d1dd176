"""Patterns of lamps and buzzer by status and time (DESIGN section 9)."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from gateway.core.effects import Alarm, AlarmCode, LinkStatus, PeerStatus, PendingNotice, Status
from gateway.indicators.console import (
    document_views,
    panel_views,
    render_plain,
    render_rich,
)
from gateway.indicators.lamps import (
    CHIRP_MS,
    REFUSAL_MS,
    Panel,
    Rhythm,
    level_at,
    next_change,
    next_pattern_change,
    panel_document,
    panel_levels,
    pattern,
)
from gateway.model import (
    ActId,
    DeliveryState,
    Epoch,
    Instant,
    LinkName,
    LinkState,
    Operation,
    Precedence,
    Serial,
    Station,
)
from gateway.runtime.standby_words import nothing_to_show

NOW = Instant(1_000_000)
FAR = Station(2)


def link(name: str, state: LinkState, *, station: Station = FAR) -> LinkStatus:
    return LinkStatus(
        name=LinkName(name),
        station=station,
        state=state,
        device_up=state is not LinkState.DOWN,
        detail="",
        round_trip_ms=None,
        heard_at=None,
        loss=None,
        queued=0,
    )


def pending(
    precedence: Precedence = Precedence.ROUTINE,
    operation: Operation = Operation.OPERATION,
    *,
    state: DeliveryState = DeliveryState.DISPLAYED,
    since: int = 0,
    is_check: bool = False,
    born: int | None = 0,
    late: bool = False,
    unproven: bool = False,
) -> PendingNotice:
    return PendingNotice(
        notice_id=ActId(FAR, Epoch(7), Serial(1)),
        precedence=precedence,
        operation=operation,
        state=state,
        since=Instant(since),
        displayed=True,
        overdue=False,
        is_check=is_check,
        born=None if born is None else Instant(born),
        late=late,
        unproven=unproven,
    )


QUIET = dataclasses.replace(
    nothing_to_show(Station(1)), links=(link("radio", LinkState.UP), link("cable", LinkState.UP))
)


def with_in(*notices: PendingNotice, **changes: object) -> Status:
    changes = {"pending_in": notices, "pending_in_count": len(notices), **changes}
    return dataclasses.replace(QUIET, **changes)  # type: ignore[arg-type]  # by name


def with_out(*notices: PendingNotice) -> Status:
    return dataclasses.replace(QUIET, pending_out=notices, pending_out_count=len(notices))


def test_a_quiet_line_shows_links_and_life_only() -> None:
    """Nothing pending: alive blinks, good links are steady, all else is dark and silent."""
    assert pattern(QUIET, NOW) == Panel(
        alive=Rhythm.ALIVE,
        links=((LinkName("radio"), Rhythm.STEADY), (LinkName("cable"), Rhythm.STEADY)),
    )


@pytest.mark.parametrize("precedence", list(Precedence))
def test_pending_in_and_buzzer_follow_the_precedence(precedence: Precedence) -> None:
    """Each precedence has its own rhythm on the red lamp and in the buzzer."""
    panel = pattern(with_in(pending(precedence)), NOW)
    assert panel.pending_in is Rhythm[precedence.name]
    assert panel.buzzer is Rhythm[precedence.name]
    assert panel.pending_out is Rhythm.OFF


@pytest.mark.parametrize("doubt", [{"late": True}, {"born": None}, {"unproven": True}])
@pytest.mark.parametrize("precedence", list(Precedence))
def test_a_doubtful_notice_has_pauses_in_its_rhythm(
    precedence: Precedence, doubt: dict[str, Any]
) -> None:
    """LATE, AGE UNKNOWN and FRESHNESS UNPROVEN are seen on the lamp; the buzzer is as ever."""
    doubtful = pending(precedence, **doubt)
    panel = pattern(with_in(doubtful), NOW)
    assert panel.pending_in is Rhythm[f"{precedence.name}_BROKEN"]
    assert panel.buzzer is Rhythm[precedence.name]
    # A sound one of the same precedence is shown as it is.
    assert (
        pattern(with_in(doubtful, pending(precedence)), NOW).pending_in is Rhythm[precedence.name]
    )


def test_links_to_a_station_of_unproven_freshness_blink_as_if_tried() -> None:
    """What comes by them may be a recording until it has answered our challenge."""
    peer = PeerStatus(FAR, confirmed=False, heard_at=None, busy=False, fresh=False)
    panel = pattern(dataclasses.replace(QUIET, peers=(peer,)), NOW)
    assert {rhythm for _, rhythm in panel.links} == {Rhythm.PROBING}


def test_the_fastest_pending_notice_sets_the_rhythm() -> None:
    """With several waiting, the lamp says the most urgent."""
    notices = (pending(Precedence.ROUTINE), pending(Precedence.FLASH), pending(Precedence.PRIORITY))
    assert pattern(with_in(*notices), NOW).pending_in is Rhythm.FLASH


@pytest.mark.parametrize("operation", [Operation.EXERCISE, Operation.SIMULATION, Operation.TEST])
@pytest.mark.parametrize("precedence", list(Precedence))
def test_an_exercise_never_looks_or_sounds_like_an_operation(
    operation: Operation, precedence: Precedence
) -> None:
    """Blue lamp with a rhythm of its own and one chirp, whatever the precedence; never red."""
    notice = pending(precedence, operation, since=NOW)
    first = pattern(with_in(notice), NOW)
    later = pattern(with_in(notice), Instant(NOW + CHIRP_MS))
    for panel in (first, later):
        assert panel.pending_in is Rhythm.OFF
        assert panel.pending_out is Rhythm.OFF
        assert panel.exercise is Rhythm.EXERCISE
    assert first.buzzer is Rhythm.STEADY
    assert later.buzzer is Rhythm.OFF


def test_a_comm_check_pends_on_the_exercise_lamp() -> None:
    """A check is no traffic, even one that says OPERATION."""
    panel = pattern(with_in(pending(Precedence.FLASH, is_check=True)), NOW)
    assert (panel.pending_in, panel.exercise) == (Rhythm.OFF, Rhythm.EXERCISE)
    assert panel.buzzer is Rhythm.OFF
    panel = pattern(with_out(pending(is_check=True)), NOW)
    assert (panel.pending_out, panel.exercise) == (Rhythm.OFF, Rhythm.EXERCISE_OUT)


def test_an_exercise_does_not_hide_an_operation() -> None:
    """Both lamps show their own notice; the buzzer sounds for the real one."""
    panel = pattern(
        with_in(pending(Precedence.PRIORITY), pending(Precedence.FLASH, Operation.EXERCISE)), NOW
    )
    assert (panel.pending_in, panel.exercise) == (Rhythm.PRIORITY, Rhythm.EXERCISE)
    assert panel.buzzer is Rhythm.PRIORITY


def test_silencing_ends_the_buzzer_and_no_lamp() -> None:
    """The press that silences leaves the notice pending."""
    panel = pattern(with_in(pending(Precedence.FLASH), buzzer_silenced=True), NOW)
    assert (panel.buzzer, panel.pending_in) == (Rhythm.OFF, Rhythm.FLASH)


@pytest.mark.parametrize(
    ("states", "rhythm"),
    [
        ([DeliveryState.SENT], Rhythm.WAITING),
        ([DeliveryState.RECEIPTED], Rhythm.WAITING),
        ([DeliveryState.ROGER], Rhythm.ROGERED),
        ([DeliveryState.STANDBY, DeliveryState.ROGER], Rhythm.ROGERED),
        ([DeliveryState.ROGER, DeliveryState.SENT], Rhythm.WAITING),
        ([], Rhythm.OFF),
    ],
)
def test_pending_out_changes_its_rhythm_with_roger(
    states: list[DeliveryState], rhythm: Rhythm
) -> None:
    """Amber while their watch owes an answer; another rhythm once it has said ROGER to all."""
    assert pattern(with_out(*(pending(state=state) for state in states)), NOW).pending_out is rhythm


@pytest.mark.parametrize(
    ("state", "rhythm"),
    [
        (LinkState.UP, Rhythm.STEADY),
        (LinkState.DEGRADED, Rhythm.DEGRADED),
        (LinkState.PROBING, Rhythm.PROBING),
        (LinkState.DOWN, Rhythm.OFF),
    ],
)
def test_a_link_lamp_tells_its_state(state: LinkState, rhythm: Rhythm) -> None:
    """Dark is DOWN, steady is UP, and the two between are told apart."""
    status = dataclasses.replace(QUIET, links=(link("radio", state),))
    assert pattern(status, NOW).links == ((LinkName("radio"), rhythm),)


@pytest.mark.parametrize("code", [AlarmCode.NO_LINK, AlarmCode.FAR_GATEWAY_SILENT])
def test_no_green_lamp_on_a_dead_line(code: AlarmCode) -> None:
    """A link that works to nobody is dark, on the station that the alarm names only."""
    links = (link("radio", LinkState.UP), link("third", LinkState.UP, station=Station(3)))
    status = dataclasses.replace(QUIET, links=links, alarms=(Alarm(code, "", station=FAR),))
    panel = pattern(status, NOW)
    assert [rhythm for _, rhythm in panel.links] == [Rhythm.OFF, Rhythm.STEADY]
    assert panel.alarm is Rhythm.ALARM
    everywhere = dataclasses.replace(status, alarms=(Alarm(code, ""),))
    assert [rhythm for _, rhythm in pattern(everywhere, NOW).links] == [Rhythm.OFF, Rhythm.OFF]


@pytest.mark.parametrize("code", list(AlarmCode))
def test_every_alarm_lights_the_alarm_lamp(code: AlarmCode) -> None:
    """No alarm is without a lamp."""
    assert pattern(dataclasses.replace(QUIET, alarms=(Alarm(code, ""),)), NOW).alarm is Rhythm.ALARM


def test_store_refused_lights_the_alarm() -> None:
    """A station that accepts nothing must not look healthy."""
    assert pattern(dataclasses.replace(QUIET, store_refused=True), NOW).alarm is Rhythm.ALARM


def test_a_refused_press_flickers_on_the_alive_lamp_for_a_second() -> None:
    """The finger sees that nothing was sent, and no other lamp lies meanwhile."""
    status = dataclasses.replace(QUIET, button_refused_at=NOW)
    assert pattern(status, NOW).alive is Rhythm.REFUSED
    assert pattern(status, Instant(NOW + REFUSAL_MS)).alive is Rhythm.ALIVE
    assert next_pattern_change(status, NOW) == NOW + REFUSAL_MS
    assert pattern(dataclasses.replace(QUIET, button_refused_at=NOW), NOW).pending_in is Rhythm.OFF


def test_the_lamp_test_lights_everything_until_its_end() -> None:
    """Every lamp at once, then the true panel again."""
    status = dataclasses.replace(QUIET, lamp_test_until=Instant(NOW + 10))
    lamps = dict(pattern(status, NOW).rhythms())
    assert lamps.pop("buzzer") is not Rhythm.OFF
    assert set(lamps.values()) == {Rhythm.STEADY}
    assert pattern(status, Instant(NOW + 10)) == pattern(QUIET, NOW)
    assert next_pattern_change(status, NOW) == NOW + 10


@pytest.mark.parametrize(
    "status",
    [
        with_in(pending(operation=Operation.EXERCISE, since=NOW)),
        with_in(pending(Precedence.FLASH, since=NOW), pending(is_check=True, since=NOW + 100)),
        dataclasses.replace(QUIET, button_refused_at=NOW, lamp_test_until=Instant(NOW + 300)),
        dataclasses.replace(with_in(pending()), buzzer_until=Instant(NOW + 900)),
    ],
)
def test_next_pattern_change_names_every_change(status: Status) -> None:
    """Between now and the named instant the panel stays; so the loop may keep what it drew."""
    at = NOW
    while (change := next_pattern_change(status, at)) is not None:
        assert at < change < NOW + 10_000
        assert all(pattern(status, Instant(t)) == pattern(status, at) for t in range(at, change))
        at = change
    late = (pattern(status, Instant(t)) for t in range(at, NOW + 10_000, 50))
    assert all(panel == pattern(status, at) for panel in late)


def test_a_stopping_station_goes_dark() -> None:
    """No lamp of a stopped station may say that all is well."""
    status = dataclasses.replace(with_in(pending(Precedence.FLASH)), stopping=True)
    assert set(dict(pattern(status, NOW).rhythms()).values()) == {Rhythm.OFF}


def test_rhythms_of_one_lamp_can_be_told_apart() -> None:
    """Every pair of rhythms that the same lamp may show differs in a sampled 12 s."""

    def samples(rhythm: Rhythm) -> tuple[bool, ...]:
        return tuple(level_at(rhythm, Instant(at)) for at in range(0, 12_000, 25))

    for first, second in itertools.combinations(Rhythm, 2):
        assert samples(first) != samples(second), (first, second)
    for rhythm in Rhythm:
        if rhythm not in (Rhythm.OFF, Rhythm.STEADY):
            assert 0.01 < sum(samples(rhythm)) / len(samples(rhythm)) < 0.99


@pytest.mark.parametrize("rhythm", list(Rhythm))
def test_next_change_names_every_edge(rhythm: Rhythm) -> None:
    """Between now and the named instant the level stays; so the loop may sleep until then."""
    at = Instant(123_456)
    for _ in range(20):
        change = next_change(rhythm, at)
        if change is None:
            assert rhythm in (Rhythm.OFF, Rhythm.STEADY)
            return
        assert change > at
        levels = {level_at(rhythm, Instant(t)) for t in range(at, change)}
        assert len(levels) == 1
        at = change


def test_the_console_shows_what_the_panel_shows() -> None:
    """Text for people and the JSON form carry the same lamps, readable without colour."""
    panel = pattern(with_out(pending()), NOW)
    document = panel_document(panel, NOW)
    assert document_views(document) == panel_views(panel, NOW)
    assert document["lamps"] == {k: int(v) for k, v in panel_levels(panel, NOW).items()}
    plain = render_plain(panel_views(panel, NOW))
    assert "pending out [long blink]" in plain
    assert "link radio [steady]" in plain
    assert "alarm [off]" in plain
    assert "pending out long blink" in render_rich(panel_views(panel, NOW)).plain
    assert document_views({"lamps": 3}) == []
