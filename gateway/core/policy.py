"""Our choices in numbers, with unit, bounds and reason. The format's are in `wire.limits`."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import Precedence


@dataclass(frozen=True, slots=True)
class Policy:
    """One line's tuning. Every field may be overridden in `[policy]` of the configuration."""

    receipt_limit_flash_s: int = 60
    """Speed of service: machine receipt (DOMAIN section 4); 1 to 86 400."""
    receipt_limit_immediate_s: int = 300
    receipt_limit_priority_s: int = 1_800
    receipt_limit_routine_s: int = 10_800
    answer_limit_flash_s: int = 300
    """Speed of service: a person's answer (DOMAIN section 4)."""
    answer_limit_immediate_s: int = 1_800
    answer_limit_priority_s: int = 10_800
    answer_limit_routine_s: int = 21_600

    rto_initial_serial_ms: int = 300
    """First retransmission timer of a serial link, above its airtime, before any round trip."""
    rto_initial_radio_ms: int = 2_500
    """The same of a radio: its turn-round and the far radio's own ack come on top of airtime."""
    rto_spread_serial_ms: int = 20
    """Least time that a retransmission timer leaves above the smoothed round trip (RFC 6298: G)."""
    rto_spread_radio_ms: int = 250
    """The same of a radio: whoever repeats while the answer waits for the channel loses both."""
    rto_max_ms: int = 60_000
    """Cap of a timer that backs off while nothing at all is heard (RFC 6298 section 2.5)."""
    rto_slack_ms: int = 40
    """Far commit and scheduling, added to airtimes as the floor of every timer."""
    hedge_slack_radio_ms: int = 400
    """Turn-round of two radios: an answer that is not there by its airtime and this is missed, as
    far as the choice of links goes."""
    radio_attempt_guard_ms: int = 50_000
    """Longest wait for the radio's verdict on a packet; firmware says MAX_RETRANSMIT after 23 s,
    44 s with much traffic (measured)."""
    hearing_ms: int = 20_000
    """Reception within this on a link forbids exponential backoff there."""

    window_serial_count: int = 16
    """Acts under way on a serial link before others wait for their turn; 1 to 64."""
    window_radio_count: int = 3
    """The same on a radio, whose own queue shall stay short."""
    window_urgent_count: int = 4
    """Extra places for FLASH and IMMEDIATE."""

    beat_interval_serial_ms: int = 8_000
    """Quiet time on a serial link before a beat; tells a dead cable within 15 s."""
    beat_retry_serial_ms: int = 1_200
    """After an unanswered beat on a serial link."""
    beat_interval_radio_ms: int = 300_000
    """The same on a radio; about 1 kB an hour, tells a dead path within 20 min."""
    beat_retry_radio_ms: int = 60_000
    """After an unanswered beat on a radio."""
    misses_degraded_count: int = 2
    """Round trips missed in a row until a link is DEGRADED."""
    misses_down_count: int = 4
    """Round trips missed in a row, with silence, until it is DOWN."""
    silence_down_serial_ms: int = 8_000
    silence_down_radio_ms: int = 420_000
    restore_ms: int = 3_000
    """A better link in PACE order is UP this long before traffic returns to it (hysteresis).

    With the beats that make it UP an adapter that is put in again is in use within 5 s.
    """
    far_silent_serial_ms: int = 30_000
    """Silence of the far gateway on every link until the alarm, where a cable is there."""
    far_silent_radio_ms: int = 1_200_000

    airtime_reserve_percent: int = 20
    """Part of a radio's airtime budget that only FLASH and IMMEDIATE may use; 0 to 90."""

    hello_interval_ms: int = 2_000
    """Between hellos that nobody answered, doubling to `hello_interval_max_ms`."""
    hello_interval_max_ms: int = 60_000
    hello_answer_min_ms: int = 500
    """At most one answering hello a link in this time, so that noise buys no airtime."""

    stranger_burst: int = 100
    """Frames of unknown incarnations that a link has tried at once; 1 to 10 000."""
    stranger_interval_ms: int = 10
    """After those, one each so many milliseconds: 100 a second cost a small part of a Pi."""
    countersign_first_ms: int = 1_800_000
    """After a start, until the far station is told where the log books stand."""
    countersign_interval_ms: int = 86_400_000
    """At least daily (DESIGN section 6, evidence)."""
    countersign_act_count: int = 100
    """Acts of a line after which it goes earlier: what a witness cannot tell apart is no longer."""

    open_notice_count: int = 100_000
    """Own notices open at once, an equal share for each line; one more is refused with FULL."""
    inbound_notice_count: int = 200_000
    """Notices of far stations open at once, an equal share for each line. One more gets no receipt,
    but BUSY: its originator keeps it."""
    inbound_reserve_percent: int = 10
    """Part of each such share, rounded up, that only FLASH may use; 0 to 90."""
    busy_again_ms: int = 30_000
    """BUSY is said at once, and again after this while such notices come; 1 000 to 600 000."""
    busy_retry_serial_ms: int = 2_000
    """To a far station that is BUSY a notice goes again after this, and others take its turn."""
    busy_retry_radio_ms: int = 60_000
    timeout_count: int = 256
    """Deadlines that one step runs at most; the others are due still, so the next follows at once.
    After a long power-off 100 000 may be due, and a FLASH must not wait for all of them.
    """
    closed_notice_count: int = 10_000
    """Closed dialogues kept in memory for follow-ups, an equal share for each line; the oldest of a
    line is forgotten first."""
    seen_count: int = 200_000
    """Inbound ids of a line kept in memory; its oldest epoch is forgotten first."""
    submission_count: int = 100_000
    """Request ids remembered for repeats; the oldest is forgotten first."""
    reassembly_count: int = 8
    """Fragmented acts taken in at once a peer; the oldest is dropped and asked for again."""
    answer_count_max: int = 16
    """Answers in one dialogue; one more is refused."""

    button_silence_ms: int = 2_000
    """The pending lamp must have shown the notice this long before a press can mean it."""
    button_press_max_ms: int = 1_000
    button_flash_again_ms: int = 5_000
    button_hold_ms: int = 3_000
    lamp_test_ms: int = 3_000
    buzzer_ms: int = 60_000
    """The buzzer sounds this long for a new pending notice unless silenced."""
    refusal_window_ms: int = 3_600_000
    """What is refused of a line for one reason costs two entries of the log book in this time."""
    ended_alarm_ms: int = 43_200_000
    """A notice that expired unanswered keeps the alarm lit this long (12 h)."""

    def receipt_limit_ms(self, precedence: Precedence) -> int:
        return (
            1000
            * (
                self.receipt_limit_flash_s,
                self.receipt_limit_immediate_s,
                self.receipt_limit_priority_s,
                self.receipt_limit_routine_s,
            )[precedence]
        )

    def answer_limit_ms(self, precedence: Precedence) -> int:
        return (
            1000
            * (
                self.answer_limit_flash_s,
                self.answer_limit_immediate_s,
                self.answer_limit_priority_s,
                self.answer_limit_routine_s,
            )[precedence]
        )
