"""A drawn history of faults over two links; run as a program it prints its trace for comparison."""

from __future__ import annotations

import collections
import hashlib
import sys
from dataclasses import dataclass, field

from gateway.core.effects import AlarmCode
from gateway.model import ActId, Kind, NoticeDraft, Operation, Precedence, Station, Text
from gateway.sim.world import World

FAULTS_MS = 600_000
HEALING_MS = 600_000
"""After the last fault every notice must be receipted within this virtual time."""
_KINDS = (Kind.NOTIFY, Kind.REPORT, Kind.REQUEST, Kind.QUERY, Kind.WARNING)
_TEXT_SIZES = (5, 40, 60, 100, 180, 400, 1000)


@dataclass
class Outcome:
    """What a history came to; `problems` empty means all promises held."""

    notices: list[ActId] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    trace: str = ""


class History:
    """60 notices, cuts, unplugged links, kills with and without lost commits, a full disk."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.rng = self.world.rng
        self.tokens: list[tuple[int, int]] = []
        radio = self.world.add_path("radio", bit_rate=None, loss=self.rng.choice([0, 0.1, 0.3]))
        cable = self.world.add_path("cable", loss=self.rng.choice([0, 0.1, 0.3, 0.5]))
        for path in (radio, cable):
            path.repeat = self.rng.choice([0, 0.1])
            path.corrupt = self.rng.choice([0, 0.1])

    def run(self) -> Outcome:
        world = self.world
        world.start()
        plan = ((self.notice, 60), (self.cut, 6), (self.pull, 4), (self.kill, 4), (self.fill, 1))
        for action, count in plan:
            for _ in range(count):
                world.at(world.now_ms + self.rng.randrange(FAULTS_MS), action)
        world.run(FAULTS_MS + 130_000)
        for path in world.paths.values():
            path.deaf.clear()
            path.loss = min(path.loss, 0.3)
        return self.judge()

    def notice(self) -> None:
        station = self.rng.choice([1, 2])
        draft = NoticeDraft(
            to=Station(3 - station),
            kind=self.rng.choice(_KINDS),
            precedence=self.rng.choice(list(Precedence)),
            operation=self.rng.choice([Operation.OPERATION, Operation.TEST]),
            body=Text("x" * self.rng.choice(_TEXT_SIZES), "en"),
        )
        if self.world.posts[Station(station)].engine is not None:
            self.tokens.append((station, self.world.submit(draft, station=station)))

    def cut(self) -> None:
        path = self.rng.choice(list(self.world.paths.values()))
        path.deaf = set(self.rng.sample(list(path.ends), self.rng.choice([1, 2])))
        self.world.at(self.world.now_ms + self.rng.randrange(1_000, 120_000), path.deaf.clear)

    def pull(self) -> None:
        name = self.rng.choice(list(self.world.paths))
        if not self.world.paths[name].unplugged:
            self.world.unplug(name)
            due = self.world.now_ms + self.rng.randrange(1_000, 60_000)
            self.world.at(due, lambda: self.world.plug(name))

    def kill(self) -> None:
        station = self.rng.choice([1, 2])
        if self.world.posts[Station(station)].engine is not None:
            self.world.crash(station, keep_normal=self.rng.choice([True, False]))
            due = self.world.now_ms + self.rng.randrange(100, 60_000)
            self.world.at(due, lambda: self.world.start(station))

    def fill(self) -> None:
        station = self.rng.choice([1, 2])
        self.world.fill_disk(station)
        due = self.world.now_ms + self.rng.randrange(1_000, 30_000)
        self.world.at(due, lambda: self.world.free_disk(station))

    def judge(self) -> Outcome:
        world, outcome = self.world, Outcome()
        for station, token in self.tokens:
            confirmed = world.posts[Station(station)].confirmed
            if token in confirmed:
                outcome.notices.append(confirmed[token])
        try:
            world.run_until(lambda: not self.unreceipted(outcome), HEALING_MS)
        except TimeoutError:
            late = ", ".join(str(act_id) for act_id in self.unreceipted(outcome))
            outcome.problems.append(f"not receipted after healing: {late}")
        for station in (1, 2):
            counts = collections.Counter(p.notice_id for p in world.published(station))
            for act_id in outcome.notices:
                if act_id.originator != station and counts[act_id] != 1:
                    outcome.problems.append(f"{act_id} was published {counts[act_id]} times")
        for post in world.posts.values():
            assert post.status is not None
            for alarm in post.status.alarms:
                if alarm.code in (AlarmCode.ROLLBACK, AlarmCode.SAME_ID):
                    outcome.problems.append(f"{post.station}: {alarm.text}")
        outcome.trace = self.trace()
        return outcome

    def unreceipted(self, outcome: Outcome) -> list[ActId]:
        return [
            act_id
            for act_id in outcome.notices
            if self.world.state_of(act_id) in ("QUEUED", "SENT", "RELAYED", "HELD", "EXPIRED")
        ]

    def trace(self) -> str:
        """SHA-256 of every log line of both stations, with the frames of each link."""
        lines = [str(observed) for post in self.world.posts.values() for observed in post.observed]
        lines += [f"{path.name} {path.frames} {path.octets}" for path in self.world.paths.values()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(History(int(sys.argv[1])).run().trace)
