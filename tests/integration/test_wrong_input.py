"""Wrong input and missing things at a real daemon: one sentence, the right code, no traceback.

Every test ends with the daemon alive and still carrying notices.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from gateway.sim.bench.files import CABLE, STATIONS, LineOptions, StationFiles, write_line
from gateway.sim.bench.media import ports_of
from gateway.sim.bench.process import GatewayProcess
from gateway.sim.cable import Cable
from tests.integration.live_line import DEADLINE_S, get, lamp_of, post, until
from tests.integration.mosquitto import Heard, Listener, Mosquitto, mosquitto, needs_mosquitto

ROOT = Path(__file__).parents[2]
BAUD = 115_200
RESTART_COUNT = 6
DISK_SIZE = 8 * 1024 * 1024
"""The store's ballast has half of it."""
GOOD: Mapping[str, object] = {
    "to": "SOUTH",
    "kind": "NOTIFY",
    "precedence": "ROUTINE",
    "operation": "TEST",
    "text": "Convoy of four lorries on road M5.",
}
TROUBLE = ("Traceback", "crashed", "never retrieved", 'File \\"', 'File "')
"""What no output and no log of a daemon may have."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's folder: the path of a Unix socket has at most 107 octets."""
    path = Path(tempfile.mkdtemp(prefix="hotline-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def write_stations(folder: Path, **mqtt_urls: str) -> dict[str, StationFiles]:
    """Keys and configurations of NORTH and SOUTH, joined by a cable that is not there yet."""
    ports = {name: ports_of(folder, name) for name in STATIONS}
    options = LineOptions(baud=BAUD, links=(CABLE,), mqtt_urls=mqtt_urls)
    return dict(write_line(folder, ports, options).stations)


def cable(folder: Path) -> Cable:
    return Cable(ports_of(folder, "NORTH").cable, ports_of(folder, "SOUTH").cable, BAUD)


@asynccontextmanager
async def running(*stations: StationFiles) -> AsyncIterator[list[GatewayProcess]]:
    """Daemons that are ready; at the end each stops in order and has told no traceback."""
    processes = [GatewayProcess(files) for files in stations]
    try:
        for process in processes:
            await process.launch()
        for process in processes:
            await process.wait_ready()
        yield processes
        for process in processes:
            process.check()
    finally:
        codes = await asyncio.gather(*(process.stop() for process in processes))
    assert codes == [0] * len(codes), "an orderly stop"
    for files in stations:
        assert_no_trouble(files)


def assert_no_trouble(files: StationFiles) -> None:
    """A daemon says how its links are and nothing besides, and its log has no traceback."""
    for line in files.output.read_text().splitlines():
        assert line.startswith(("station ", "link ", "line to ")), line
    for path in (files.folder / "state" / "log").glob("gateway.log*"):
        for line in path.read_text().splitlines():
            assert not any(word in line for word in TROUBLE), line


@dataclass(frozen=True, slots=True)
class Ended:
    """A `hotline` command that ended."""

    code: int | None
    output: str
    sentence: str
    """Its one line on standard error, without the name in front."""


async def hotline(files: StationFiles, *arguments: str, text: str = "") -> Ended:
    """Run a command of a person at this station; whatever it says is one line of plain letters."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli.main", *arguments),
        cwd=ROOT,
        env={**os.environ, "HOTLINE_CONFIG": str(files.config)},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(DEADLINE_S):
        output, errors = await process.communicate(text.encode())
    said = errors.decode()
    assert "Traceback" not in said + output.decode()
    assert said.count("\n") <= 1, said
    assert said.strip().isprintable(), ascii(said)
    return Ended(process.returncode, output.decode(), said.removeprefix("hotline: ").strip())


async def submit(
    process: GatewayProcess, document: object, request_id: str | None
) -> tuple[int, Any]:
    """Status and document of a submission."""
    headers = {} if request_id is None else {"Idempotency-Key": request_id}
    return await process.api.request("POST", "/v1/notices", document, headers=headers)


async def assert_carries(near: GatewayProcess, far: GatewayProcess, request_id: str) -> None:
    """A good notice is accepted here and comes to the watch there."""
    status, accepted = await submit(near, GOOD, request_id)
    assert status == 201, accepted
    await until(lambda: inbox_has(far, accepted["id"]))


async def inbox_has(process: GatewayProcess, *notice_ids: str) -> bool:
    notices = (await get(process, "/v1/inbox?limit=1000"))["notices"]
    return set(notice_ids) <= {one["id"] for one in notices}


async def alarms(process: GatewayProcess) -> dict[str, str]:
    """The sentence of each alarm that is lit, by code."""
    return {one["code"]: one["text"] for one in (await get(process, "/v1/status"))["alarms"]}


async def link_of(process: GatewayProcess, name: str) -> dict[str, Any]:
    (line,) = (await get(process, "/v1/status"))["lines"]
    return next(link for link in line["links"] if link["name"] == name)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A submission that must be refused, and how."""

    changes: Mapping[str, object]
    code: str
    status: int
    exit_code: int
    words: tuple[str, ...]
    """What the sentence must have: the field, the value or limit, and what to do."""

    @property
    def document(self) -> dict[str, object]:
        return {**GOOD, **self.changes}

    @property
    def arguments(self) -> list[str]:
        said = {name: str(value) for name, value in self.document.items()}
        options = ("--kind", "--precedence", "--operation")
        words = [word for name in options for word in (name, said[name.removeprefix("--")])]
        return ["send", said["to"], *words, "--", said["text"]]


WRONG = {
    "unknown kind": Wrong(
        {"kind": "RUMOUR"}, "unknown_kind", 400, 2, ("kind", "'RUMOUR'", "use one of", "NOTIFY")
    ),
    "text too long": Wrong(
        {"text": "A" * 1025}, "text_too_long", 400, 2, ("text", "1025", "1024", "shorten it")
    ),
    "unknown addressee": Wrong(
        {"to": "NOWHERE"}, "unknown_station", 404, 5, ("to", "'NOWHERE'", "name on its card")
    ),
    "control character": Wrong(
        {"text": "go\x1b[2Jnow"}, "bad_text", 400, 2, ("text", "U+001B", "at 2", "printable")
    ),
    "bidirectional override": Wrong(
        {"text": "go \u202enow"}, "bad_text", 400, 2, ("text", "U+202E", "at 3", "remove it")
    ),
    "control character in the addressee": Wrong(
        {"to": "SO\x1bUTH"}, "unknown_station", 404, 5, ("to", "x1b", "name on its card")
    ),
    "unknown precedence": Wrong(
        {"precedence": "ASAP"}, "unknown_precedence", 400, 2, ("precedence", "'ASAP'", "FLASH")
    ),
}


@needs_mosquitto
async def test_wrong_submissions_are_refused_with_a_sentence(folder: Path) -> None:
    """CLI, API and MQTT refuse each with the same words; good notices cross before and after."""
    (broker_folder := folder / "broker").mkdir()
    async with mosquitto(broker_folder) as broker, cable(folder):
        stations = write_stations(folder, NORTH=broker.url)
        async with (
            running(*stations.values()) as (north, south),
            broker.listen("hotline/v1/NORTH/error/#") as errors,
        ):
            await assert_carries(north, south, "before")
            for name, wrong in WRONG.items():
                request_id = f"wrong-{name.replace(chr(32), chr(45))}"
                status, problem = await submit(north, wrong.document, request_id)
                assert (status, problem["code"]) == (wrong.status, wrong.code), name
                assert_sentence(problem["detail"], wrong)
                await broker.submit("NORTH", wrong.document | {"request_id": request_id})
                (told,) = await errors.on(f"/error/{request_id}")
                assert told.json["code"] == wrong.code, name
                assert told.json["detail"] == problem["detail"]
            ended = await asyncio.gather(
                *(hotline(north.files, *wrong.arguments) for wrong in WRONG.values())
            )
            for one, (name, wrong) in zip(ended, WRONG.items(), strict=True):
                assert one.code == wrong.exit_code, name
                assert_sentence(one.sentence, wrong)
            await assert_unnamed_requests_are_refused(north, broker, errors)
            await assert_carries(north, south, "after")


def assert_sentence(sentence: str, wrong: Wrong) -> None:
    assert all(word in sentence for word in wrong.words), sentence
    assert sentence.isprintable(), ascii(sentence)


async def assert_unnamed_requests_are_refused(
    north: GatewayProcess, broker: Mosquitto, errors: Listener
) -> None:
    """Without a request_id nothing is done, since a repeat could do it twice."""
    status, problem = await submit(north, GOOD, None)
    assert (status, problem["code"]) == (400, "missing_request_id")
    assert "repeat" in problem["remedy"]
    await broker.submit("NORTH", dict(GOOD))
    (told,) = await errors.on("/error/unknown")
    assert told.json["code"] == "missing_request_id"
    assert "repeat" in told.json["remedy"]
    await broker.publish("hotline/v1/NORTH/submit", b"{not json")
    told = (await errors.on("/error/unknown", count=2))[-1]
    assert told.json["code"] == "bad_json"


@needs_mosquitto
async def test_a_user_without_the_right_is_refused(folder: Path) -> None:
    """Socket user and broker may say TEST, not OPERATION, and answer nothing; they are told so."""
    (broker_folder := folder / "broker").mkdir()
    async with mosquitto(broker_folder) as broker, cable(folder):
        stations = write_stations(folder)
        name = pwd.getpwuid(os.getuid()).pw_name
        with stations["NORTH"].config.open("a") as file:
            file.write(f'[[api.user]]\nname = "{name}"\n[mqtt]\nurl = "{broker.url}"\n')
        async with (
            running(*stations.values()) as (north, south),
            broker.listen("hotline/v1/NORTH/error/#") as errors,
        ):
            earnest = {**GOOD, "operation": "OPERATION"}
            status, problem = await submit(north, earnest, "earnest")
            assert (status, problem["code"]) == (403, "forbidden")
            assert name in problem["detail"]
            assert "OPERATION" in problem["detail"]
            wrong = Wrong({"operation": "OPERATION"}, "forbidden", 403, 6, (name, "OPERATION"))
            ended = await hotline(north.files, *wrong.arguments)
            assert ended.code == wrong.exit_code
            assert_sentence(ended.sentence, wrong)
            await broker.submit("NORTH", earnest | {"request_id": "earnest"})
            (told,) = await errors.on("/error/earnest")
            assert told.json["code"] == "forbidden"
            asked = await post(south, "/v1/notices", {**GOOD, "request_id": "ask", "to": "NORTH"})
            await until(lambda: inbox_has(north, asked["id"]))
            ended = await hotline(north.files, "answer", asked["id"], "ROGER")
            assert ended.code == 6
            assert "may not answer" in ended.sentence
            await assert_carries(north, south, "after")


BROKEN = {
    "not TOML": (("[station]", "[station"), ("is not TOML", "line 2", "correct it there")),
    "unknown key": (("key_file", "keyfile"), ("[station] 'keyfile'", "did you mean key_file?")),
    "wrong value": (("bit_rate = 115200", 'bit_rate = "fast"'), ("bit_rate", "'fast'", "write")),
}


async def test_a_broken_configuration_ends_the_start_with_78(folder: Path) -> None:
    """`run` and `config check` name file, place and cure; the mended file starts."""
    files = write_stations(folder)["NORTH"]
    good = files.config.read_text()
    ended = None
    for name, ((old, new), words) in BROKEN.items():
        files.config.write_text(good.replace(old, new, 1))
        ended = await hotline(files, "run")
        assert ended.code == 78, name
        assert all(word in ended.sentence for word in (str(files.config), *words)), name
        assert not list((files.folder / "state").iterdir()), "nothing was touched"
    assert await hotline(files, "config", "check") == ended
    files.config.unlink()
    ended = await hotline(files, "run")
    assert ended.code == 78
    assert "name the file with --config" in ended.sentence
    files.config.write_text(good)
    async with running(files) as (north,):
        assert (await submit(north, GOOD, "after"))[0] == 201


async def test_a_key_file_that_others_may_read_is_refused(folder: Path) -> None:
    """The key and the secret: 78, which file, and the command that mends it; which then does."""
    files = write_stations(folder)["NORTH"]
    for key in ("station.key", "SOUTH.secret"):
        path = files.folder / key
        path.chmod(0o640)
        ended = await hotline(files, "run")
        assert ended.code == 78
        assert f"{path} may be read by others (mode 0640); run: chmod 600 {path}" in ended.sentence
        command = ended.sentence.rsplit("run: ", 1)[1].split()
        assert subprocess.run(command, check=False).returncode == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with running(files) as (north,):
        assert (await submit(north, GOOD, "after"))[0] == 201


async def test_a_second_daemon_on_the_same_state_folder_is_refused(folder: Path) -> None:
    """It gets 78 and the number of the first, which does not notice; the same for its socket."""
    async with cable(folder):
        stations = write_stations(folder)
        async with running(*stations.values()) as (north, south):
            await assert_carries(north, south, "before")
            ended = await hotline(north.files, "run")
            assert ended.code == 78
            state = str(north.files.folder / "state")
            words = (state, "in use by another gateway", "stop that one")
            assert all(word in ended.sentence for word in words), ended.sentence
            assert str(north.process_id) in ended.sentence
            other = north.files.config.with_name("other.toml")
            other.write_text(north.files.config.read_text().replace(state, f"{state}-2"))
            ended = await hotline(north.files, "run", "--config", str(other))
            assert ended.code == 78
            words = (str(north.files.api_socket), "another gateway listens there", "of its own")
            assert all(word in ended.sentence for word in words), ended.sentence
            assert await alarms(north) == {}
            await assert_carries(north, south, "after")


async def test_a_missing_port_is_told_and_waited_for(folder: Path) -> None:
    """The daemons start; the link is DOWN with the reason; the plugged cable brings it up."""
    stations = write_stations(folder)
    async with AsyncExitStack() as stack, running(*stations.values()) as (north, south):
        port = ports_of(folder, "NORTH").cable
        link = await link_of(north, CABLE)
        assert (link["state"], link["device_up"]) == ("DOWN", False)
        assert link["detail"] == f"{port} is not there; plug the device in or correct `port`"
        assert "no link to SOUTH works" in (await alarms(north))["no usable link"]
        assert await lamp_of(north, "alarm") != "off"
        said = await hotline(north.files, "status")
        assert said.code == 0
        assert f"DOES NOT WORK: {link['detail']}" in " ".join(said.output.split())
        status, accepted = await submit(north, GOOD, "waits")
        assert status == 201
        await stack.enter_async_context(cable(folder))
        await until(lambda: inbox_has(south, accepted["id"]))
        await until(lambda: is_up(north))
        assert await alarms(north) == {}
        assert "is not there" not in (await link_of(north, CABLE))["detail"]


async def is_up(process: GatewayProcess) -> bool:
    return bool((await link_of(process, CABLE))["state"] == "UP")


@needs_mosquitto
async def test_a_broker_that_is_away_costs_nothing(folder: Path) -> None:
    """Away at the start, then killed: an alarm each time, nothing lost, all handed on later."""
    (broker_folder := folder / "broker").mkdir()
    broker = Mosquitto(broker_folder, is_persistent=True)
    async with cable(folder):
        stations = write_stations(folder, NORTH=broker.url)
        # The gateway may be back at the broker before our listener is: then the repeat counts.
        config = stations["NORTH"].config
        config.write_text(config.read_text().replace("[mqtt]", "[mqtt]\nrepublish_s = 2", 1))
        try:
            async with running(*stations.values()) as (north, south):
                await assert_broker_is_missed(north, broker)
                await assert_carries(north, south, "out-while-away")
                first = await post(
                    south, "/v1/notices", {**GOOD, "to": "NORTH", "request_id": "in-while-away"}
                )
                await until(lambda: inbox_has(north, first["id"]))
                await broker.start()
                async with broker.listen("hotline/v1/NORTH/notice/#") as notices:
                    heard = await notices.until(ids_of)
                    assert ids_of(heard) == {first["id"]}
                    await until(lambda: has_no_alarm(north))
                await broker.kill()
                await assert_broker_is_missed(north, broker)
                second = await post(
                    south, "/v1/notices", {**GOOD, "to": "NORTH", "request_id": "in-again"}
                )
                await until(lambda: inbox_has(north, second["id"]))
                await broker.start()
                async with broker.listen("hotline/v1/NORTH/notice/#") as notices:
                    await notices.until(lambda heard: second["id"] in ids_of(heard))
                    await until(lambda: has_no_alarm(north))
                await assert_carries(north, south, "after")
        finally:
            await broker.kill()


def ids_of(heard: list[Heard]) -> set[str]:
    """The notices among the messages; the listener's own first message is none."""
    return {one.json["id"] for one in heard if isinstance(one.json, dict)}


async def assert_broker_is_missed(north: GatewayProcess, broker: Mosquitto) -> None:
    """The alarm names the broker, what is lost (nothing) and what to do; the lamp is lit."""
    await until(lambda: has_alarm(north, "queue down"))
    text = (await alarms(north))["queue down"]
    assert broker.url in text
    assert "nothing is lost" in text
    assert "check the broker" in text
    assert await lamp_of(north, "alarm") != "off"


async def has_alarm(process: GatewayProcess, code: str) -> bool:
    return code in await alarms(process)


async def has_no_alarm(process: GatewayProcess) -> bool:
    return not await alarms(process)


class FullDisk:
    """The disk of NORTH's state: a small tmpfs where one may be mounted, else a limit on files."""

    def __init__(self, files: StationFiles, *, is_mounted: bool) -> None:
        self._state = files.folder / "state"
        self._filler = self._state / "something-else"
        self._is_mounted = is_mounted

    def __enter__(self) -> Self:
        if self._is_mounted:
            options = f"size={DISK_SIZE}"
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "none", str(self._state)], check=True
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_mounted:
            subprocess.run(["umount", "-l", str(self._state)], check=True)

    def fill(self, process: GatewayProcess) -> None:
        """Leave no room for anything but what files have already."""
        if not self._is_mounted:
            self._limit(process, 4096)
            return
        with self._filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def clear(self, process: GatewayProcess) -> None:
        if self._is_mounted:
            self._filler.unlink()
        else:
            self._limit(process, resource.RLIM_INFINITY)

    def _limit(self, process: GatewayProcess, size: int) -> None:
        assert process.process_id is not None
        limits = (size, resource.RLIM_INFINITY)
        resource.prlimit(process.process_id, resource.RLIMIT_FSIZE, limits)


def may_mount() -> bool:
    """Try it: a container's root may not always."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "none", folder]
        if subprocess.run(mount, check=False, stderr=DEVNULL).returncode != 0:
            return False
        subprocess.run(["umount", folder], check=True)
    return True


@needs_mosquitto
@pytest.mark.parametrize("is_mounted", [True, False] if may_mount() else [False])
async def test_a_full_disk_stops_accepting_and_heals(folder: Path, is_mounted: bool) -> None:
    """503, exit 75 and the error topic say so, the lamp is lit; with room it all goes on."""
    (broker_folder := folder / "broker").mkdir()
    async with mosquitto(broker_folder) as broker, cable(folder):
        stations = write_stations(folder, NORTH=broker.url)
        with FullDisk(stations["NORTH"], is_mounted=is_mounted) as disk:
            async with (
                running(*stations.values()) as (north, south),
                broker.listen("hotline/v1/NORTH/error/#") as errors,
            ):
                await assert_carries(north, south, "before")
                disk.fill(north)
                accepted = await submit_until_refused(north)
                await until(lambda: has_alarm(north, "store refused"))
                assert await lamp_of(north, "alarm") != "off"
                await assert_all_are_told(north, broker, errors)
                waiting = await post(
                    south, "/v1/notices", {**GOOD, "to": "NORTH", "request_id": "while-full"}
                )
                disk.clear(north)
                await until(lambda: has_no_alarm(north))
                await until(lambda: inbox_has(north, waiting["id"]))
                await until(lambda: inbox_has(south, *accepted))
                await assert_carries(north, south, "refused")
                if is_mounted:  # The other limit ends with the process.
                    assert await north.stop() == 0
                    disk.fill(north)
                    await north.start()
                    assert (await submit(north, GOOD, "refused-at-start"))[0] == 503
                    disk.clear(north)
                    await until(lambda: has_no_alarm(north))
                    await assert_carries(north, south, "refused-at-start")


async def submit_until_refused(process: GatewayProcess) -> list[str]:
    """Ids of what was still accepted; the one refused names the folder and what to do."""
    accepted: list[str] = []
    for number in range(500):
        status, document = await submit(process, GOOD, f"fill-{number}")
        if status != 201:
            assert (status, document["code"]) == (503, "store_refused")
            assert str(process.files.folder / "state") in document["detail"]
            assert "free some room" in document["detail"]
            return accepted
        accepted.append(document["id"])
    pytest.fail("a full disk took 500 notices")


async def assert_all_are_told(north: GatewayProcess, broker: Mosquitto, errors: Listener) -> None:
    status, problem = await submit(north, GOOD, "refused")
    assert (status, problem["code"]) == (503, "store_refused")
    ended = await hotline(north.files, *Wrong({}, "", 0, 0, ()).arguments)
    assert ended.code == 75
    assert "disk full" in ended.sentence
    assert "goes on by itself" in ended.sentence
    await broker.submit("NORTH", {**GOOD, "request_id": "refused-too"})
    (told,) = await errors.on("/error/refused-too")
    assert told.json["code"] == "store_refused"
    said = await hotline(north.files, "status")
    assert "STORE REFUSED" in said.output


async def test_restarts_keep_everything_and_alarm_nobody(folder: Path) -> None:
    """Stops in order and SIGKILLs in turn: both boxes stay the same, no alarm at either end."""
    async with cable(folder):
        stations = write_stations(folder)
        async with running(*stations.values()) as (north, south):
            for number in range(3):
                await assert_carries(north, south, f"there-{number}")
                request = {**GOOD, "to": "NORTH", "request_id": f"back-{number}"}
                await post(south, "/v1/notices", request)
            await until(lambda: are_receipted(north))
            await until(lambda: are_receipted(south))
            before = await boxes(north)
            for number in range(RESTART_COUNT):
                if number % 2:
                    await north.kill()
                else:
                    assert await north.stop() == 0
                await north.start()
                assert await boxes(north) == before
                await until(lambda: is_up(north))
                for process in (north, south):
                    assert not {"store rebuilt", "rollback"} & set(await alarms(process))
            await until(lambda: has_no_alarm(north))
            await until(lambda: has_no_alarm(south))
            for process in (north, south):
                assert not await entries_of(process, "store_rebuilt", "rollback")
            await assert_carries(north, south, "after")


async def are_receipted(process: GatewayProcess) -> bool:
    notices = (await get(process, "/v1/outbox"))["notices"]
    return all(one["state"] == "MACHINE RECEIPT" for one in notices)


async def boxes(process: GatewayProcess) -> list[dict[str, Any]]:
    """Everything that both boxes say and that time alone does not change."""
    notices = [
        one for box in ("inbox", "outbox") for one in (await get(process, f"/v1/{box}"))["notices"]
    ]
    return [{k: v for k, v in one.items() if k != "age_s"} for one in notices]


async def entries_of(process: GatewayProcess, *events: str) -> list[Any]:
    """The entries of the log book with one of these names."""
    entries = (await get(process, "/v1/log?limit=1000"))["entries"]
    return [entry for entry in entries if entry["event"] in events]
