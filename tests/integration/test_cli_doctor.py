"""`hotline doctor` at a real station: beside a running gateway, without it, at a real broker."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.doctor.broker import connect_packet
from gateway.doctor.nats import SYNC_VERSION
from gateway.sim.bench.files import RADIO, LineOptions, Ports, StationFiles, write_line
from gateway.sim.bench.submit import post
from tests.integration.desk_double import MemoryDesk
from tests.integration.live_line import LiveLine, live_line, until
from tests.integration.mosquitto import mosquitto, needs_mosquitto, shipped_mosquitto
from tests.integration.nats_cluster import nats_server, needs_nats, program, server_version
from tests.integration.nats_running import running
from tests.integration.radio_at_port import Ended, hotline, radio_on_pty, two_radios

FAR_NODE = {"NORTH": "!4d4c00b2", "SOUTH": "!4d4c00a1"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short: the path of a Unix socket has at most 107 octets."""
    path = Path(tempfile.mkdtemp(prefix="hotline-test-"))
    yield path
    shutil.rmtree(path)


def station(folder: Path, broker: str | None = None) -> StationFiles:
    """NORTH's files, with a radio as its only link."""
    ports = {
        name: Ports(radio=str(folder / f"radio-{name}"), far_node=FAR_NODE[name], cable="")
        for name in FAR_NODE
    }
    urls = {} if broker is None else {"NORTH": broker}
    line = write_line(folder, ports, LineOptions(baud=9600, links=(RADIO,), mqtt_urls=urls))
    return line.stations["NORTH"]


async def test_without_a_gateway_the_radio_itself_is_asked(folder: Path) -> None:
    """Keys with their words, disk, radio with the far one; no gateway runs; then a bad key file."""
    files = station(folder)
    async with radio_on_pty(two_radios(), folder / "radio-NORTH"):
        found = await hotline("doctor", "--json", config=files.config)
        assert found.code == 0, found.out
        for mark, words in (
            ("ok", "hotline.toml has no problem"),
            ("look", "does not run"),
            ("ok", "answers: firmware 2.7.26"),
            ("ok", "far radio !4d4c00b2 'South' known with its key"),
            ("look", "the lamps are simulated"),
            ("ok", "reached the disk"),
            ("ok", "no database yet"),
            ("ok", "own card NORTH (station 1): words "),
            ("ok", "far card SOUTH (station 2): words "),
        ):
            found.has(mark, words)
        (files.folder / "station.key").chmod(0o644)
        found = await hotline("doctor", "--json", config=files.config)
        assert found.code == 1
        found.has("fault", "others may read or change it")
        found.has("fault", "station.key may be read by others")
        found.has("ok", "answers: firmware 2.7.26")
    found = await hotline("doctor", config=files.config)
    assert found.code == 1
    assert "fault  radio" in found.out
    assert "do: plug the device in" in found.out


async def test_beside_a_running_gateway_its_ports_are_not_touched(folder: Path) -> None:
    """The gateway is asked; its radio goes on without a new session; --far goes through it."""
    options = LineOptions(baud=9600, links=(RADIO,))
    async with live_line(options) as line:
        await line.until_up(RADIO)
        config = line.north.files.config
        port = str(line.folder / "radio-north")

        async def seen() -> Ended | None:
            """Hellos that cross at the start take the answer back for half a second."""
            found = await hotline("doctor", "--json", config=config)
            return found if "far gateway SOUTH answers" in found.out else None

        found = await until(seen)
        assert found.code == 0, found.out
        found.has("ok", "runs and answers")
        found.has("ok", "link radio to SOUTH")
        found.has("ok", "is sound: trees, rows and the log book's chain, read in ")
        found.has("ok", f"{port} belongs to the running gateway and was not touched; it says")
        named = await hotline("doctor", "--json", "--port", port, config=config)
        named.has("ok", f"{port} belongs to the running gateway")
        elsewhere = line.folder / "elsewhere.toml"  # as where `hotline run --port` was used
        elsewhere.write_text(config.read_text().replace(port, f"{port}-of-the-file"))
        used = await hotline("doctor", "--json", "--port", port, config=elsewhere)
        used.has("ok", f"{port} is used by the running gateway and was not touched")
        other = await hotline("doctor", "--json", "--port", port)
        other.has("fault", "is open by")
        refused = await hotline("radio", "show", "--port", port)
        assert (refused.code, "is in use by " in refused.err) == (4, True)
        far = await hotline("doctor", "--json", "--far", "--timeout", "5s", config=config)
        for words in ("our device works (radio)", "the path works", "their gateway stored"):
            far.has("ok", words)
        far.has("look", "no person has answered the check yet")
        status, document = await line.south.api.request("GET", "/v1/inbox")
        assert status == 200
        (check,) = document["notices"]
        assert (check["kind"], check["operation"]) == ("CHECK", "TEST")


async def answer_the_check(line: LiveLine) -> str:
    """The far operator: waits for the check on SOUTH's screen, reads it and says ROGER."""

    async def check() -> str | None:
        _, document = await line.south.api.request("GET", "/v1/inbox")
        found = [it["id"] for it in document["notices"] if it["kind"] == "CHECK"]
        return found[0] if found else None

    notice_id = str(await until(check))
    await post(line.south, f"/v1/notices/{notice_id}/displayed", None)
    answer = {"answer": "ROGER", "request_id": "watch-1"}
    await post(line.south, f"/v1/notices/{notice_id}/answers", answer)
    return notice_id


async def test_a_person_at_the_far_end_answers_the_check() -> None:
    """Two gateways on ptys: device, path, gateway and watch, each with its time."""
    async with live_line(LineOptions(baud=9600)) as line:
        await line.until_up(RADIO, "cable")
        far, notice_id = await asyncio.gather(
            hotline(
                "doctor", "--json", "--far", "--timeout", "60s", config=line.north.files.config
            ),
            answer_the_check(line),
        )
        assert far.code == 0, far.out
        far.has("ok", "SOUTH: our device works (radio, cable)")
        far.has("ok", f"SOUTH: their gateway stored {notice_id} after ")
        far.has("ok", "SOUTH: their watch answered ROGER after ")
        of_far = [it for it in far.document["findings"] if it["topic"] == "far"]
        assert [it["mark"] for it in of_far] == ["ok"] * 4


async def test_nobody_at_the_far_end() -> None:
    """No gateway there: the path and their gateway are named, within the time that was given."""
    async with live_line(LineOptions(baud=9600, links=("cable",))) as line:
        await line.until_up("cable")
        await line.south.kill()
        try:
            far = await hotline(
                "doctor", "--json", "--far", "--timeout", "3s", config=line.north.files.config
            )
        finally:
            await line.south.start()
        assert far.code == 1
        far.has("ok", "SOUTH: our device works (cable)")
        far.has("fault", "SOUTH: their gateway has not receipted ")
        far.has("look", "SOUTH: no person has answered the check yet (state SENT)")


async def test_a_gateway_that_is_away_has_no_far_test(folder: Path) -> None:
    """--far says what to start."""
    found = await hotline("doctor", "--json", "--far", config=station(folder).config)
    assert found.code == 1
    found.has("fault", "no gateway runs here")


@needs_mosquitto
async def test_the_broker_is_greeted_and_nothing_stays(folder: Path) -> None:
    """Accepted, refused, away; after it the broker has no session of ours."""
    async with mosquitto(folder) as broker:
        files = station(folder, broker.url)
        found = await hotline("doctor", "--json", config=files.config)
        found.has("ok", f"{broker.url} accepts no user")
        found.has("ok", "receive maximum 20")
        # The same client without a clean start: the broker tells whether it kept a session.
        connect = bytearray(connect_packet("hotline-doctor-NORTH", None, None))
        connect[connect.index(b"MQTT") + 5] = 0
        reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
        writer.write(connect)
        connack = await reader.readexactly(4)
        writer.close()
        assert connack[0] == 0x20
        assert connack[2:] == b"\x00\x00", "no session present, and success"
    found = await hotline("doctor", "--json", config=files.config)
    found.has("fault", f"{broker.url} cannot be reached")


@needs_mosquitto
async def test_the_shipped_settings_of_mosquitto_are_known(folder: Path) -> None:
    """With them nothing is said but that it is well; without, what is lost and what to set."""
    async with mosquitto(folder) as broker:
        found = await hotline("doctor", "--json", config=station(folder, broker.url).config)
        found.has("fault", f"{folder}/mosquitto.conf: persistence is false")
    drops = ("max_queued_messages 1", "max_queued_bytes 100", "max_packet_size 8000")
    (dropping := folder / "drops").mkdir()
    async with mosquitto(dropping, *drops, is_persistent=True) as broker:
        found = await hotline("doctor", "--json", config=station(dropping, broker.url).config)
        for setting in drops:
            found.has("fault", f"{dropping}/mosquitto.conf: {setting.replace(' ', ' is ')}: ")
        found.has("fault", "packets of at most 8000 octets")
    (folder / "shipped").mkdir()
    async with shipped_mosquitto(folder / "shipped") as broker:
        config = station(folder / "shipped", broker.url).config
        found = await hotline("doctor", "--json", config=config)
        found.has("ok", "mosquitto.conf: it writes down each change")


@needs_nats
async def test_the_streams_of_a_cluster_are_compared(folder: Path) -> None:
    """Missing, as shipped once a gateway made them, unsafe, away: each is said, nothing is made."""
    async with nats_server(folder) as server, program(server.url) as client:
        major, minor = server_version()
        config = station(folder).config
        table = f'[nats]\nservers = ["{server.url}"]\nreplicas = 1\n'
        config.write_text(config.read_text() + table)
        found = await hotline("doctor", "--json", config=config)
        found.has("ok", f"{server.url} accepts us, nats-server {major}.{minor}.")
        old = [it for it in found.document["findings"] if "knows no sync_interval" in it["text"]]
        assert bool(old) == ((major, minor) < SYNC_VERSION)
        found.has("look", "stream HOTLINE_NOTICE is not there yet")
        assert not await client.jetstream().streams_info()
        async with running(server.url, desk=MemoryDesk()):
            pass
        found = await hotline("doctor", "--json", config=config)
        found.has("ok", "stream HOTLINE_NOTICE is as shipped, 1 copy, 0 messages")
        found.has("ok", "consumer gateway-NORTH-submit is as shipped")
        manager = client.jetstream()
        stream = (await manager.stream_info("HOTLINE_NOTICE")).config
        await manager.update_stream(stream, max_msgs=1)
        await manager.publish("hotline.v1.NORTH.notice.test.routine", b"{}")
        found = await hotline("doctor", "--json", config=config)
        assert found.code == 1
        found.has("fault", "stream HOTLINE_NOTICE is 100 % full, 1 of 1 messages")
        await manager.update_stream(stream, max_msgs=-1)
        await manager.delete_stream("HOTLINE_STATE")
        await manager.add_stream(
            name="HOTLINE_STATE", subjects=["hotline.v1.*.state.*"], storage="memory"
        )
        found = await hotline("doctor", "--json", config=config)
        assert found.code == 1
        found.has("fault", 'stream HOTLINE_STATE: storage is "memory"')
    found = await hotline("doctor", "--json", config=config)
    found.has("fault", "cannot be reached")


@needs_mosquitto
async def test_a_broker_that_refuses_us(folder: Path) -> None:
    """Without the user that it wants."""
    (folder / "passwords").write_text("")
    lines = ("allow_anonymous false", f"password_file {folder}/passwords")
    async with mosquitto(folder, *lines) as broker:
        files = station(folder, broker.url)
        found = await hotline("doctor", "--json", config=files.config)
    assert found.code == 1
    found.has("fault", "refuses no user: Not authorized")
