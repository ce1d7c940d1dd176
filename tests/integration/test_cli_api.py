"""`hotline` as a process against the real API server: exit codes, output, one terminal."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.api.server import ApiServer
from gateway.cli.exits import ExitCode
from gateway.core.effects import Alarm, AlarmCode, PendingNotice, RejectCode, Status
from gateway.core.events import Principal, Rights
from gateway.indicators.lamps import panel_levels, pattern
from gateway.model import DeliveryState, Instant, Operation, Precedence, Role
from tests.integration.desk_double import BOOT_ID, FAR, MemoryDesk, clock, status

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30
SEND = ("send", "SOUTH", "-k", "NOTIFY", "-p", "P", "-o", "TEST")


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Station:
    """A desk behind the real server, and the command line as a process."""

    def __init__(self, desk: MemoryDesk, path: Path) -> None:
        self.desk = desk
        self.path = path
        self.environment = {
            **{name: value for name, value in os.environ.items() if "HOTLINE" not in name},
            "HOTLINE_SOCKET": str(path),
            "COLUMNS": "100",
            "TERM": "xterm",
        }

    async def hotline(self, *arguments: str, stdin: bytes = b"") -> Ended:
        process = await self.start(*arguments)
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        assert "Traceback" not in err.decode()
        return Ended(process.returncode, out.decode(), err.decode())

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.cli.main",
            *arguments,
            cwd=ROOT,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def on_terminal(self, *arguments: str, keys: dict[str, bytes] | None = None) -> Ended:
        """Run it on a pty; when a word of `keys` shows, its answer is typed."""
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.cli.main",
            *arguments,
            cwd=ROOT,
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        screen = b""
        waiting = dict(keys or {})

        def read() -> bytes:
            with suppress(OSError):  # EIO when the other end is closed
                return os.read(ours, 4096)
            return b""

        async with asyncio.timeout(DEADLINE_S):
            while octets := await asyncio.to_thread(read):
                screen += octets
                for word in [word for word in waiting if word.encode() in screen]:
                    os.write(ours, waiting.pop(word))
            code = await process.wait()
        os.close(ours)
        text = screen.decode().replace("\r\n", "\n")
        assert "Traceback" not in text
        return Ended(code, text, "")


@asynccontextmanager
async def running(path: Path, **options: Any) -> AsyncIterator[Station]:
    desk = MemoryDesk()
    users = options.pop("users", {})
    server = ApiServer(desk, desk.store, path, users, clock=clock, boot_id=BOOT_ID, **options)
    server.open()
    task = asyncio.create_task(server.run())
    desk.show(status())
    try:
        yield Station(desk, path)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def north(tmp_path: Path) -> AsyncIterator[Station]:
    async with running(tmp_path / "api.sock") as station:
        yield station


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not is_true():
            await asyncio.sleep(0.02)


async def test_a_phrase_goes_by_its_code_and_reads_in_any_language(north: Station) -> None:
    """Code and slots are sent; each reader has its own language, programs English."""
    phrase = ("--phrase", "12", *("--slot", "a-7"), *("--slot", "3"))
    places = ("--slot", "KILO 4", "--slot", "M5")
    refused = await north.hotline(*SEND, *phrase)
    assert refused.code == 2
    assert "see `hotline phrases`" in refused.err
    window = ("--window", "221430Z NOV 26", "221600Z NOV 26")
    sent = await north.hotline(*SEND, *phrase, *places, *window)
    assert (sent.code, sent.out) == (0, "1-3f2a-1  QUEUED\n")
    shown = await north.hotline("show", "1-3f2a-1", "--language", "fr")
    assert "Convoi prévu de l'unité A-7, de KILO 4 à M5" in shown.out
    listed = (await north.hotline("outbox", "--json")).json["notices"][0]
    assert listed["slots"] == ["A-7", 3, "KILO 4", "M5"]
    assert listed["phrase_text"].startswith("Planned convoy of unit A-7 from KILO 4 to M5")
    screen = await north.on_terminal(
        *SEND, *phrase, *places, *window, "--language", "ru", keys={"Release it?": b"n\n"}
    )
    assert "12: A-7, 3, KILO 4, M5" in screen.out
    assert "Количество машин: 3." in screen.out


async def test_send_is_accepted_once_per_request_id(north: Station) -> None:
    """Without a terminal nothing is asked; a repeat under the same request id is no second one."""
    first = await north.hotline(*SEND, "--request-id", "r-1", "Convoy on road M5")
    again = await north.hotline(*SEND, "--request-id", "r-1", "--json", "Convoy on road M5")
    assert (first.code, first.out) == (0, "1-3f2a-1  QUEUED\n")
    assert again.json == {
        "id": "1-3f2a-1",
        "request_id": "r-1",
        "state": "QUEUED",
        "repeated": True,
    }
    assert len(north.desk.accepted) == 1


async def test_the_text_comes_from_standard_input(north: Station) -> None:
    """TEXT `-` reads standard input, without its last line feed."""
    ended = await north.hotline(*SEND, "-", stdin="zwei\nZeilen äöü\n".encode())
    assert ended.code == 0
    body = north.desk.accepted[0][2].body
    assert getattr(body, "text", None) == "zwei\nZeilen äöü"
    bad = await north.hotline(*SEND, "-", stdin=b"\xff\xfe")
    assert (bad.code, "is not UTF-8" in bad.err) == (2, True)


async def test_release_on_a_terminal_shows_what_goes_and_asks(north: Station) -> None:
    """Text, size and precedence stand there before the question; no means nothing is sent."""
    refused = await north.on_terminal(*SEND, "Convoy on road M5", keys={"Release it?": b"n\n"})
    assert refused.code == 130
    assert north.desk.accepted == []
    for words in (
        "PRIORITY (P)",
        "    Convoy on road M5",
        "17 octets of text",
        "radio UP, cable PROBING",
        "not released",
    ):
        assert words in refused.out
    released = await north.on_terminal(*SEND, "Convoy on road M5", keys={"Release it?": b"y\n"})
    assert released.code == 0
    assert "1-3f2a-1  QUEUED" in released.out
    absent = await north.on_terminal(*SEND, "x", "--socket", "/nonexistent")
    assert (absent.code, "Release it?" in absent.out) == (4, False)
    skipped = await north.on_terminal(*SEND, "--yes", "Convoy on road M5")
    assert "Release it?" not in skipped.out
    assert len(north.desk.accepted) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("send", "WEST", "-k", "CHECK", "-p", "R", "-o", "TEST", "x"), 5, "WEST"),
        ((*SEND, "x" * 1025), 2, "1025 octets of UTF-8, the limit is 1024"),
        ((*SEND, "a\x1bb"), 2, "control character U+001B"),
        ((*SEND, "a\u202eb"), 2, "bidirectional override U+202E"),
        ((*SEND, "--request-id", "not good", "x"), 3, "request_id"),
        (("send", "SOUTH", "-k", "UPDATE", "-p", "R", "-o", "TEST", "x"), 2, "reference"),
        (("show", "1-3f2a-9"), 5, "no notice 1-3f2a-9 is known here"),
        (("show", "nonsense"), 2, "write station-epoch-serial"),
        (("answer", "2-3f2a-9", "ROGER"), 5, "is unknown"),
        (("answer", "2-3f2a-9", "CANTPRO"), 2, "is not known; use one of ROGER"),
        (("lamps",), 5, "no lamps"),
    ],
)
async def test_wrong_input_is_one_sentence_and_its_exit_code(
    north: Station, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """What, where and what to do; never a traceback."""
    ended = await north.hotline(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("reject", "code"),
    [
        (RejectCode.FORBIDDEN, 6),
        (RejectCode.CONFLICT, 7),
        (RejectCode.REQUEST_ID_REUSED, 7),
        (RejectCode.STORE_REFUSED, 75),
        (RejectCode.FULL, 75),
        (RejectCode.STOPPING, 75),
        (RejectCode.INVALID, 3),
        (RejectCode.UNKNOWN_STATION, 5),
    ],
)
async def test_refusals_have_their_exit_codes(
    north: Station, reject: RejectCode, code: int
) -> None:
    """Every refusal of the gateway ends in the stated code, with the gateway's own sentence."""
    north.desk.reject = reject
    ended = await north.hotline(*SEND, "hello")
    assert ended.code == code
    assert ended.err.startswith("hotline: x: is refused; do other")
    assert ("--request-id" in ended.err) == (code == 75)


async def test_a_user_without_the_right_is_told_so(tmp_path: Path) -> None:
    """Rights come from the socket's peer credentials: exit code 6."""
    nobody = Principal(
        "api", "root", Role.LIAISON_OFFICER, Rights(frozenset(), Precedence.FLASH, answer=False)
    )
    users = {"root": nobody}
    if os.getuid() != 0:
        pytest.skip("the principal of this test is root")
    async with running(tmp_path / "api.sock", users=users) as north:
        assert (await north.hotline(*SEND, "hello")).code == 6


async def test_a_gateway_that_is_not_there(north: Station, tmp_path: Path) -> None:
    """No socket, a dead socket, a file: one sentence each; 4, 4 and 78."""
    missing = await north.hotline("--socket", str(tmp_path / "no.sock"), "status")
    assert missing.code == 4
    assert "does not run" in missing.err
    (tmp_path / "file").write_text("x")
    other = await north.hotline("status", "--socket", str(tmp_path / "file"))
    assert other.code == 78
    assert "is no socket" in other.err
    (tmp_path / "file").chmod(0)
    shut = await north.hotline("status", "--socket", str(tmp_path / "file"))
    assert "Invalid value" not in shut.err
    north.environment.pop("HOTLINE_SOCKET")
    configured = await north.hotline("status", "--config", str(tmp_path / "no.toml"))
    assert configured.code == 78


async def test_the_socket_is_found_by_the_configuration(north: Station, tmp_path: Path) -> None:
    """`runtime_folder` of the configuration file leads to the socket."""
    north.environment.pop("HOTLINE_SOCKET")
    config = tmp_path / "hotline.toml"
    config.write_text(f'[station]\nruntime_folder = "{tmp_path}"\n')
    north.environment["HOTLINE_CONFIG"] = str(config)
    assert (await north.hotline("status")).code == 0


async def test_inbox_escapes_what_a_peer_wrote(north: Station) -> None:
    """Markup is not read and text of several lines stays in its place, piped and on a terminal."""
    north.desk.arrive("[red]first[/red]\nstate  ROGER", precedence=Precedence.FLASH)
    piped = await north.hotline("inbox")
    assert "[red]first[/red] / state  ROGER" in piped.out
    assert "221430Z NOV 26  Z" in piped.out
    assert "RECEIPT IS NOT CONSENT" in piped.out
    shown = await north.on_terminal("inbox")
    assert "[red]first[/red]" in shown.out
    assert not any(line.startswith("state  ROGER") for line in shown.out.splitlines())


async def test_displayed_is_told_only_when_a_person_saw_it(north: Station) -> None:
    """Piped and --json tell nothing unless asked; a terminal does, and only once."""
    notice = north.desk.arrive("hello")
    await north.hotline("inbox")
    await north.hotline("inbox", "--json")
    await north.hotline("show", str(notice.id))
    assert north.desk.seen_displayed == []
    shown = await north.on_terminal("inbox")
    assert shown.code == 0
    assert north.desk.seen_displayed == [notice.id]
    await north.on_terminal("inbox")
    await north.on_terminal("show", str(notice.id))
    assert north.desk.seen_displayed == [notice.id]
    second = north.desk.arrive("again")
    await north.hotline("inbox", "--json", "--displayed")
    assert north.desk.seen_displayed == [notice.id, second.id]


async def test_inbox_follows(north: Station) -> None:
    """--follow --json prints what is there, then each notice and state, an object a line."""
    north.desk.arrive("first")
    process = await north.start("inbox", "--follow", "--json")
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        first = json.loads(await process.stdout.readline())
        assert first["text"] == "first"
        north.desk.arrive("second")
        second = json.loads(await process.stdout.readline())
        assert second["text"] == "second"
        state = json.loads(await process.stdout.readline())
        assert (state["state"], state["direction"]) == ("MACHINE RECEIPT", "in")
    process.terminate()
    await process.wait()


async def test_show_tells_what_is_accepted_now(north: Station) -> None:
    """What expects a ROGER expects nothing more behind it; the line is gone then."""
    notice = north.desk.arrive("hello")
    response = str((await north.hotline("show", str(notice.id), "--json")).json["response"])
    before = await north.hotline("show", str(notice.id))
    expected = {"R": "ROGER (first STANDBY as you like)"}[response]
    assert f"expects      {expected}\n" in before.out
    await north.hotline("answer", str(notice.id), "ROGER")
    after = await north.hotline("show", str(notice.id))
    assert "ROGER" in after.out
    assert "expects" not in after.out


async def test_a_full_store_tells_the_request_id_to_repeat(north: Station) -> None:
    """The id that `send` made up stands in the sentence, so that a repeat is no second notice."""
    north.desk.reject = RejectCode.STORE_REFUSED
    ended = await north.hotline(*SEND, "hello")
    assert ended.code == 75
    assert re.search(r"repeat the command with --request-id cli-[0-9a-f-]{36}$", ended.err.strip())


async def test_show_has_history_answers_and_the_warning(north: Station) -> None:
    """One notice in full; where a receipt is shown, RECEIPT IS NOT CONSENT stands too."""
    notice = north.desk.arrive("Question [1]")
    await north.hotline("answer", str(notice.id), "roger", "we have it")
    shown = await north.hotline("show", str(notice.id))
    assert shown.code == 0
    for words in (
        "text (en)\n    Question [1]\n",
        "14:30:00Z  MACHINE RECEIPT  radio  test",
        "answer ROGER  221430Z NOV 26",
        "    we have it",
        "RECEIPT IS NOT CONSENT",
    ):
        assert words in shown.out
    assert (await north.hotline("show", str(notice.id), "--json")).json["id"] == str(notice.id)


async def test_answer_is_accepted_once(north: Station) -> None:
    """The answer's own id is printed; the same request id repeats nothing."""
    notice = north.desk.arrive("hello")
    first = await north.hotline("answer", str(notice.id), "ROGER", "--request-id", "a")
    assert (first.code, first.out) == (0, f"ROGER to {notice.id} is accepted as 1-3f2a-1\n")
    again = await north.hotline("answer", str(notice.id), "ROGER", "--request-id", "a", "--json")
    assert again.json["repeated"] is True


async def test_wait_ends_with_roger(north: Station) -> None:
    """--wait prints each state once, says RECEIPT IS NOT CONSENT, and ends at ROGER with 0."""
    process = await north.start(*SEND, "--wait", "hello")
    await until(lambda: len(north.desk.accepted) == 1)
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        lines = [(await process.stdout.readline()).decode()]
        lines.append((await process.stdout.readline()).decode())
        stored = await north.desk.store.notices(_out(), limit=1)
        notice = _notice(stored[0])
        north.desk.enter(notice, DeliveryState.SENT)
        north.desk.enter(notice, DeliveryState.SENT)
        north.desk.enter(notice, DeliveryState.RECEIPTED)
        north.desk.enter(notice, DeliveryState.ROGER)
        lines += (await process.stdout.read()).decode().splitlines(keepends=True)
        assert await process.wait() == 0
    text = "".join(lines)
    assert text.startswith("1-3f2a-1  QUEUED\n14:30:00Z QUEUED by radio (test)\n")
    assert "14:30:00Z SENT by radio (test)\n14:30:00Z MACHINE RECEIPT by radio" in text
    assert text.count("SENT by radio") == 1
    assert "RECEIPT IS NOT CONSENT" in text
    assert "ROGER by radio" in text


async def test_wait_for_the_receipt_or_the_end(north: Station) -> None:
    """--until receipt ends at the machine receipt; EXPIRED ends with 8 and says what to do."""
    process = await north.start(*SEND, "--until", "receipt", "--json", "one")
    await until(lambda: len(north.desk.accepted) == 1)
    north.desk.enter(_notice((await north.desk.store.notices(_out(), limit=1))[0]), _RECEIPTED)
    async with asyncio.timeout(DEADLINE_S):
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(out.splitlines()[-1])["state"] == "MACHINE RECEIPT"
    process = await north.start(*SEND, "--wait", "two")
    await until(lambda: len(north.desk.accepted) == 2)
    north.desk.enter(
        _notice((await north.desk.store.notices(_out(), limit=1))[0]), DeliveryState.EXPIRED
    )
    async with asyncio.timeout(DEADLINE_S):
        _, err = await process.communicate()
    assert process.returncode == 8
    assert b"ended as EXPIRED without ROGER" in err


async def test_wait_has_a_limit(north: Station) -> None:
    """--timeout ends the waiting with 8 and leaves the notice to the gateway."""
    ended = await north.hotline(*SEND, "--wait", "--timeout", "1s", "hello")
    assert ended.code == 8
    assert "the gateway goes on trying" in ended.err


_RECEIPTED = DeliveryState.RECEIPTED


def _out() -> Any:
    from gateway.core.records import Direction

    return Direction.OUT


def _notice(stored: Any) -> Any:
    from gateway.wire.notice import decode_act

    return decode_act(stored.act.octets, originator=stored.act.id.originator, to=stored.act.to)


async def test_outbox_lists_what_was_sent(north: Station) -> None:
    """Newest first, the state in its word, --json as one object."""
    await north.hotline(*SEND, "one")
    await north.hotline(*SEND, "two")
    listed = await north.hotline("outbox")
    assert [line.split()[0] for line in listed.out.splitlines()] == ["ID", "1-3f2a-2", "1-3f2a-1"]
    assert len((await north.hotline("outbox", "--json", "-n", "1")).json["notices"]) == 1
    empty = await north.hotline("inbox", "--open")
    assert empty.out == "No open notice.\n"


async def test_status_answers_the_four_questions(north: Station) -> None:
    """Device, path, far gateway and far watch each have their own words."""
    plain = status()
    pending = PendingNotice(
        notice_id=(await _sent(north)),
        precedence=Precedence.FLASH,
        operation=Operation.OPERATION,
        state=DeliveryState.RECEIPTED,
        since=Instant(0),
        displayed=False,
        overdue=True,
        born=Instant(0),
        far=plain.peers[0].station,
    )
    north.desk.show(
        replace(
            plain,
            peers=(replace(plain.peers[0], open_count=4, there_count=1),),
            links=(
                replace(plain.links[0], device_up=False, detail="port is gone", heard_at=None),
                plain.links[1],
            ),
            pending_out=(pending,),
            pending_out_count=1,
            alarms=(Alarm(AlarmCode.OVERDUE, "notice 1-3f2a-1 has no ROGER; call SOUTH"),),
        )
    )
    shown = await north.hotline("status")
    assert shown.code == 0
    for words in (
        "station NORTH  221430Z NOV 26",
        "line to SOUTH",
        "DOES NOT WORK: port is gone",
        "nothing heard yet",
        "far gateway  answers; heard ",
        "far watch    1 notice waits for a person there, 1 OVERDUE; 3 are not there yet",
        "MACHINE RECEIPT OVERDUE",
        "RECEIPT IS NOT CONSENT",
        "ALARM overdue: notice 1-3f2a-1 has no ROGER; call SOUTH",
    ):
        assert words in shown.out
    assert (await north.hotline("status", "--json")).json["pending_out_count"] == 1


async def _sent(north: Station) -> Any:
    await north.hotline(*SEND, "hello")
    return (await north.desk.store.notices(_out(), limit=1))[0].delivery.notice_id


def _panel(shown: Status) -> dict[str, object]:
    """What the runtime adds to the status."""
    panel = pattern(shown, Instant(0))
    return {
        "lamps": {name: int(is_lit) for name, is_lit in panel_levels(panel, Instant(0)).items()},
        "patterns": {name: rhythm.value for name, rhythm in panel.rhythms()},
    }


async def test_lamps_show_the_panel(tmp_path: Path) -> None:
    """Each lamp with its rhythm and meaning, as the runtime's panel says; changes with --follow."""
    async with running(tmp_path / "api.sock", panel=_panel) as north:
        shown = await north.hotline("lamps")
        assert "link radio   steady" in shown.out
        assert "red: an OPERATION notice waits for our watch" in shown.out
        assert (await north.hotline("--json", "lamps")).json["patterns"]["alarm"] == "off"
        process = await north.start("lamps", "--follow")
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            assert b"alarm" not in await process.stdout.readline()
            north.desk.show(replace(status(), alarms=(Alarm(AlarmCode.OVERDUE, "x"),)))
            assert b"alarm [fast]" in await process.stdout.readline()
        process.terminate()
        await process.wait()


async def test_log_lists_the_last_entries_and_follows(north: Station) -> None:
    """The last ones, those after a number, and each new one with --follow."""
    for number in range(1, 8):
        north.desk.log("link", name="radio", count=number)
    last = await north.hotline("log", "-n", "2")
    assert [line.split()[0] for line in last.out.splitlines()] == ["NUMBER", "6", "7"]
    assert "name=radio count=7" in last.out
    after = await north.hotline("log", "--after", "3", "-n", "2", "--json")
    assert [entry["number"] for entry in after.json["entries"]] == [4, 5]
    process = await north.start("log", "--follow", "--json", "-n", "1")
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        assert json.loads(await process.stdout.readline())["number"] == 7
        north.desk.log("link", name="cable")
        assert json.loads(await process.stdout.readline())["number"] == 8
    process.terminate()
    await process.wait()


async def test_log_shows_what_is_asked_for(north: Station) -> None:
    """By event, kind and act, also where that is far back; followed lines have one head."""
    north.desk.log("link_up", name="radio")
    for number in range(700):
        north.desk.log("state", notice=f"2-7-{number}")

    def numbers(ended: Ended) -> list[int]:
        return [entry["number"] for entry in json.loads(ended.out)["entries"]]

    assert numbers(await north.hotline("log", "--event", "link_up", "--json")) == [1]
    assert numbers(await north.hotline("log", "--act", "2-7-698", "--json")) == [700]
    assert numbers(await north.hotline("log", "--after", "9", "--act", "2-7-698", "--json")) == [
        700
    ]
    assert numbers(await north.hotline("log", "--kind", "line", "--json")) == []
    assert numbers(await north.hotline("log", "-n", "2", "--event", "state", "--json")) == [
        700,
        701,
    ]
    assert numbers(await north.hotline("log", "--after", "3", "-n", "2", "--json")) == [4, 5]
    process = await north.start("log", "--follow", "-n", "2", "--event", "link_up")
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        lines = [await process.stdout.readline() for _ in range(2)]
        north.desk.log("state", notice="2-7-3")
        north.desk.log("link_up", name="cable")
        lines.append(await process.stdout.readline())
    process.terminate()
    await process.wait()
    assert [line.split()[0] for line in lines] == [b"NUMBER", b"1", b"703"]
    assert lines[0].index(b"EVENT") == lines[1].index(b"link_up") == lines[2].index(b"link_up")


async def test_log_export_takes_the_book_from_the_gateway(north: Station, tmp_path: Path) -> None:
    """All entries, whatever a page holds; what is exported is a sound book."""
    for number in range(1, 700):
        north.desk.log("link", name="radio", count=number)
    path = tmp_path / "book"
    exported = await north.hotline("log", "export", "--format", "cbor", "-o", str(path))
    assert "699 entries" in exported.err
    assert "699 entries" in (await north.hotline("log", "verify", str(path))).out
    lines = (await north.hotline("log", "export", "--json")).out.splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(1, 700))
    assert json.loads(lines[0])["proof"] == "own record"


async def test_a_closed_pipe_is_no_failure(north: Station) -> None:
    """`hotline log | true`: no traceback, no message, exit code 0."""
    north.desk.log("link", name="radio")
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.cli.main",
        "log",
        cwd=ROOT,
        env=north.environment,
        stdout=writer,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writer)
    async with asyncio.timeout(DEADLINE_S):
        _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")


async def test_an_alarm_is_listed_and_cleared(north: Station) -> None:
    """`alarm list` says what ends it; `clear` makes it dark, once, and refuses a wrong name."""
    rollback = Alarm(AlarmCode.ROLLBACK, "SOUTH holds notices that are lost here", FAR)
    north.desk.show(replace(status(), alarms=(rollback, Alarm(AlarmCode.NO_LINK, "no link"))))
    listed = (await north.hotline("alarm", "list")).out
    assert "rollback.2" in listed
    assert "with its cause" in listed
    assert "hotline alarm clear rollback.2" in (await north.hotline("status")).out
    done = await north.hotline("alarm", "clear", "rollback.2", "--json")
    assert done.json == {"name": "rollback.2", "cleared": True}
    assert (await north.hotline("alarm", "clear", "rollback.2")).code == ExitCode.NOT_FOUND
    assert (await north.hotline("alarm", "clear", "../status")).code == ExitCode.USAGE
    left = (await north.hotline("alarm", "list", "--json")).json["alarms"]
    assert [alarm["name"] for alarm in left] == ["no-link"]
