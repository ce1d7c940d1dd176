"""Carries a plan out on a world: hands notices in, breaks things and mends them again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Final, assert_never

from gateway.core.events import (
    ButtonPressed,
    ButtonReleased,
    ClockStepped,
    FrameReceived,
    NoticeSubmitted,
)
from gateway.model import ActId, LinkName, Station
from gateway.sim.brokers import Brokers
from gateway.sim.channel import Burst, Path
from gateway.sim.desk import Desk
from gateway.sim.frames import is_hello
from gateway.sim.people import People
from gateway.sim.plan import (
    Absence,
    Action,
    Attack,
    BrokerAway,
    Cut,
    FillDisk,
    Foreign,
    Kill,
    Mute,
    Plan,
    Press,
    Restore,
    Rotate,
    StepClock,
    Stop,
    Submit,
    Twin,
    Unplug,
    Weather,
)
from gateway.sim.rotation import Secrets
from gateway.sim.world import OPERATOR, Post, World
from gateway.store.memory import MemoryStore
from gateway.wire.frame import Header, encode_header

RECORDED_COUNT_MAX: Final = 2_000
"""Frames of a link that an attacker keeps; the oldest goes first."""
_RETRY_MS: Final = 15_000
_RETRY_COUNT_MAX: Final = 8
_DRAIN_MS: Final = 1_000
"""From the order to stop to the end of the process."""


class Performer:
    """One history under way."""

    def __init__(
        self,
        world: World,
        plan: Plan,
        people: People,
        places: dict[ActId, int],
        note: Callable[[str, Post], None],
        *,
        brokers: Brokers,
        desk: Desk,
    ) -> None:
        """`note` hears of stores that were rolled back (`restored`) and copied (`copied`), and of
        copies that ended (`gone`).
        """
        self._world = world
        self._plan = plan
        self._people = people
        self._places = places
        self._note = note
        self._brokers = brokers
        self._desk = desk
        self._accepted: dict[int, ActId] = {}
        self.recorded: dict[LinkName, list[FrameReceived]] = {name: [] for name in world.paths}
        self.is_injecting = False
        """What an attacker plays arrives now."""
        self._is_over = False
        self._clear_bursts = {name: path.burst for name, path in world.paths.items()}
        self._images: dict[int, MemoryStore] = {}
        self._down: set[Station] = set()
        self._secrets = Secrets(world)

    def schedule(self, places: Iterable[int]) -> None:
        """Put the actions of these places on the time line."""
        for place in places:
            action = self._plan[place]
            self._at(action.at_ms, partial(self._do, place, action))
            if isinstance(action, Restore):
                early = max(action.at_ms - action.back_ms, 0)
                self._at(early, partial(self._make_image, place, action.station))

    def end_ms(self) -> int:
        """When the last outage of the plan is over: a station may be off for days."""
        ends = [a.at_ms + a.for_ms + _DRAIN_MS for a in self._plan if isinstance(a, Kill | Stop)]
        return max(ends, default=0)

    def heal(self) -> None:
        """All faults stop now: links work, disks have room, every station runs, people answer."""
        self._is_over = True
        world = self._world
        for twin in world.twins:
            self._end_twin(twin)
        for path in world.paths.values():
            path.deaf.clear()
            path.mute.clear()
            path.burst = None
            path.loss = min(path.loss, 0.1)
            path.refuse = 0.0
            if path.unplugged:
                world.plug(path.name)
        for post in world.posts.values():
            post.dies_at_effect = None
            if post.engine is None:
                world.start(post.station)
            if post.store.is_refusing:
                world.free_disk(post.station)
        self._brokers.heal()
        self._people.hurry()

    def _at(self, due_ms: int, action: Callable[[], None]) -> None:
        def unless_over() -> None:
            if not self._is_over:
                action()

        self._world.at(due_ms, unless_over)

    def _later(self, wait_ms: int, action: Callable[[], None]) -> None:
        self._at(self._world.now_ms + wait_ms, action)

    def _do(self, place: int, action: Action) -> None:
        world = self._world
        match action:
            case Submit():
                self._submit(place, action, tries=0)
                if action.again_after_ms is not None:
                    self._later(action.again_after_ms, partial(self._submit, place, action, 0))
            case Cut(_, link, deaf, for_ms):
                world.paths[link].deaf.update(deaf)
                self._later(for_ms, partial(world.paths[link].deaf.difference_update, deaf))
            case Unplug(_, link, for_ms):
                if not world.paths[link].unplugged:
                    world.unplug(link)
                    self._later(for_ms, partial(world.plug, link))
            case Mute(_, link, station, for_ms):
                world.paths[link].mute.add(station)
                self._later(for_ms, partial(world.paths[link].mute.discard, station))
            case Weather(_, link, loss, good_ms, bad_ms, for_ms):
                world.paths[link].burst = Burst(good_ms, bad_ms, loss)
                self._later(for_ms, partial(self._clear_up, world.paths[link]))
            case Kill():
                self._kill(action)
            case Restore():
                self._restore(place, action)
            case Twin():
                self._twin(action)
            case FillDisk(_, station, for_ms):
                world.fill_disk(station)
                self._later(for_ms, partial(world.free_disk, station))
            case StepClock(_, station, step_s):
                self._step_clock(world.posts[station], step_s)
            case Attack():
                self._attack(action)
            case Foreign():
                self._foreign(action, Random(action.seed))
            case BrokerAway(_, station, for_ms):
                self._brokers.leave(station, for_ms)
            case Press():
                self._press(action, 0)
            case Stop():
                self._stop(action)
            case Rotate():
                self._rotate(action)
            case Absence(_, station, for_ms):
                self._people.leave(station, world.now_ms + for_ms)
            case _:
                assert_never(action)

    # Notices

    def _submit(self, place: int, action: Submit, tries: int) -> None:
        """The program at the counter asks again with its request id until it knows the outcome."""
        post = self._world.posts[action.station]
        draft = action.draft
        if action.about is not None:
            about = self._accepted.get(action.about)
            if about is None:
                return
            draft = replace(draft, kind=action.change or draft.kind, reference=about)
        token = 1 + 16 * place + tries
        if post.engine is not None:
            event = NoticeSubmitted(token, OPERATOR, f"place-{place}", draft)
            self._world.give_to(post, event)
        if token in post.confirmed:
            self._accepted[place] = post.confirmed[token]
        elif token not in post.rejected and tries < _RETRY_COUNT_MAX:
            self._later(_RETRY_MS, partial(self._submit, place, action, tries + 1))

    # Stations

    def _kill(self, action: Kill) -> None:
        world = self._world
        post = world.posts[action.station]
        if action.station in self._down or post.engine is None:
            return
        self._down.add(action.station)
        if action.dies_at_effect is None:
            self._switch_off(action)
            return
        post.dies_at_effect = action.dies_at_effect
        post.keeps_normal = action.keeps_normal
        # It dies in its next step that writes; at the latest in a minute.
        self._later(60_000, partial(self._switch_off, action))

    def _switch_off(self, action: Kill) -> None:
        world = self._world
        post = world.posts[action.station]
        world.crash(
            action.station,
            keep_normal=action.keeps_normal,
            lose_last=action.lose_last,
            reboot=action.is_power_cut,
        )
        if action.is_power_cut and not action.has_clock:
            post.skew_s = None
        self._later(action.for_ms, partial(self._switch_on, action))

    def _switch_on(self, action: Kill) -> None:
        self._down.discard(action.station)
        self._world.start(action.station)
        if action.is_power_cut and not action.has_clock and action.clock_after_ms is not None:
            self._later(action.clock_after_ms, partial(self._set_clock, action.station))

    def _set_clock(self, station: Station) -> None:
        post = self._world.posts[station]
        if post.skew_s is None:
            post.skew_s = 0
            self._world.give_to(post, ClockStepped(0))

    def _step_clock(self, post: Post, step_s: int) -> None:
        if post.skew_s is not None:
            post.skew_s = min(max(post.skew_s + step_s, -(10**9)), 10**9)
            self._world.give_to(post, ClockStepped(step_s))

    def _make_image(self, place: int, station: Station) -> None:
        self._images[place] = self._world.posts[station].store.copy()

    def _restore(self, place: int, action: Restore) -> None:
        post = self._world.posts[action.station]
        image = self._images.get(place)
        if action.station in self._down or image is None or post.engine is None:
            return
        self._down.add(action.station)
        self._world.crash(action.station)
        post.store = image
        self._note("restored", post)
        self._later(action.for_ms, partial(self._switch_back_on, action.station))

    def _switch_back_on(self, station: Station) -> None:
        self._down.discard(station)
        self._world.start(station)

    def _twin(self, action: Twin) -> None:
        post = self._world.posts[action.station]
        if post.engine is None or any(twin.engine is not None for twin in self._world.twins):
            return
        self._note("copied", post)
        twin = self._world.start_twin(action.station, post.store.copy())
        self._later(action.for_ms, partial(self._end_twin, twin))

    def _end_twin(self, twin: Post) -> None:
        if twin.engine is not None:
            twin.engine = None
            self._note("gone", twin)

    def _stop(self, action: Stop) -> None:
        post = self._world.posts[action.station]
        if action.station in self._down or post.engine is None:
            return
        self._down.add(action.station)
        self._desk.stop(post)
        self._later(_DRAIN_MS, partial(self._end_stop, action))

    def _end_stop(self, action: Stop) -> None:
        post = self._world.posts[action.station]
        if post.engine is not None:
            self._desk.stopped(post)
            self._world.crash(action.station, reboot=False)
        self._later(action.for_ms, partial(self._switch_back_on, action.station))

    def _rotate(self, action: Rotate) -> None:
        """People look at the status first; the far side takes the secret when it gets there."""
        station, far = action.station, action.to
        if not self._secrets.can_rotate(station, far):
            return
        self._secrets.make(station, far, Random(f"secret {action.seed}").randbytes(32))
        self._take_secret(station, far, action.for_ms)
        self._later(action.wait_ms, partial(self._take_secret, far, station, action.for_ms))

    def _take_secret(self, station: Station, far: Station, for_ms: int) -> None:
        """The file is written and the daemon started again; one that is off takes it later."""
        self._secrets.take(station, far)
        post = self._world.posts[station]
        if station not in self._down and post.engine is not None:
            self._down.add(station)
            self._world.crash(station, reboot=False)
            self._later(for_ms, partial(self._switch_back_on, station))

    def _press(self, action: Press, done: int) -> None:
        post = self._world.posts[action.station]
        self._world.give_to(post, ButtonPressed())
        self._later(action.hold_ms, partial(self._world.give_to, post, ButtonReleased()))
        if done + 1 < action.count:
            wait = action.hold_ms + action.gap_ms
            self._later(wait, partial(self._press, action, done + 1))

    # Links

    def _foreign(self, action: Foreign, rng: Random) -> None:
        """One packet of a stranger, and when the next one comes."""
        world, path = self._world, self._world.paths[action.link]
        size = rng.randrange(10, 200)
        world.stranger(action.link, size, listens=rng.random() < 0.8)
        if rng.random() < 0.3:
            header = encode_header(Header(Station(77), 1, rng.randrange(1 << 16)))
            octets = header + rng.randbytes(size) if rng.random() < 0.5 else b"anyone here?"
            for station in path.ends:
                if station not in path.deaf:
                    self._inject(path, station, FrameReceived(action.link, octets))
        wait = int(rng.expovariate(action.share / path.traits.airtime.of(size)))
        if world.now_ms + wait < action.at_ms + action.for_ms:
            self._later(wait, partial(self._foreign, action, rng))

    def _clear_up(self, path: Path) -> None:
        path.burst = self._clear_bursts[path.name]

    def _attack(self, action: Attack) -> None:
        """Recorded frames again, whole or hurt, and noise; spread over ten seconds."""
        rng = Random(action.seed)
        recorded = self.recorded[action.link]
        path = self._world.paths[action.link]
        if path.unplugged:
            return
        if action.hellos:
            hellos = [frame.octets for frame in recorded if is_hello(frame.octets)]
            frames = hellos[: action.count]
        else:
            frames = [_played(rng, recorded) for _ in range(action.count)]
        for octets in frames:
            received = FrameReceived(action.link, octets)
            wait = rng.randrange(10_000)
            self._later(wait, partial(self._inject, path, action.to, received))

    def _inject(self, path: Path, to: Station, received: FrameReceived) -> None:
        if not path.unplugged:
            self.is_injecting = True
            self._world.give(to, received)
            self.is_injecting = False


def _played(rng: Random, recorded: list[FrameReceived]) -> bytes:
    """A frame again, whole or with an octet hurt, or noise."""
    if not recorded or rng.random() >= 0.8:
        return rng.randbytes(rng.randrange(1, 200))
    octets = rng.choice(recorded).octets
    if rng.random() < 0.4:
        index = rng.randrange(len(octets))
        octets = octets[:index] + bytes([rng.randrange(256)]) + octets[index + 1 :]
    return octets
