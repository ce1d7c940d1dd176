"""Runs the steps of a scenario: sends, lets the far watch answer, cuts, restores, kills, waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, assert_never

from gateway.model import ActId
from gateway.sim.bench.files import LINKS
from gateway.sim.bench.http_client import ApiUnreachableError
from gateway.sim.bench.people import Watchkeeper
from gateway.sim.bench.process import BenchError, GatewayProcess
from gateway.sim.bench.record import BenchRecord, NoticeRecord
from gateway.sim.bench.rig import Rig
from gateway.sim.bench.scenario import (
    Cut,
    Finish,
    Kill,
    Pause,
    Restore,
    Scenario,
    Send,
    Settle,
    Step,
    far_station,
)
from gateway.sim.bench.watch import FeedWatch

POLL_S: Final = 0.02
STATUS_POLL_S: Final = 0.2
SHORT_TEXT_SIZE: Final = 60


class Course:
    """One run of a scenario. `doing` says what it waits for."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        rig: Rig,
        record: BenchRecord,
        say: Callable[[str], None],
    ) -> None:
        self._scenario = scenario
        self._processes = rig.processes
        self._feeds = rig.feeds
        self._media = rig.media
        self._ledger = rig.ledger
        self._queue = rig.queue
        self._record = record
        self._say = say
        self._by_name: dict[str, NoticeRecord] = {}
        self._seen_counts: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._watchkeepers = {
            name: Watchkeeper(process, rig.feeds[name], rig.queue, say)
            for name, process in rig.processes.items()
        }
        for feed in rig.feeds.values():
            feed.on_change = self.note_change
        self.doing = "start"

    def note_change(self) -> None:
        """A feed has news: bring the records up to date."""
        for record in self._record.notices:
            if record.is_accepted:
                self._update(record)
        self._changed.set()

    async def run(self) -> None:
        """Both links UP, all steps, then everything answered. Raises `BenchError`."""
        for link in LINKS:
            self.doing = f"both gateways to say that the {link} is UP"
            await self._until_up(link)
        self._say(f"{' and '.join(LINKS)} are UP at both ends")
        async with asyncio.TaskGroup() as answering:
            for step in self._scenario.step:
                await self._step(step, answering)
            await self._step(Finish(), answering)

    async def _step(self, step: Step, answering: asyncio.TaskGroup) -> None:
        match step:
            case Send():
                await self._send(step, answering)
            case Cut():
                await self._cut(step)
            case Restore():
                await self._restore(step)
            case Settle():
                self.doing = f"the {step.link} to be UP for {step.seconds:g} s"
                await self._until_up(step.link, for_s=step.seconds)
            case Kill():
                await self._kill(step)
            case Pause():
                self.doing = f"a pause of {step.seconds:g} s"
                await asyncio.sleep(step.seconds)
            case Finish():
                for record in self._record.notices:
                    await self._until(record, "answered")
            case _:
                assert_never(step)

    async def _send(self, step: Send, answering: asyncio.TaskGroup) -> None:
        far = far_station(step.sender)
        text = str(step.notice["text"]).replace("\n", " ")
        short = text if len(text) <= SHORT_TEXT_SIZE else f"{text[: SHORT_TEXT_SIZE - 1]}…"
        self._say(f"{step.sender} sends {step.name!r}: {step.notice['kind']} “{short}”")
        self.doing = f"{step.name!r} to be accepted"
        record = NoticeRecord(step, submitted_s=asyncio.get_running_loop().time())
        self._record.notices.append(record)
        self._by_name[step.name] = record
        document = {**step.notice, "to": far}
        record.notice_id = await self._queue.submit(step.sender, document)
        self.note_change()
        answering.create_task(self._answer(record, self._watchkeepers[far], self._feeds[far]))
        await self._until(record, step.until)

    async def _answer(
        self, record: NoticeRecord, watchkeeper: Watchkeeper, feed: FeedWatch
    ) -> None:
        """The far watch: reads the notice when it is there, then gives its answers in turn."""
        await self._when(lambda: feed.inbound_ids[record.notice_id] > 0)
        await watchkeeper.read(record.notice_id)
        for count, answer in enumerate(record.step.answers, 1):
            await watchkeeper.answer(record.notice_id, answer)
            # One after the other: an answer that overtakes is another scenario's matter.
            await self._when(lambda count=count: len(record.answers) >= count)  # type: ignore[misc]

    async def _until(self, record: NoticeRecord, until: str) -> None:
        name = record.step.name
        if until == "receipt":
            self.doing = f"the receipt of {name!r}"
            await self._when(lambda: record.receipt_s is not None)
        elif until == "answered":
            self.doing = f"the answers to {name!r}"
            await self._when(lambda: record.is_answered)

    async def _cut(self, step: Cut) -> None:
        if step.during is not None:
            record = self._by_name[step.during]
            self.doing = f"{step.after_frames} frames of {step.during!r} by {step.link}"
            notice_id = ActId.parse(record.notice_id)
            while self._frames(notice_id, step.link) < step.after_frames:
                if record.receipt_s is not None:
                    raise BenchError(
                        f"{step.during!r} was through before {step.after_frames} frames went by "
                        f"{step.link}; make it longer or the cut earlier"
                    )
                await asyncio.sleep(POLL_S)
        if step.how == "unplug":
            self._media.unplug(step.link)
        else:
            self._media.cut(step.link)
        where = f" in the middle of {step.during!r}" if step.during else ""
        self._say(f"the {step.link} is cut ({step.how}){where}")

    def _frames(self, notice_id: ActId, link: str) -> int:
        traffic = self._ledger.traffic.get(notice_id)
        return 0 if traffic is None else traffic.frames.get(link, 0)

    async def _restore(self, step: Restore) -> None:
        self._media.restore(step.link)
        self._say(f"the {step.link} is given back")
        self.doing = f"both gateways to say that the {step.link} is UP"
        await self._until_up(step.link)
        self._say(f"both gateways say that the {step.link} is UP")

    async def _until_up(self, link: str, *, for_s: float = 0.0) -> None:
        """Wait until both gateways say so, and have said so for that long."""
        time = asyncio.get_running_loop().time
        since_s: float | None = None
        while since_s is None or time() - since_s < for_s:
            states = [await self._link_state(one, link) for one in self._processes.values()]
            if states != ["UP", "UP"]:
                since_s = None
            elif since_s is None:
                since_s = time()
                continue
            await asyncio.sleep(STATUS_POLL_S)

    @staticmethod
    async def _link_state(process: GatewayProcess, link: str) -> str:
        try:
            status, document = await process.api.request("GET", "/v1/status")
        except ApiUnreachableError:
            return "away"
        if status != 200:
            return f"HTTP {status}"
        links = {known["name"]: known for line in document["lines"] for known in line["links"]}
        return str(links[link]["state"])

    async def _kill(self, step: Kill) -> None:
        self.doing = f"{step.station} to come back after SIGKILL"
        process = self._processes[step.station]
        await process.kill()
        self._say(f"{step.station} was killed (SIGKILL) and is started again")
        await process.start()

    async def _when(self, is_reached: Callable[[], bool]) -> None:
        while not is_reached():
            for process in self._processes.values():
                process.check()
            self._changed.clear()
            try:
                async with asyncio.timeout(1.0):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _update(self, record: NoticeRecord) -> None:
        near = self._feeds[record.step.sender]
        far = self._feeds[far_station(record.step.sender)]
        states = near.states[record.notice_id]
        known = self._seen_counts.get(record.notice_id, 0)
        for seen in states[known:]:
            record.note_state(seen.state, seen.link, seen.at_s, overdue=seen.overdue)
        self._seen_counts[record.notice_id] = len(states)
        text = str(record.step.notice["text"])
        record.received_count = max(far.inbound_ids[record.notice_id], far.inbound[text])

    def close_books(self) -> None:
        """Take over what the taps saw."""
        self._media.drain()
        for record in self._record.notices:
            if record.is_accepted:
                traffic = self._ledger.traffic[ActId.parse(record.notice_id)]
                record.octets = round(traffic.octets)
                record.links = {
                    link: traffic.frames[link] for link in LINKS if link in traffic.frames
                }
        self._record.other_octets = self._ledger.other_octets
