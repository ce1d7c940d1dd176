"""The watches of all stations: their screens and duty officers, each with his own pace.

What is answered to a notice, and when, is drawn from its place in the plan, so that it stays the
same while a plan is shrunk. They try again what a dead or full gateway did not take.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from gateway.core.effects import RejectCode
from gateway.core.events import AnswerSubmitted, NoticeDisplayed
from gateway.core.records import Topic
from gateway.model import ActId, AnswerCode, Notice, Response, Station, Text
from gateway.sim.world import OPERATOR, Post, World
from gateway.wire.notice import decode_act

_A: Final = AnswerCode
_SCRIPTS: Final = {
    Response.NONE: ((),),
    Response.ROGER: ((_A.ROGER,), (_A.ROGER,), (_A.STANDBY, _A.ROGER), (_A.ROGER, _A.ROGER)),
    Response.WILCO_OR_UNABLE: (
        (_A.WILCO,),
        (_A.ROGER, _A.WILCO, _A.HAVCO),
        (_A.ROGER, _A.STANDBY, _A.CANTCO),
        (_A.WILCO, _A.CANTCO),
        (_A.CANTCO, _A.WILCO),
    ),
    Response.AFFIRM_OR_NEGATIVE: ((_A.AFFIRM,), (_A.NEGATIVE,)),
    Response.ANY: (
        (_A.AFFIRM,),
        (_A.NEGATIVE,),
        (_A.ROGER, _A.WILCO, _A.HAVCO),
        (_A.AFFIRM, _A.NEGATIVE),
    ),
}
"""Some say a second closing answer, which their own gateway must refuse."""
_RETRY_MS: Final = 20_000
_TRY_LATER: Final = (RejectCode.STORE_REFUSED, RejectCode.STOPPING, RejectCode.FULL)
CLOSING: Final = frozenset({_A.ROGER, _A.WILCO, _A.CANTCO, _A.AFFIRM, _A.NEGATIVE})


@dataclass(slots=True)
class Case:
    """A notice on the desk of a watch."""

    notice: Notice
    codes: tuple[AnswerCode, ...]
    pace_ms: int
    said: int = 0
    tries: int = 0
    done: list[tuple[AnswerCode, ActId]] = field(default_factory=list)
    """Answers that the own gateway has accepted."""


class People:
    """Every watch of the world."""

    def __init__(self, world: World, seed: int, places: dict[ActId, int]) -> None:
        """`places` names the place in the plan of each notice that was accepted."""
        self._world = world
        self._seed = seed
        self._places = places
        self._away_until: dict[Station, int] = {}
        self.cases: dict[ActId, Case] = {}
        self.is_prompt = False
        self._token = 1 << 40

    def leave(self, station: Station, until_ms: int) -> None:
        """Nobody answers there until then."""
        self._away_until[station] = max(until_ms, self._away_until.get(station, 0))

    def hurry(self) -> None:
        """Everybody is back and answers within a minute."""
        self.is_prompt = True
        self._away_until.clear()
        for act_id in list(self.cases):
            self._plan_next(act_id, hurries=True)

    def is_idle(self) -> bool:
        return all(case.said >= len(case.codes) for case in self.cases.values())

    def look(self, post: Post) -> None:
        """The consumer reads the feed from where it stands: after a start, all of it."""
        for publication in list(post.store._live.publications.values()):  # noqa: SLF001
            if publication.topic is Topic.NOTICE and publication.notice_id not in self.cases:
                self.arrived(post, publication.notice_id)

    def arrived(self, post: Post, act_id: ActId) -> None:
        """A notice is published at a station."""
        if act_id in self.cases or post.number:
            return
        row = post.store._live.rows.get(act_id)  # noqa: SLF001 - the store's queries are coroutines
        if row is None or row.act is None:
            return
        stored = row.act
        notice = decode_act(stored.octets, originator=act_id.originator, to=post.station)
        assert isinstance(notice, Notice)
        rng = Random(f"watch {self._seed} {self._places.get(act_id, act_id)}")
        slow = rng.choice((5, 20, 60, 600, 2_400))
        self.cases[act_id] = Case(
            notice, rng.choice(_SCRIPTS[notice.kind.response]), 1_000 * rng.randrange(1, slow + 1)
        )
        self._world.at(
            self._world.now_ms + rng.randrange(50, 3_000), partial(self._show, post, act_id)
        )
        self._plan_next(act_id)

    def _show(self, post: Post, act_id: ActId) -> None:
        """The screen of the station has it; the program is behind its broker."""
        self._world.give_to(post, NoticeDisplayed(act_id))

    def _plan_next(self, act_id: ActId, *, hurries: bool = False) -> None:
        case = self.cases[act_id]
        if case.said >= len(case.codes):
            return
        wait = min(case.pace_ms, 30_000) if self.is_prompt or hurries else case.pace_ms
        due = self._world.now_ms + wait
        station = case.notice.to
        due = max(due, self._away_until.get(station, 0))
        self._world.at(due, partial(self._answer, act_id, case.said))

    def _answer(self, act_id: ActId, step: int) -> None:
        case = self.cases[act_id]
        post = self._world.posts[case.notice.to]
        if step != case.said:
            return
        if self._world.now_ms < self._away_until.get(post.station, 0):
            self._world.at(self._away_until[post.station], partial(self._answer, act_id, step))
            return
        self._token += 1
        code = case.codes[step]
        if post.engine is not None:
            body = Text("read back", "en") if code is AnswerCode.HAVCO else None
            event = AnswerSubmitted(
                self._token, OPERATOR, f"answer-{act_id}-{step}", act_id, code, body
            )
            self._world.give_to(post, event)
        if self._token in post.answered:
            case.done.append((code, post.answered.pop(self._token)))
        elif (rejection := post.rejected.pop(self._token, None)) is None or (
            rejection.code in _TRY_LATER
        ):
            # Dead, or its disk is full, or it died before it confirmed: the same request again.
            self._world.at(self._world.now_ms + _RETRY_MS, partial(self._answer, act_id, step))
            return
        case.said += 1
        self._plan_next(act_id)
