"""What the bench makes of what it saw: receipts, answers, lost, doubled, lamps."""

from __future__ import annotations

from typing import Any

from gateway.sim.bench.record import BenchRecord, NoticeRecord
from gateway.sim.bench.scenario import Send

DARK = {"pending_in": "off", "pending_out": "off", "exercise": "off", "alarm": "off"}


def send(**fields: Any) -> Send:
    notice = {"kind": "NOTIFY", "precedence": "FLASH", "operation": "OPERATION", "text": "t"}
    return Send(name="one", notice=notice, **fields)


def through(step: Send, states: list[tuple[str, str | None, float]]) -> NoticeRecord:
    record = NoticeRecord(step, notice_id="1-3f2a-17", submitted_s=100.0, received_count=1)
    record.links = {"radio": 1}
    for state, link, after_s in states:
        record.note_state(state, link, 100.0 + after_s, overdue=False)
    return record


GOOD = [("QUEUED", None, 0.0), ("MACHINE RECEIPT", "radio", 1.2), ("ROGER", "cable", 4.5)]


def test_a_good_notice_has_no_problem_and_its_times() -> None:
    """Receipt and ROGER count from the submission; a press of the button is ROGER."""
    record = through(send(), GOOD)
    assert record.is_answered
    assert record.problems() == []
    document = record.document()
    assert (document["receipt_s"], document["roger_s"]) == (1.2, 4.5)
    assert document["receipt_link"] == "radio"
    assert document["precedence"] == "FLASH"


def test_standby_is_no_roger_and_wilco_is() -> None:
    """The first answer that implies ROGER gives the time; all answers are kept in order."""
    step = send(answers=("STANDBY", "WILCO"))
    record = through(step, [("STANDBY", "radio", 2.0), ("WILCO", "radio", 3.0)])
    assert record.answers == ["STANDBY", "WILCO"]
    assert record.roger_s == 3.0
    assert record.receipt_s == 2.0, "an answer that overtakes the receipt implies it"


def test_each_missing_thing_is_named() -> None:
    """No receipt, no or wrong answers, the wrong link, OVERDUE, not accepted."""
    assert "has no machine receipt" in through(send(), []).problems()[0]
    assert "answered not at all instead of ROGER" in through(send(), []).problems()[1]
    wrong = through(send(answers=("AFFIRM",)), GOOD)
    assert "was answered ROGER instead of AFFIRM" in wrong.problems()[0]
    assert "went by radio instead of cable" in through(send(link="cable"), GOOD).problems()[0]
    late = through(send(), GOOD)
    late.note_state("ROGER", None, 200.0, overdue=True)
    assert "OVERDUE" in late.problems()[0]
    assert NoticeRecord(send()).problems() == ["one: was not accepted"]


def test_lost_and_doubled_are_told_apart() -> None:
    """Accepted and never in: lost; in twice: doubled; never accepted: neither."""
    lost, doubled, never = through(send(), GOOD), through(send(), GOOD), NoticeRecord(send())
    lost.received_count, doubled.received_count = 0, 2
    record = BenchRecord(notices=[lost, doubled, never])
    assert (len(record.lost), len(record.doubled)) == (1, 1)
    assert {"one: was lost", "one: came in more than once"} <= set(record.all_problems())


def test_a_lamp_that_stays_lit_is_a_problem() -> None:
    """Pending, exercise and alarm lamps must be dark at the end, and readable."""
    record = BenchRecord(notices=[through(send(), GOOD)])
    record.lamps = {"NORTH": {"at_end": DARK}, "SOUTH": {"at_end": {**DARK, "alarm": "fast"}}}
    assert record.all_problems() == ["SOUTH: lamp alarm is not dark at the end (fast)"]
    record.lamps = {"NORTH": {}}
    assert "could not be read" in record.all_problems()[0]


def test_a_link_that_carried_nothing_is_a_problem() -> None:
    """The bench is there to show each of them at work."""
    record = BenchRecord(notices=[through(send(), GOOD)], links_wanted=("radio", "cable"))
    assert record.all_problems() == ["no notice went by cable"]
    assert record.document()["lost"] == 0
