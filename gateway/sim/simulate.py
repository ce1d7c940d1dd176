"""One simulated history from a seed: drawn, performed, watched at every step, healed and judged."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.core.effects import (
    AlarmCode,
    ConfirmSubmission,
    Effect,
    Publish,
    ShowStatus,
    Step,
    Transmit,
)
from gateway.core.events import Event, FrameReceived
from gateway.core.policy import Policy
from gateway.core.records import StoredAct, StoredDelivery, Topic, Write
from gateway.model import ActId, DeliveryState
from gateway.sim.brokers import Brokers
from gateway.sim.channel import SHORT_FAST, Burst, cable_traits, radio_traits
from gateway.sim.desk import Desk
from gateway.sim.drawing import HOUR_MS, draw_plan
from gateway.sim.frames import Frames, is_far_silent
from gateway.sim.lamps import Lamps
from gateway.sim.people import People
from gateway.sim.perform import RECORDED_COUNT_MAX, Performer
from gateway.sim.plan import Plan
from gateway.sim.profile import PROFILES, LinkProfile, Profile
from gateway.sim.promises import Promises
from gateway.sim.safety import Safety, is_settled
from gateway.sim.trace import Trace
from gateway.sim.world import Post, Witness, World
from gateway.wire.head import VoidHead, read_head

VIOLATION_COUNT_MAX: Final = 20
"""More are counted but not kept; a history that has so many is stopped."""
_SETTLE_MS: Final = 60_000
"""After the last receipt: time for answers and states to be the same on both sides."""
_SLICE_MS: Final = 600_000


_ENDED: Final = frozenset({DeliveryState.CANCELLED, DeliveryState.SUPERSEDED})
_CLOSED: Final = frozenset(
    {
        DeliveryState.HAVCO,
        DeliveryState.CANTCO,
        DeliveryState.AFFIRM,
        DeliveryState.NEGATIVE,
        DeliveryState.CANTPRO,
    }
)
"""Nothing moves these any more."""


class StoppedError(Exception):
    """The history has gone far enough."""


@dataclass(slots=True)
class Result:
    """What a history came to. `violations` empty: every promise held."""

    seed: int
    profile: str
    hours: float
    """Simulated in all, the healing included."""
    notices: int
    frames: int
    violations: list[str]
    trace: str
    actions: int = 0
    heal_s: float | None = None
    """After the last fault until everything was receipted, closed and agreed; None: never."""
    speed: float | None = None
    """Times real time; filled in by who has a clock."""


@dataclass(slots=True)
class Options:
    """What is asked of a simulation besides its seed."""

    profile: Profile = field(default_factory=lambda: PROFILES["everything"])
    hours: float = 24.0
    loss: float | None = None
    """Overrides the loss of every link."""
    only: tuple[int, ...] | None = None
    """Places of the plan that are performed; None: all."""
    policy: Policy = field(default_factory=Policy)
    progress: Callable[[float, float], None] | None = None
    """Hears the simulated hours and how many there will be; may raise `StoppedError`."""
    stops: Callable[[str], bool] | None = None
    """Whether a violation ends the history; None: only too many do."""


class Watching(Witness):
    """Puts trace, checks and people on the events of a world."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._trace = run.trace
        self._safety = run.safety
        self._frames = run.frames
        self._promises = run.promises
        self._now = run.world

    def event(self, post: Post, event: Event | None) -> None:
        self._trace.event(self._now.now_ms, post.station, event)
        self._run.desk.event(post, event)
        if isinstance(event, FrameReceived):
            self._run.record(post, event)
        else:
            self._safety.event(event)
            self._frames.event(post, event)

    def stepped(self, post: Post, step: Step) -> None:
        self._frames.stepped(post)

    def committed(self, post: Post, writes: tuple[Write, ...]) -> None:
        self._safety.committed(post, writes)
        self._promises.committed(post, writes)
        self._run.desk.committed(post, writes)

    def effect(self, post: Post, effect: Effect) -> None:
        self._trace.effect(effect)
        if isinstance(effect, Transmit):
            self._frames.transmit(post, effect)
            return
        self._safety.effect(post, effect)
        self._run.desk.effect(post, effect)
        if isinstance(effect, ShowStatus):
            self._promises.clock(post)
        elif isinstance(effect, Publish):
            self._run.published(post, effect.offset)
        elif isinstance(effect, ConfirmSubmission):
            self._run.accepted(effect)

    def started(self, post: Post) -> None:
        self._safety.started(post)
        self._frames.started(post)
        self._promises.started(post)
        self._run.lamps.started(post)
        self._run.people.look(post)
        self._run.brokers.started(post)

    def crashed(self, post: Post, lost: int) -> None:
        if lost:
            self._run.lost(post)


class Run:
    """One history."""

    def __init__(self, seed: int, options: Options) -> None:
        profile = options.profile
        self.options = options
        self.seed = seed
        self.violations: list[str] = []
        self.notices: dict[ActId, int] = {}
        """Notice and its place in the plan."""
        self.tainted: set[ActId] = set()
        """Touched by commits that a card lost: nobody can promise more than what is left."""
        self.plan: Plan = draw_plan(seed, profile, options.hours)
        policy = options.policy
        if profile.inbound_notices is not None:
            policy = replace(policy, inbound_notice_count=profile.inbound_notices)
        self.world = World(seed, stations=profile.stations, policy=policy)
        self.world.keeps_observed = False
        for link in profile.links:
            self._add_path(link)
        self.trace = Trace()
        self.safety = Safety(self.world, self.blame)
        self.frames = Frames(self.world, self.blame)
        self.promises = Promises(self.world, options.policy, self.blame)
        self.lamps = Lamps(self.world, options.policy, self.blame)
        self.people = People(self.world, seed, self.notices)
        self.brokers = Brokers(self.world, self.blame)
        self.desk = Desk(self.world, self.blame)
        self.performer = Performer(
            self.world,
            self.plan,
            self.people,
            self.notices,
            self._noted,
            brokers=self.brokers,
            desk=self.desk,
        )
        self._keeps_frames = profile.attacks > 0
        self.world.witness = Watching(self)

    def _add_path(self, link: LinkProfile) -> None:
        world, rng = self.world, self.world.rng
        if link.bit_rate is not None:
            traits = cable_traits(link.bit_rate, half_duplex=link.half_duplex)
        else:
            traits = radio_traits(SHORT_FAST) if link.short_fast else radio_traits()
        loss = rng.choice(link.loss) if self.options.loss is None else self.options.loss
        path = world.add_path(link.name, link.ends, loss=loss)
        path.traits = traits
        path.repeat, path.corrupt, path.refuse = link.repeat, link.corrupt, link.refuse
        path.jitter_ms, path.relay = link.jitter_ms, link.relay
        path.is_contended = traits.is_radio or link.half_duplex
        if link.bursts:
            path.burst = Burst(good_ms=30_000, bad_ms=3_000, loss=0.7)
        if link.duty_share is not None:
            path.traits = replace(traits, duty_share=link.duty_share)
            path.duty_ms = round(HOUR_MS * link.duty_share)

    # What the witness tells

    def blame(self, sentence: str) -> None:
        violation = f"{self.world.now_ms / 1000:.3f} s: {sentence}"
        self.violations.append(violation)
        if len(self.violations) >= VIOLATION_COUNT_MAX:
            raise StoppedError("too many violations")
        if self.options.stops is not None and self.options.stops(violation):
            raise StoppedError("nothing more was asked")

    def record(self, post: Post, received: FrameReceived) -> None:
        """What an attacker hears and keeps: frames that came to the one whom they were for.

        One that he held back besides is fresh when he plays it, and nobody could tell.
        """
        if self.performer.is_injecting:
            return
        self.lamps.heard(post, received.link)
        if self._keeps_frames:
            kept = self.performer.recorded[received.link]
            if len(kept) >= RECORDED_COUNT_MAX:
                del kept[: RECORDED_COUNT_MAX // 2]
            kept.append(received)

    def accepted(self, confirmed: ConfirmSubmission) -> None:
        if confirmed.notice_id not in self.notices:
            self.notices[confirmed.notice_id] = (confirmed.token - 1) // 16

    def published(self, post: Post, offset: int) -> None:
        publication = post.store._live.publications[offset]  # noqa: SLF001 - the store's queries are coroutines
        if publication.topic is Topic.NOTICE:
            self.people.arrived(post, publication.notice_id)
            self.brokers.published(post, publication.notice_id)

    def lost(self, post: Post) -> None:
        """The last commits are gone. What only repeats work (NORMAL ones) taints nothing."""
        before = self.safety.states_of(post)
        self.promises.lost(post)
        is_rolled_back = self.safety.loses(post)
        if is_rolled_back:
            self._taint(post, before)

    def _noted(self, what: str, post: Post) -> None:
        before = self.safety.states_of(post)
        if what == "gone":
            # What the copy alone took in, and receipted, is nowhere now; TWO INCARNATIONS said so.
            left = self.safety.states_of(self.world.posts[post.station])
            self.tainted |= before.keys() - left.keys()
            # So are answers to what the true one asked meanwhile.
            self.tainted |= {act_id for act_id, delivery in left.items() if delivery.is_open}
            return
        if what == "restored":
            self.safety.restored(post)
            self.promises.lost(post)
        else:
            self.safety.is_rolled_back = True
        self._taint(post, before)

    def _taint(self, post: Post, before: dict[ActId, StoredDelivery]) -> None:
        """Open notices of this station, and those whose record is another now, are excused."""
        after = self.safety.states_of(post)
        for act_id, delivery in before.items():
            if delivery.is_open or after.get(act_id) != delivery:
                self.tainted.add(act_id)

    # The history

    def perform(self) -> Result:
        heal_s: float | None = None
        try:
            self.world.start()
            self.lamps.begin()
            places = self.options.only
            self.performer.schedule(range(len(self.plan)) if places is None else places)
            self._pass(max(round(self.options.hours * HOUR_MS), self.performer.end_ms()))
            heal_s = self._heal()
        except StoppedError as stopped:
            self.violations.append(f"stopped: {stopped}")
        except Exception as error:  # noqa: BLE001 - a fault of the engine is what we look for
            origin = _origin(error)
            self.violations.append(
                f"{self.world.now_ms / 1000:.3f} s: {type(error).__name__}: {error} ({origin})"
            )
        return Result(
            seed=self.seed,
            profile=self.options.profile.name,
            hours=round(self.world.now_ms / HOUR_MS, 3),
            notices=len(self.notices),
            frames=sum(path.frames for path in self.world.paths.values()),
            violations=self.violations,
            trace=self.trace.hexdigest(),
            actions=len(self.plan) if self.options.only is None else len(self.options.only),
            heal_s=heal_s,
        )

    def _pass(self, duration_ms: int) -> None:
        left_ms = duration_ms
        while left_ms > 0:
            self.world.run(min(_SLICE_MS, left_ms))
            left_ms -= _SLICE_MS
            if self.options.progress is not None:
                self.options.progress(self.world.now_ms / HOUR_MS, duration_ms / HOUR_MS)

    def _heal(self) -> float | None:
        """Faults stop; the time it takes until nothing is left to do."""
        world = self.world
        self.performer.heal()
        limit_ms = self.options.profile.heal_min * 60_000
        begin = world.now_ms
        # Looked at each second, not at each action.
        while self._open() and world.now_ms - begin < limit_ms:
            world.run(1_000)
        left = self._open()
        heal_s = (world.now_ms - begin) / 1000
        world.run(_SETTLE_MS)
        for problem in itertools.chain(left, self._disagreements()):
            self.blame(f"after healing: {problem}")
        return None if left else heal_s

    def _open(self) -> list[str]:
        """What is still to be done; empty: everything is receipted and closed."""
        problems: list[str] = []
        for post in self.world.posts.values():
            engine = post.engine
            assert engine is not None
            if post.status is None or is_far_silent(post):
                problems.append(f"station {post.station} hears nothing of a far gateway")
            for line in engine._state.lines.values():  # noqa: SLF001 - a sealed frame shows nothing
                if not line.lanes:
                    continue
                if not line.session.is_settled:
                    problems.append(f"the line {post.station} to {line.peer} is not UP")
                problems.extend(
                    f"{act.id} is not receipted"
                    for act in line.outgoing.unreceipted()
                    if not self.safety.contradicts(act.id, act.octets)
                    or not self.safety.is_rolled_back
                )
        if not self.people.is_idle():
            problems.append("people wait for their gateway")
        return problems or self._unclosed() or self._untaken()

    def _untaken(self) -> list[str]:
        return [
            f"{act_id} was never taken by the program of station {post.station}"
            for post in self.world.posts.values()
            for act_id in self.brokers.untaken(post)
        ]

    def _unclosed(self) -> list[str]:
        return [
            f"{act_id} was answered {case.done[-1][0].name} but is"
            f" {self.world.state_of(act_id)} at its originator"
            for act_id, case in self.people.cases.items()
            if act_id not in self.tainted and case.done and not self._is_closed(act_id)
        ]

    def _is_closed(self, act_id: ActId) -> bool:
        row = self.world.posts[act_id.originator].store._live.rows.get(act_id)  # noqa: SLF001 - as above
        case = self.people.cases[act_id]
        if row is None or row.delivery is None:
            return False
        return is_settled(case.notice.kind.response, row.delivery.state)

    def _false_alarms(self) -> list[str]:
        """Nothing is open any more, so nobody has too much open."""
        return [
            f"station {post.station} says that {alarm.station} has too much open"
            for post in self.world.posts.values()
            if post.engine is not None and post.status is not None
            for alarm in post.status.alarms
            if alarm.code is AlarmCode.TOO_MANY_OPEN
            and alarm.station is not None
            and not post.engine._state.ledger.open_from(alarm.station)  # noqa: SLF001 - as above
        ]

    def _disagreements(self) -> list[str]:
        """Both sides must tell the same of every notice, and nothing may be missing."""
        problems = self._false_alarms()
        for act_id in self.notices:
            post = self.world.posts[act_id.originator]
            row = post.store._live.rows.get(act_id)  # noqa: SLF001 - as above
            if act_id in self.tainted:
                continue
            if row is None or row.act is None:
                problems.append(f"{act_id} was accepted and is gone")
                continue
            far = self.world.posts[row.act.to].store._live.rows.get(act_id)  # noqa: SLF001 - as above
            if far is None or far.act is None:
                if not self._went_with_a_rollback(row.act):
                    problems.append(f"{act_id} is not at its addressee")
            elif far.act.octets != row.act.octets:
                problems.append(f"{act_id} says another thing at its addressee")
            elif row.delivery is not None and far.delivery is not None:
                states = row.delivery.state, far.delivery.state
                if states[0] in _ENDED and states[1] not in _ENDED | _CLOSED:
                    problems.append(
                        f"{act_id} is {states[0].value} but {states[1].value} at its addressee"
                    )
        return problems

    def _went_with_a_rollback(self, act: StoredAct) -> bool:
        """A VOID that the addressee had before its store was rolled back. It says nothing, and
        leaves no delivery that `_taint` could see.
        """
        return (
            self.safety.is_rolled_back
            and (act.to, act.id) in self.safety.kept
            and isinstance(read_head(act.octets, act.id, to=act.to), VoidHead)
        )


def _origin(error: Exception) -> str:
    """Where in our code it came from: the last frame of the traceback."""
    trace = error.__traceback__
    where = "?"
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f"{code.co_filename.rpartition('gateway/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where


def simulate(seed: int, options: Options) -> Result:
    """Run the history of a seed. The same seed and options give the same trace in any process."""
    return Run(seed, options).perform()
