"""The running gateway, asked by its API: how its devices and lines are, and an end-to-end test."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.api.client import ApiClient, ApiError, NotASocketError, NotRunningError
from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.machine import Machine
from gateway.doctor.waiting import in_thread

TOPIC: Final = "gateway"
FAR: Final = "far"
ASK_S: Final = 5.0
FAR_S: Final = 90.0
_POLL_S: Final = 0.5
_DOWN: Final = "DOWN"
_PERSON: Final = frozenset({"ROGER", "STANDBY", "WILCO", "HAVCO", "CANTCO", "AFFIRM", "NEGATIVE"})
_RECEIPT: Final = frozenset({"MACHINE RECEIPT", "DISPLAYED", "EXPIRED, MACHINE RECEIPT"}) | _PERSON

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Daemon:
    """The gateway of this machine, as far as it let itself be asked."""

    status: Document | None
    process: int | None
    """Who holds the state folder's lock."""
    problem: str = ""

    @property
    def is_running(self) -> bool:
        """Whether its ports must be left alone."""
        return self.status is not None or self.process is not None

    def detail(self, link: str) -> str:
        """What the daemon says of the device of a link."""
        for found in _links(self.status):
            if found.get("name") == link:
                return str(found.get("detail") or "its device does not work")
        return "it did not say more"


async def ask_daemon(machine: Machine, socket: Path, state_folder: Path | None) -> Daemon:
    """Never raises: a silent gateway is an answer too."""
    process = None if state_folder is None else machine.lock_holder(state_folder / "lock")

    def ask() -> Daemon:
        try:
            with ApiClient(socket, timeout_s=ASK_S) as client:
                return Daemon(client.get("/v1/status"), process)
        except (NotRunningError, NotASocketError):
            return Daemon(None, process)
        except ApiError as error:
            return Daemon(None, process, str(error))

    return await in_thread(ask)


def judge_daemon(daemon: Daemon) -> Iterator[Finding]:
    """Is it there, and what does it say of its lines?"""
    if daemon.status is None:
        yield _absent(daemon)
        return
    yield ok(TOPIC, "runs and answers; it was asked for its own ports, which were not touched")
    status = daemon.status
    if status.get("store_refused"):
        yield fault(
            TOPIC, "STORE REFUSED: it accepts nothing", "free the disk or mount it writable"
        )
    for alarm in status.get("alarms") or ():
        yield fault(TOPIC, f"alarm {alarm.get('code')}: {alarm.get('text')}", "see hotline status")
    for line in status.get("lines") or ():
        for link in line.get("links") or ():
            yield judge_link(str(line.get("far_station")), link)
        yield judge_peer(str(line.get("far_station")), line.get("far_gateway"))


def _absent(daemon: Daemon) -> Finding:
    if daemon.process is not None:
        return fault(
            TOPIC,
            f"process {daemon.process} holds the state folder and does not answer its socket"
            f" {f'({daemon.problem})' if daemon.problem else ''}".rstrip()
            + "; its ports were not touched",
            "run this as root or in the gateway's group; if it hangs: "
            "sudo systemctl restart hotline-gateway",
        )
    if daemon.problem:
        return look(TOPIC, f"could not be asked: {daemon.problem}", "run: sudo hotline doctor")
    return look(TOPIC, "does not run", "sudo systemctl start hotline-gateway, or: hotline run")


def judge_link(far: str, link: Document) -> Finding:
    """One link as the daemon sees it: device, then path."""
    name = f"link {link.get('name')} to {far}"
    if not link.get("device_up"):
        return fault(
            TOPIC,
            f"{name}: our device does not work ({link.get('detail') or 'no more is known'})",
            "do what it says, or plug it in; for a closer look stop the gateway and run this again",
        )
    heard = link.get("heard_ms_ago")
    device = str(link.get("detail") or "works")
    if link.get("state") == _DOWN or heard is None:
        when = "never" if heard is None else f"{heard / 1000:.0f} s ago last"
        return look(
            TOPIC,
            f"{name}: device works ({device}), far station heard {when}, state {link.get('state')}",
            "check antenna, cable and the far station; then: hotline doctor --far",
        )
    trip = link.get("round_trip_ms")
    told = f", round trip {trip} ms" if trip else ""
    return ok(TOPIC, f"{name}: {device}; {link.get('state')}, heard {heard / 1000:.0f} s ago{told}")


def judge_peer(far: str, peer: Document | None) -> Finding:
    if peer is None or not peer.get("answers"):
        return look(
            TOPIC, f"the far gateway {far} does not answer", "see its links above; ask there"
        )
    if peer.get("busy"):
        return look(
            TOPIC,
            f"the far gateway {far} keeps no new notice (busy)",
            "call them: its disk is full, or too many notices of ours are open there",
        )
    if peer.get("full"):
        return look(
            TOPIC,
            f"{far} has so many notices open here that only FLASH is taken",
            "answer what is open: `hotline inbox`",
        )
    return ok(TOPIC, f"the far gateway {far} answers")


async def examine_far(socket: Path, daemon: Daemon, limit_s: float = FAR_S) -> list[Finding]:
    """Send each far station a TEST comm check, and tell who answered and when."""
    if daemon.status is None:
        remedy = "start the gateway; the test goes through it"
        return [fault(FAR, "no gateway runs here that could be asked", remedy)]
    lines = list(daemon.status.get("lines") or ())
    groups = await asyncio.gather(*(_test_line(socket, line, limit_s) for line in lines))
    return [finding for group in groups for finding in group]


async def _test_line(socket: Path, line: Document, limit_s: float) -> list[Finding]:
    far = str(line.get("far_station"))
    check = {
        "to": far,
        "kind": "CHECK",
        "precedence": "PRIORITY",
        "operation": "TEST",
        "text": f"DOCTOR {uuid.uuid4().hex[:6].upper()}",
        "language": "en",
    }
    request = f"doctor-{uuid.uuid4()}"
    loop = asyncio.get_running_loop()
    start = loop.time()
    times: dict[str, float] = {}
    state, notice_id = "", ""
    try:
        sent = await _call(
            socket, lambda client: client.post("/v1/notices", check, request_id=request)
        )
        notice_id = str(sent["id"])
        while loop.time() - start < limit_s and "person" not in times:
            notice = await _call(socket, lambda client: client.get(f"/v1/notices/{notice_id}"))
            state = str(notice.get("state"))
            for name, states in (("receipt", _RECEIPT), ("person", _PERSON)):
                if state in states:
                    times.setdefault(name, loop.time() - start)
            await asyncio.sleep(_POLL_S)
        document = await _call(socket, lambda client: client.get("/v1/status"))
    except ApiError as error:
        return [fault(FAR, f"the test to {far} was not done: {error}", "see hotline status")]
    now = [it for it in document.get("lines") or () if it.get("far_station") == far]
    return list(judge_far_test(far, now[0] if now else line, times, state, notice_id))


async def _call(socket: Path, ask: Any) -> Document:  # noqa: ANN401 (a call on the client)
    def work() -> Document:
        with ApiClient(socket, timeout_s=ASK_S) as client:
            return dict(ask(client))

    return await in_thread(work)


def judge_far_test(
    far: str, line: Document, times: dict[str, float], state: str, notice_id: str
) -> Iterator[Finding]:
    """Four answers, apart: our device, the path, their gateway, their watch. `times` in seconds."""
    links = list(line.get("links") or ())
    works = [str(link.get("name")) for link in links if link.get("device_up")]
    if works:
        yield ok(FAR, f"{far}: our device works ({', '.join(works)})")
    else:
        yield fault(FAR, f"{far}: none of our devices works", "see the links above")
    heard = [link["heard_ms_ago"] for link in links if link.get("heard_ms_ago") is not None]
    if "receipt" in times or (heard and min(heard) < FAR_S * 1000):
        yield ok(FAR, f"{far}: the path works, heard {min(heard, default=0) / 1000:.1f} s ago")
    else:
        yield fault(FAR, f"{far}: nothing came by any path", "check antennas, cables, far power")
    if "receipt" in times:
        yield ok(FAR, f"{far}: their gateway stored {notice_id} after {times['receipt']:.1f} s")
    else:
        yield fault(
            FAR,
            f"{far}: their gateway has not receipted {notice_id} (state {state})",
            f"it goes on trying; look with: hotline show {notice_id}",
        )
    if "person" in times:
        yield ok(FAR, f"{far}: their watch answered {state} after {times['person']:.1f} s")
    else:
        yield look(
            FAR,
            f"{far}: no person has answered the check yet (state {state})",
            f"wait, then: hotline show {notice_id}; a person needs minutes",
        )


def _links(status: Document | None) -> Iterator[Document]:
    for line in (status or {}).get("lines") or ():
        yield from line.get("links") or ()
