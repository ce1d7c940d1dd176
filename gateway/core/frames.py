"""Frames as they come in: opened at the cost of one AEAD attempt, then item by item to its owner.

What is unsigned counts only when its frame is fresh and its incarnation proven (DESIGN section 6).
"""

from __future__ import annotations

from typing import Final, assert_never

from gateway.core.delivery import DeliveryInput
from gateway.core.draft import Draft
from gateway.core.effects import AlarmCode, Level
from gateway.core.events import FrameReceived
from gateway.core.hearing import Hearing
from gateway.core.life import log_station
from gateway.core.line import Line
from gateway.core.outgoing import OutAct
from gateway.core.records import Durability, PutPeer, PutReceipted
from gateway.core.resending import notice_loss
from gateway.core.session import HelloOutcome, Opened
from gateway.core.station import StationState
from gateway.errors import AuthenticationError, DecodeError
from gateway.model import ActId, Epoch, Instant, LinkName, Serial, Station
from gateway.wire.frame import parse_frame
from gateway.wire.items import (
    ActItem,
    BeatItem,
    DisplayedItem,
    FragmentItem,
    FragmentReceiptItem,
    HelloItem,
    Item,
    ReceiptItem,
    SelectiveReceiptItem,
    decode_items,
)
from gateway.wire.limits import FRAME_COUNT_MAX

PREVIOUS_COUNT_MAX: Final = 16


class Frames:
    """Takes frames in."""

    def __init__(self, state: StationState, hearing: Hearing) -> None:
        self._state = state
        self._hearing = hearing
        self._previous: dict[Station, tuple[tuple[int, int], ...]] = {}

    def restore_peer(self, station: Station, stored: PutPeer | None) -> None:
        self._previous[station] = stored.previous if stored else ()

    def receive(self, event: FrameReceived, line: Line, draft: Draft) -> None:
        """One frame from a link of this line."""
        link = event.link
        line.totals.frames_in += 1
        line.totals.octets_in += len(event.octets)
        try:
            header, _, _ = parse_frame(event.octets)
        except DecodeError as error:
            draft.observe(Level.DEBUG, "frame_not_decoded", link=link, problem=str(error))
            return
        if line.session.is_revoked:
            draft.observe(Level.DEBUG, "frame_of_revoked", link=link, sender=header.sender)
            if header.sender == line.peer:
                self._state.note_refused(line, "card revoked", link, draft)
            return
        if header.sender != line.peer:
            draft.observe(Level.DEBUG, "frame_of_stranger", link=link, sender=header.sender)
            return
        if line.session.is_strange(header) and not line.lanes[link].strangers.admits(
            draft.now.instant
        ):
            line.lanes[link].turned_away += 1
            draft.observe(Level.DEBUG, "frame_turned_away", link=link)
            return
        try:
            opened = line.session.open(header, event.octets)
        except AuthenticationError as error:
            # For lack of an incarnation, or of a secret: a hello brings the one, or tells why.
            helps = header.incarnation is None or not line.session.takes(header.generation)
            self._failed(line, link, str(error), hello_helps=helps, draft=draft)
            return
        if not opened.is_fresh:
            draft.observe(Level.DEBUG, "frame_replayed", link=link, counter=opened.counter)
            return
        try:
            items = decode_items(opened.octets)
        except DecodeError as error:
            draft.observe(Level.WARNING, "items_not_decoded", link=link, problem=str(error))
            return
        if event.wants_ack:
            # Proven or not. What does not open is not charged: the flag is not sealed, and whoever
            # forges could hold our traffic.
            line.lanes[link].spend_ack(draft.now.instant)
        if opened.is_proven:
            self._alive(line, link, draft)
            if not self._state.is_refused:
                self._state.rotation.used(line, opened.generation, draft)
        elif not opened.is_hello:
            line.answer_hello(link, response=None, echo=opened.incarnation, draft=draft)
        for item in items:
            self._item(item, opened, line, link, draft)
        if not opened.is_proven and line.session.is_proven(opened.incarnation):
            self._alive(line, link, draft)  # by this very hello
        line.pump_all(draft)
        if line.standing.heard_at == draft.now.instant:
            self._state.watch.show_heard(line, draft)

    def _alive(self, line: Line, link: LinkName, draft: Draft) -> None:
        """A proven incarnation spoke. What another one says may be a record of old times."""
        line.heard(link, draft)
        if self._state.watch.clear_alarm(AlarmCode.FAR_GATEWAY_SILENT, station=line.peer):
            draft.status_changed = True
            name = self._state.names[line.peer]
            draft.observe(Level.INFO, "far_gateway_heard", station=name, link=link)
        if not self._state.timers.is_set(("far", line.peer)):
            policy = self._state.policy
            limit = policy.far_silent_serial_ms
            self._state.timers.set(("far", line.peer), _later(draft, limit))

    def _failed(
        self, line: Line, link: LinkName, problem: str, *, hello_helps: bool, draft: Draft
    ) -> None:
        line.totals.failed_opens += 1
        line.lanes[link].failed_opens += 1
        draft.observe(Level.DEBUG, "frame_not_opened", link=link, problem=problem)
        if line.totals.failed_opens % FRAME_COUNT_MAX == 0:
            self._state.watch.raise_alarm(
                AlarmCode.FAILED_OPENS,
                f"{FRAME_COUNT_MAX} frames under the name of {self._state.names[line.peer]} did"
                " not open; someone forges, or keys differ: rotate the keys of this line",
                station=line.peer,
            )
            draft.status_changed = True
        if hello_helps:
            line.answer_hello(link, response=None, echo=None, draft=draft)

    def _item(self, item: Item, opened: Opened, line: Line, link: LinkName, draft: Draft) -> None:
        if opened.is_hello:
            if isinstance(item, HelloItem):
                self._hello(item, opened, line, link, draft)
            return
        if isinstance(item, ActItem | FragmentItem):
            # Signed: counts in any incarnation. In STORE REFUSED nothing may be receipted.
            if not self._state.is_refused:
                self._speech(item, opened, line, link, draft)
            return
        if not opened.is_proven:
            return
        match item:
            case ReceiptItem():
                self._receipt(item, line, link, draft)
            case SelectiveReceiptItem():
                self._selective(item, line, link, draft)
            case DisplayedItem():
                self._displayed(item, line, draft)
            case FragmentReceiptItem():
                self._fragments(item, line, link, draft)
            case BeatItem():
                line.beat(link, item, draft)
            case HelloItem():
                draft.observe(Level.WARNING, "hello_under_frame_key", link=link)
            case _:
                assert_never(item)

    def _speech(
        self, item: ActItem | FragmentItem, opened: Opened, line: Line, link: LinkName, draft: Draft
    ) -> None:
        if isinstance(item, ActItem):
            self._hearing.receive(line, link, item, opened, draft)
            return
        if line.reception.holds(item.epoch, item.serial):
            line.owe_receipt(link, item.epoch, item.serial, opened.counter)
            return
        held = line.reception.fragments_held(item.epoch, item.serial)
        before = 0 if held is None or held.count != item.count else held.bitmap
        try:
            whole = line.reception.add_fragment(item)
        except DecodeError as error:
            draft.observe(Level.WARNING, "fragments_refused", link=link, problem=str(error))
            return
        if whole is not None:
            act = ActItem(item.age_s, whole[0], whole[1])
            self._hearing.receive(line, link, act, opened, draft)
        elif before >> item.index & 1 or _ends_round(before, item):
            # A repeat, or nothing above it is missing: say what is.
            line.owe_fragments(link, item.epoch, item.serial, opened.counter)

    # Receipts

    def _receipt(self, item: ReceiptItem, line: Line, link: LinkName, draft: Draft) -> None:
        highest = item.cumulative + item.bitmap.bit_length()
        self._check_claim(line, item.epoch, highest, draft)
        line.round_trip(item.echo, link, draft)
        if not self._state.is_refused:
            acts = line.outgoing.receipt(item.epoch, item.cumulative, item.bitmap)
            self._receipted(acts, line, link, draft)

    def _selective(
        self, item: SelectiveReceiptItem, line: Line, link: LinkName, draft: Draft
    ) -> None:
        self._check_claim(line, item.epoch, max(item.serials), draft)
        line.round_trip(item.echo, link, draft)
        if not self._state.is_refused:
            acts = line.outgoing.receipt_serials(item.epoch, item.serials)
            self._receipted(acts, line, link, draft)

    def _check_claim(self, line: Line, epoch: int, serial: int, draft: Draft) -> None:
        """A receipt above our highest serial shows a rollback; for what we do know it counts, or
        what a restored store holds would go out for ever.
        """
        if serial and not line.outgoing.knows(epoch, serial):
            self._hearing.rollback(line, f"receipt for serial {serial} of epoch {epoch:04x}", draft)

    def _receipted(self, acts: list[OutAct], line: Line, link: LinkName, draft: Draft) -> None:
        for act in acts:
            draft.write(PutReceipted(act.id))
            record = self._state.ledger.get(act.id)
            if record is not None:
                self._state.ledger.move(
                    record,
                    DeliveryInput.RECEIPTED,
                    draft,
                    evidence="machine receipt, proves nothing to others",
                    link=link,
                    durability=Durability.NORMAL,
                )
                self._state.settle(record, draft)
        line.rounds.receipted(acts, draft)

    def _displayed(self, item: DisplayedItem, line: Line, draft: Draft) -> None:
        if self._state.is_refused:
            return
        for serial in item.serials:
            act_id = ActId(self._state.own, Epoch(item.epoch), Serial(serial))
            record = self._state.ledger.get(act_id)
            if record is not None and record.notice.to == line.peer:
                self._state.ledger.move(
                    record,
                    DeliveryInput.DISPLAYED,
                    draft,
                    evidence="shown there, as their gateway says",
                    durability=Durability.NORMAL,
                )

    def _fragments(
        self, item: FragmentReceiptItem, line: Line, link: LinkName, draft: Draft
    ) -> None:
        line.round_trip(item.echo, link, draft)
        act_id = ActId(self._state.own, Epoch(item.epoch), Serial(item.serial))
        act = line.outgoing.get(act_id)
        if act is not None:
            line.rounds.fragments_held(item, act, draft)

    # Hellos

    def _hello(
        self, item: HelloItem, opened: Opened, line: Line, link: LinkName, draft: Draft
    ) -> None:
        outcome = line.session.receive_hello(item, opened)
        name = self._state.names[line.peer]
        is_proven = line.session.is_proven(opened.incarnation)
        match outcome:
            case HelloOutcome.NOTHING:
                pass
            case HelloOutcome.TWO_INCARNATIONS:
                self._state.watch.raise_alarm(
                    AlarmCode.TWO_INCARNATIONS,
                    f"two gateways answer as {name}; one is a copy or the old one still runs:"
                    " switch one off",
                    station=line.peer,
                )
                draft.status_changed = True
                draft.observe(Level.ERROR, "two_incarnations", station=name, link=link)
                if not self._state.is_refused:
                    log_station(draft, "two_incarnations", ("station", name), ("link", link))
            case HelloOutcome.PROVEN | HelloOutcome.CONFIRMED | HelloOutcome.FORGOTTEN:
                draft.status_changed = True
                draft.observe(Level.INFO, "hello", station=name, link=link, outcome=outcome.value)
            case _:
                assert_never(outcome)
        if outcome is HelloOutcome.PROVEN:
            self._proven(item, opened, line, draft)
            notice_loss(self._state, line, item.known, draft)
        if is_proven:
            self._told(item, line, draft)
            self._state.rotation.judge(line, draft)
            if item.response is not None:
                line.hello_returned(link, draft)
        if item.challenge is not None or not is_proven or not line.session.is_settled:
            line.answer_hello(link, response=item.challenge, echo=opened.incarnation, draft=draft)

    def _proven(self, item: HelloItem, opened: Opened, line: Line, draft: Draft) -> None:
        """A new incarnation: remember it over a restart, and what the peer said before it."""
        told = (item.previous.epoch, item.previous.serial)
        known = self._previous.get(line.peer, ())
        if item.previous.epoch and told not in known:
            known = (*known, told)[-PREVIOUS_COUNT_MAX:]
            self._previous[line.peer] = known
        if self._state.is_refused:
            return
        self._hearing.prove(line.peer, opened.incarnation, draft)
        draft.write(PutPeer(line.peer, opened.incarnation, known))
        name = self._state.names[line.peer]
        log_station(draft, "incarnation", ("station", name), ("incarnation", opened.incarnation))

    def _told(self, item: HelloItem, line: Line, draft: Draft) -> None:
        """What the peer holds of us, and whether its store works."""
        line.note_busy(item.busy, draft)
        for epoch, highest in item.known:
            if not line.outgoing.knows(epoch, highest):
                self._hearing.rollback(line, f"hello names serial {highest} of {epoch:04x}", draft)


def _ends_round(held: int, item: FragmentItem) -> bool:
    above = ((1 << item.count) - 1) >> (item.index + 1)
    return held >> (item.index + 1) & above == above


def _later(draft: Draft, wait_ms: int) -> Instant:
    return Instant(draft.now.instant + wait_ms)
