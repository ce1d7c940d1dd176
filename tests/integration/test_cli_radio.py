"""`hotline radio` and `hotline doctor --port` at simulated radios on a pty and on TCP."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import os
import pty
import subprocess
import sys
import termios
import tty
from pathlib import Path
from random import Random

import pytest

from gateway.links.meshtastic.protobuf import admin_pb2, config_pb2
from gateway.sim.air import Air
from gateway.sim.radio import SimulatedRadio
from gateway.sim.radio.peers import public_key_of
from tests.integration.radio_at_port import (
    DEADLINE_S,
    NORTH,
    ROOT,
    environment,
    hotline,
    radio_on_pty,
    radio_on_tcp,
    two_radios,
)

KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "channel.key"
    path.write_text(KEY + "\n")
    path.chmod(0o600)
    return path


async def test_a_fresh_radio_is_set_up_and_then_the_doctor_finds_nothing(
    tmp_path: Path, key_file: Path
) -> None:
    """Shown, written, restarted, read again; the second time nothing is written."""
    wishes = (
        *("--preset", "short-fast", "--role", "client_mute", "--channel", "Hotline"),
        *("--channel-key-file", str(key_file), "--long-name", "NORTH hotline"),
    )
    async with radio_on_pty(two_radios(), tmp_path / "radio") as port:
        before = await hotline("radio", "show", "--port", port, "--json")
        assert (before.code, before.document["preset"]) == (0, "LONG_FAST")
        asked = await hotline("radio", "set-up", "--port", port, *wishes)
        assert asked.code == 2
        assert "lora.modem_preset" in asked.out
        assert "nothing was written" in asked.err
        done = await hotline("radio", "set-up", "--port", port, *wishes, "--yes")
        assert done.code == 0, done.err
        assert "written, restarted and verified: 7 settings" in done.out
        assert KEY not in done.out
        again = await hotline("radio", "set-up", "--port", port, *wishes)
        assert (again.code, "nothing was written" in again.out) == (0, True)
        after = await hotline("radio", "show", "--port", port, "--json")
        assert (after.document["preset"], after.document["role"]) == ("SHORT_FAST", "CLIENT_MUTE")
        assert after.document["channel"] == "Hotline"
        assert after.document["long_name"] == "NORTH hotline"
        assert [it["name"] for it in after.document["nodes"]] == ["South"]
        found = await hotline("doctor", "--port", port, "--json")
        assert found.code == 0, found.out
        of_radio = [it for it in found.document["findings"] if it["topic"] == "radio"]
        assert [it["mark"] for it in of_radio] == ["ok"] * len(of_radio)
        assert len(of_radio) >= 8


async def test_a_radio_on_tcp() -> None:
    """The same by tcp://, with a set-up."""
    async with radio_on_tcp(two_radios()) as port:
        found = await hotline("doctor", "--port", port, "--json")
        found.has("ok", f"!4d4c00a1 'North' at {port} answers")
        found.has("look", "the key of every fresh radio")
        wishes = ("--role", "CLIENT_MUTE", "--channel", "Hotline", "--yes")
        done = await hotline("radio", "set-up", "--port", port, *wishes)
        assert done.code == 0, done.err
        assert "look: the channel keeps the key of every fresh radio" in done.err
        shown = await hotline("radio", "show", "--port", port)
        assert "CLIENT_MUTE" in shown.out


async def test_a_radio_out_of_its_box_gets_region_and_key() -> None:
    """Without a region it has no key either; the set-up asks for the region, and shows the key."""
    north = SimulatedRadio(NORTH, "North", Air(Random(1)), region="UNSET")
    async with radio_on_tcp(north) as port:
        found = await hotline("doctor", "--port", port, "--json")
        found.has("fault", "no region is set, so it does not transmit")
        found.has("fault", "it has no public key")
        refused = await hotline("radio", "set-up", "--port", port, "--yes")
        assert (refused.code, "has no region" in refused.err) == (2, True)
        done = await hotline("radio", "set-up", "--port", port, "--yes", "--region", "EU_868")
        assert done.code == 0, done.err
        key = base64.b64encode(public_key_of(NORTH)).decode()
        assert f'own_node = "!4d4c00a1", own_key = "{key}"' in done.out
        found = await hotline("doctor", "--port", port, "--json")
        found.has("ok", "region EU_868, preset LONG_FAST, transmitter on")
        found.has("ok", f"public key {key}")


async def test_a_radio_forgets_another_that_was_reset() -> None:
    """Its key goes with it; a node that it does not know, or that is none, is said."""
    async with radio_on_tcp(two_radios()) as port:
        for node, code, words in (
            ("!4d4c00c3", 5, "knows no other radio !4d4c00c3"),
            ("!4d4c00a1", 5, "knows no other radio"),
            ("4d4c00c3", 5, "knows no other radio !4d4c00c3"),
            ("4d4c00b", 2, "is no node"),
        ):
            refused = await hotline("radio", "forget", node, "--port", port)
            assert (refused.code, words in refused.err) == (code, True), refused
        done = await hotline("radio", "forget", "!4d4c00b2", "--port", port)
        assert (done.code, "forgot !4d4c00b2; start the gateway" in done.out) == (0, True), done
        after = await hotline("radio", "show", "--port", port, "--json")
        assert after.document["nodes"] == []


async def test_a_managed_radio_says_that_it_takes_no_settings() -> None:
    """It would drop each order in silence."""
    north = two_radios()
    security = config_pb2.Config.SecurityConfig(is_managed=True, public_key=bytes(range(32)))
    order = admin_pb2.AdminMessage()
    order.set_config.security.CopyFrom(security)
    north._admin.obey(order, reboot=lambda _seconds: None)
    async with radio_on_tcp(north) as port:
        refused = await hotline("radio", "set-up", "--port", port, "--yes", "--role", "CLIENT_MUTE")
        assert (refused.code, "is managed" in refused.err) == (1, True), refused.err
        assert "nothing was written" in refused.err


async def test_a_radio_on_tcp_that_a_program_uses_is_not_taken_from_it() -> None:
    """A second client would put the first out: it is named instead, however the port is written."""
    async with radio_on_tcp(two_radios()) as port:
        number = port.rpartition(":")[2]
        reader, writer = await asyncio.open_connection("127.0.0.1", int(number))
        for other in (port, f"tcp://localhost:{number}"):
            for command in (("radio", "show"), ("radio", "set-up", "--yes", "--region", "EU_868")):
                refused = await hotline(*command, "--port", other)
                assert (refused.code, f"{other} is in use by " in refused.err) == (4, True)
                assert f"(process {os.getpid()})" in refused.err
            found = await hotline("doctor", "--port", other, "--json")
            found.has("fault", f"{other} is open by ")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read()  # not closed
        writer.close()
        await writer.wait_closed()
        shown = await hotline("radio", "show", "--port", port)
        assert shown.code == 0, shown.err


async def test_a_fault_of_a_radio_is_exit_code_1(tmp_path: Path) -> None:
    """A port without a radio, a port that is silent, no server: each one sentence, each in time."""
    gone = await hotline("doctor", "--port", str(tmp_path / "none"), "--json")
    assert gone.code == 1
    gone.has("fault", "is not there")
    null = await hotline("doctor", "--port", "/dev/null", "--json")
    null.has("fault", "/dev/null is not a serial port")
    master, slave = pty.openpty()
    try:
        tty.setraw(slave)
        fcntl.ioctl(slave, termios.TIOCEXCL)
        fcntl.flock(slave, fcntl.LOCK_EX)
        silent = await hotline("doctor", "--port", os.ttyname(slave), "--json")
        busy = await hotline("radio", "show", "--port", os.ttyname(slave))
    finally:
        os.close(master)
        os.close(slave)
    assert silent.code == 1
    held = [it for it in silent.document["findings"] if "was not touched" in it["text"]]
    assert held, "this test has it open"
    assert busy.code == 4
    assert "is in use by" in busy.err
    assert f"(process {os.getpid()}), then run this again" in busy.err
    shown = await hotline("radio", "show", "--port", "tcp://127.0.0.1:1")
    assert shown.code == 4
    assert "is not there" in shown.err


async def test_a_silent_port_ends_in_time() -> None:
    """A server that takes octets and never answers: the handshake's deadline ends it."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        found = await hotline("doctor", "--port", port, "--json")
    finally:
        server.close()
    assert found.code == 1
    found.has("fault", f"no Meshtastic radio answered at {port} in 15 s")


def configuration(folder: Path, port: str, *more: str, own_node: str = "!4d4c00a1") -> Path:
    """NORTH's file with one radio and what its link wants of it; no key is there or read."""
    path = folder / "hotline.toml"
    path.write_text(
        "\n".join(
            (
                f'[station]\nname = "NORTH"\nkey_file = "{folder}/station.key"',
                f'runtime_folder = "{folder}/run"',
                f'[[line]]\ncard = "{folder}/SOUTH.card"\nsecret_file = "{folder}/SOUTH.secret"',
                '[[line.link]]\nname = "radio"\ndriver = "meshtastic"',
                f'port = "{port}"\nnode = "!4d4c00b2"\nown_node = "{own_node}"',
                *more,
                '[indicators]\nfactory = "none"\n',
            )
        )
    )
    return path


async def test_the_settings_come_from_the_configuration_and_options_override(
    tmp_path: Path, key_file: Path
) -> None:
    """The link's keys, one of them overridden; verified after the restart; doctor agrees."""
    async with radio_on_pty(two_radios(), tmp_path / "radio") as port:
        config = configuration(
            tmp_path,
            port,
            'preset = "SHORT_FAST"\nrole = "CLIENT_MUTE"\nhop_limit = 2\nregion = "EU_868"',
            f'channel = "Hotline"\nchannel_key_file = "{key_file}"\nlong_name = "NORTH line"',
        )
        before = await hotline("doctor", "--json", config=config)
        before.has("fault", "lora.modem_preset is LONG_FAST, link radio says SHORT_FAST")
        before.has("fault", "channel.key is ")
        before.has("look", "device.role is CLIENT, link radio says CLIENT_MUTE")
        done = await hotline("radio", "set-up", "--hop-limit", "4", "--yes", config=config)
        assert done.code == 0, done.err
        assert f"Settings of link radio of {config}, with hop_limit of the options" in done.out
        assert "lora.hop_limit" in done.out
        assert 'here: own_node = "!4d4c00a1", own_key = "' in done.out
        after = await hotline("radio", "show", "--port", port, "--json")
        values = {name: after.document[name] for name in ("preset", "role", "channel", "hop_limit")}
        assert values == {
            "preset": "SHORT_FAST",
            "role": "CLIENT_MUTE",
            "channel": "Hotline",
            "hop_limit": 4,
        }
        assert after.document["long_name"] == "NORTH line"
        again = await hotline("radio", "set-up", "--yes", "--json", config=config)
        assert [it["setting"] for it in again.document["changes"]] == ["lora.hop_limit"]
        found = await hotline("doctor", "--json", config=config)
        found.has("ok", "it is set to what link radio says")


async def test_a_wrong_radio_or_link_is_not_set_up(tmp_path: Path) -> None:
    """Another radio than own_node, an unknown link, no port at all: nothing is written."""
    radio = two_radios()
    async with radio_on_pty(radio, tmp_path / "radio") as port:
        role = 'role = "CLIENT_MUTE"'
        config = configuration(tmp_path, port, role, own_node="!4d4c00a9")
        other = await hotline("radio", "set-up", "--yes", config=config)
        assert (other.code, "is !4d4c00a1 and not !4d4c00a9" in other.err) == (1, True)
        link = await hotline("radio", "set-up", "--link", "cable", config=config)
        assert (link.code, "has no radio 'cable'" in link.err) == (2, True)
        shown = await hotline("radio", "show", "--port", port, "--json")
        assert shown.document["role"] == "CLIENT"
    nothing = await hotline("radio", "set-up", "--yes", config=tmp_path / "none.toml")
    assert (nothing.code, "is not there" in nothing.err) == (78, True)


@pytest.mark.parametrize("port", ["ttyACM0", "tcp://", "tcp://host:port", "http://host"])
async def test_a_port_that_is_none(port: str) -> None:
    """A usage error with what to write."""
    for command in (("doctor",), ("radio", "show")):
        ended = await hotline(*command, "--port", port)
        assert (ended.code, "tcp://host:4403" in ended.err) == (2, True)


async def test_wrong_wishes_touch_no_radio(tmp_path: Path, key_file: Path) -> None:
    """An unknown word, a key that others may read, a key that is none."""
    port = ("--port", str(tmp_path / "none"))
    word = await hotline("radio", "set-up", *port, "--region", "ATLANTIS")
    assert (word.code, "EU_868" in word.err) == (2, True)
    key_file.chmod(0o644)
    wish = ("--channel", "Hotline", "--channel-key-file", str(key_file))
    opened = await hotline("radio", "set-up", *port, *wish)
    assert (opened.code, "chmod 600" in opened.err) == (78, True)
    key_file.chmod(0o600)
    key_file.write_text("c2hvcnQ=\n")
    short = await hotline("radio", "set-up", *port, *wish)
    assert (short.code, "has 5 octets" in short.err) == (2, True)


@pytest.mark.parametrize(("answer", "code"), [("n", 130), ("y", 0)])
async def test_a_person_is_asked(answer: str, code: int, tmp_path: Path) -> None:
    """On a terminal the question comes behind the table; no writes nothing, yes writes."""
    radio = two_radios()
    async with radio_on_pty(radio, tmp_path / "radio") as port:
        ended, shown = await asyncio.to_thread(
            on_a_terminal, ["radio", "set-up", "--port", port, "--role", "CLIENT_MUTE"], answer
        )
        assert ended == code, shown
        assert shown.index("device.role") < shown.index("Write these settings")
        after = await hotline("radio", "show", "--port", port, "--json")
        assert after.document["role"] == {"n": "CLIENT", "y": "CLIENT_MUTE"}[answer]


async def test_progress_is_for_a_terminal_only() -> None:
    """Each subject is named with its deadline while a person waits; a pipe gets findings alone."""
    _, shown = await asyncio.to_thread(on_a_terminal, ["doctor"], "")
    assert "... the running gateway (at most 10 s)" in shown
    piped = await hotline("doctor")
    assert "..." not in piped.err


def on_a_terminal(arguments: list[str], answer: str) -> tuple[int, str]:
    """Run the command on a terminal of its own and answer its question; code and screen."""
    terminal, far_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli.main", *arguments],
        stdin=far_end,
        stdout=far_end,
        stderr=far_end,
        cwd=ROOT,
        env=environment(),
    )
    os.close(far_end)
    screen, is_answered = b"", not answer
    while True:
        try:
            octets = os.read(terminal, 4096)
        except OSError:  # The far end of a pty is gone: the command has ended.
            break
        if not octets:
            break
        screen += octets
        if not is_answered and b"[y/N]" in screen:
            is_answered = True
            os.write(terminal, answer.encode() + b"\n")
    os.close(terminal)
    return process.wait(DEADLINE_S), screen.decode()
