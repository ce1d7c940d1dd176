"""What must hold at every step, whatever goes wrong (DESIGN sections 2, 3, 5 and 6).

Each check sees writes when they are committed and effects when they are performed, as a peer, a
program or an attacker would. A store that lost commits or was restored is looked at anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.core.delivery import NOT_RECEIPTED, ROGER_CLOSES, TRANSITIONS
from gateway.core.effects import (
    AlarmCode,
    ConfirmAnswer,
    ConfirmSubmission,
    Effect,
    Publish,
    ShowStatus,
    Status,
)
from gateway.core.events import AnswerSubmitted, Event
from gateway.core.records import (
    AddPublication,
    Direction,
    PutDelivery,
    PutReceipted,
    PutSeen,
    StoredDelivery,
    Topic,
    Write,
)
from gateway.core.speech import digest
from gateway.model import ActId, AnswerCode, DeliveryState, Response, Station
from gateway.sim.world import Post, World

MOVES: Final = frozenset(
    (before, after) for (before, _), after in [*TRANSITIONS.items(), *ROGER_CLOSES.items()]
)
"""Which state may follow which, by one input."""
_PROVES_NOTHING: Final = NOT_RECEIPTED | {
    DeliveryState.EXPIRED,
    DeliveryState.CANCELLED,
    DeliveryState.SUPERSEDED,
}
_FALSE_ALARMS: Final = (
    AlarmCode.ROLLBACK,
    AlarmCode.FAR_ROLLBACK,
    AlarmCode.SAME_ID,
    AlarmCode.TWO_INCARNATIONS,
)
_CLOSING: Final = frozenset(
    {AnswerCode.WILCO, AnswerCode.CANTCO, AnswerCode.AFFIRM, AnswerCode.NEGATIVE}
)

Blame = Callable[[str], None]
"""Takes a violation in one sentence."""


@dataclass(slots=True)
class History:
    """What one store says happened, as far as anyone outside could have seen it."""

    states: dict[ActId, StoredDelivery] = field(default_factory=dict)
    published: set[ActId] = field(default_factory=set)
    handed_on: dict[int, tuple[ActId, bytes]] = field(default_factory=dict)
    """offset: what a consumer saw under it."""
    closed_by: dict[ActId, list[AnswerCode]] = field(default_factory=dict)


class Safety:
    """All checks but those of frames and of time."""

    def __init__(self, world: World, blame: Blame) -> None:
        self._world = world
        self._blame = blame
        self._histories: dict[tuple[Station, int], History] = {}
        self._said: dict[ActId, bytes] = {}
        """SHA-256 of each act as any station took it in."""
        self.kept: set[tuple[Station, ActId]] = set()
        """Acts that a station has had in a committed store."""
        self._codes: dict[int, AnswerCode] = {}
        self.is_rolled_back = False
        """Some store lost what its station had said, or runs twice."""

    def _history(self, post: Post) -> History:
        return self._histories.setdefault((post.station, post.number), History())

    def event(self, event: Event | None) -> None:
        if isinstance(event, AnswerSubmitted):
            self._codes[event.token] = event.code

    # A store that is not what it was

    def started(self, post: Post) -> None:
        """A copy begins with the history of its original."""
        key = (post.station, post.number)
        if key not in self._histories:
            self._histories[key] = self._read(post)

    def rolled_back(self, post: Post) -> None:
        """Commits are lost, or an older image runs: only what it holds now counts for it."""
        self.is_rolled_back = True
        old = self._history(post)
        new = self._histories[post.station, post.number] = self._read(post)
        # An empty store cannot know where its feed stood.
        new.handed_on = old.handed_on if post.store.recovered().next_offset > 1 else {}

    def states_of(self, post: Post) -> dict[ActId, StoredDelivery]:
        """Every notice that the store of a post is known to hold."""
        return dict(self._history(post).states)

    def contradicts(self, act_id: ActId, octets: bytes) -> bool:
        """Whether another act came in under this id: it is alarmed, and never receipted."""
        said = self._said.get(act_id)
        return said is not None and said != digest(octets)

    def loses(self, post: Post) -> bool:
        """The last commits of a store are gone; True if one was promised to be durable."""
        old, new = self._history(post), self._read(post)
        lost_any = (
            any(act_id not in new.states for act_id in old.states)
            or not old.published <= new.published
        )
        was_durable = lost_any or any(
            new.states[act_id].state is not delivery.state and not delivery.is_open
            for act_id, delivery in old.states.items()
        )
        if was_durable:
            self.rolled_back(post)
        else:
            old.states = new.states
        return was_durable

    def restored(self, post: Post) -> None:
        """An image: a consumer's offsets begin anew too."""
        self.rolled_back(post)
        self._history(post).handed_on = {}

    def _read(self, post: Post) -> History:
        live = post.store._live  # noqa: SLF001 - the store's queries are coroutines
        history = History()
        for act_id, row in live.rows.items():
            if row.delivery is not None:
                history.states[act_id] = row.delivery
        for publication in live.publications.values():
            if publication.topic is Topic.NOTICE:
                history.published.add(publication.notice_id)
        return history

    # Commits

    def committed(self, post: Post, writes: tuple[Write, ...]) -> None:
        for write in writes:
            if isinstance(write, PutDelivery):
                self._moved(post, write.delivery)
            elif isinstance(write, PutSeen):
                self._took(post, write)
            elif isinstance(write, PutReceipted):
                self._receipted(post, write.id)
            elif isinstance(write, AddPublication) and write.publication.topic is Topic.NOTICE:
                self._published(post, write.publication.notice_id)

    def _moved(self, post: Post, delivery: StoredDelivery) -> None:
        states = self._history(post).states
        before = states.get(delivery.notice_id)
        states[delivery.notice_id] = delivery
        if before is None:
            return
        if before.state is not delivery.state and delivery.direction is Direction.OUT:
            self._proves(post, delivery)
        if before.state is not delivery.state and (before.state, delivery.state) not in MOVES:
            self._blame(
                f"{delivery.notice_id} moved from {before.state.value} to {delivery.state.value}"
                f" at station {post.station}, which the table does not know"
            )
        if delivery.is_open and not before.is_open:
            self._blame(
                f"{delivery.notice_id} was {before.state.value} and is open again,"
                f" {delivery.state.value}, at station {post.station}"
            )
        if before.overdue and not delivery.overdue:
            self._blame(f"{delivery.notice_id} is no longer OVERDUE at station {post.station}")

    def _proves(self, post: Post, delivery: StoredDelivery) -> None:
        """A state that says that the far gateway has it: it must, whatever a relay heard."""
        row = post.store._live.rows.get(delivery.notice_id)  # noqa: SLF001 - as below
        if delivery.state in _PROVES_NOTHING or row is None or row.act is None:
            return
        if (row.act.to, delivery.notice_id) not in self.kept:
            self._blame(
                f"{delivery.notice_id} is {delivery.state.value} at its originator, but"
                f" {row.act.to} never committed it"
            )

    def _took(self, post: Post, seen: PutSeen) -> None:
        self.kept.add((post.station, seen.id))
        if self._said.setdefault(seen.id, seen.sha256) != seen.sha256:
            self._blame(f"the id {seen.id} means two things")

    def _receipted(self, post: Post, act_id: ActId) -> None:
        row = post.store._live.rows.get(act_id)  # noqa: SLF001 - as above
        if row is None or row.act is None:
            return
        if (row.act.to, act_id) not in self.kept:
            self._blame(f"{act_id} counts as receipted, but {row.act.to} never committed it")

    def _published(self, post: Post, act_id: ActId) -> None:
        published = self._history(post).published
        if act_id in published:
            self._blame(f"{act_id} was published twice at station {post.station}")
        published.add(act_id)

    # Effects

    def effect(self, post: Post, effect: Effect) -> None:
        if isinstance(effect, ShowStatus):
            if not self.is_rolled_back:
                self._alarmed(effect.status)
        elif isinstance(effect, ConfirmSubmission):
            row = post.store._live.rows.get(effect.notice_id)  # noqa: SLF001 - as above
            if row is None or row.act is None or row.delivery is None:
                self._blame(f"{effect.notice_id} was confirmed but not committed")
        elif isinstance(effect, ConfirmAnswer):
            self._answered(post, effect)
        elif isinstance(effect, Publish):
            self._handed_on(post, effect.offset)

    def _alarmed(self, status: Status) -> None:
        for alarm in status.alarms:
            if alarm.code in _FALSE_ALARMS:
                self._blame(f"false alarm {alarm.code.value} at station {status.station}")

    def _answered(self, post: Post, confirmed: ConfirmAnswer) -> None:
        live = post.store._live  # noqa: SLF001 - as above
        row = live.rows.get(confirmed.answer_id)
        if row is None or row.act is None:
            self._blame(f"the answer {confirmed.answer_id} was confirmed but not committed")
        code = self._codes.pop(confirmed.token, None)
        if code is None or confirmed.repeated:
            return
        given = self._history(post).closed_by.setdefault(confirmed.notice_id, [])
        if code is AnswerCode.CANTCO and AnswerCode.WILCO in given:
            return  # a follow-up
        if code in _CLOSING and any(earlier in _CLOSING for earlier in given):
            self._blame(f"{confirmed.notice_id} was closed twice, by {given[-1].name}, {code.name}")
        if given.count(code):
            self._blame(f"{confirmed.notice_id} was answered {code.name} twice")
        given.append(code)

    def _handed_on(self, post: Post, offset: int) -> None:
        publication = post.store._live.publications.get(offset)  # noqa: SLF001 - as above
        if publication is None:
            self._blame(f"offset {offset} of station {post.station} was told but not committed")
            return
        told = publication.notice_id, hashlib.sha256(publication.document.encode()).digest()
        if self._history(post).handed_on.setdefault(offset, told) != told:
            self._blame(f"offset {offset} of station {post.station} means two things")


def is_settled(response: Response, state: DeliveryState) -> bool:
    """Whether a dialogue has come to the end that its people can give it."""
    ends = {
        DeliveryState.CANCELLED,
        DeliveryState.SUPERSEDED,
        DeliveryState.CANTPRO,
        DeliveryState.WILCO,
        DeliveryState.HAVCO,
        DeliveryState.CANTCO,
        DeliveryState.AFFIRM,
        DeliveryState.NEGATIVE,
    }
    if response is Response.NONE:
        return True
    return state in ends or (response is Response.ROGER and state is DeliveryState.ROGER)
