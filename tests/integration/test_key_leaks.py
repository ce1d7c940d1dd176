"""No octet of a key leaves the gateway: two real daemons at work, everything they show searched."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.config.keys import line_keys
from gateway.config.load import load_keyring, load_settings
from gateway.security.cards import parse_key_file
from gateway.security.secrets import parse_secrets, secrets_text
from gateway.sim.bench.files import CABLE, LineOptions, StationFiles
from gateway.sim.bench.process import GatewayProcess
from tests.integration.live_line import LiveLine, get, live_line, post, state_of, until

_PR_GET_DUMPABLE = 3
PART_SIZE = 12
"""Octets of a key that are looked for: a part is a leak too."""


def key_material(files: StationFiles) -> dict[str, bytes]:
    """What must stay inside: the station's keys, each secret and each root made of them."""
    own, _ = parse_key_file((files.folder / "station.key").read_text())
    (path,) = files.folder.glob("*.secret")
    secrets = parse_secrets(path.read_text())
    (line,) = load_keyring(load_settings(files.config)).lines.values()
    keys = line_keys(own, line.card, secrets)
    found = {"sign": own.sign_seed, "exchange": own.exchange_seed, "first": secrets.first}
    found |= {f"secret {number}": secret for number, secret in secrets.generations.items()}
    for roots in (keys.newest, keys.former, keys.hello):
        if roots is not None:
            found[f"outbound {roots.generation}"] = roots.outbound
            found[f"inbound {roots.generation}"] = roots.inbound
    return found


def spellings(octets: bytes) -> Iterator[bytes]:
    """Raw, hexadecimal, base64 wherever its groups may begin, as Python shows bytes."""
    part = octets[4 : 4 + PART_SIZE]
    yield part
    yield part.hex().encode()
    yield part.hex().upper().encode()
    yield repr(part)[2:-1].encode()
    for skipped in range(3):
        whole = part[skipped:]
        yield base64.b64encode(whole[: len(whole) // 3 * 3])
        yield base64.urlsafe_b64encode(whole[: len(whole) // 3 * 3])
    yield ", ".join(map(str, part)).encode()


def leaks(shown: Mapping[str, bytes], material: Mapping[str, bytes]) -> list[str]:
    return [
        f"{name} in {place}"
        for place, octets in shown.items()
        for name, key in material.items()
        if any(spelling in octets for spelling in spellings(key))
    ]


def everything_written(files: StationFiles) -> dict[str, bytes]:
    """Local log, store, log book, output: all files but those in which keys belong."""
    return {
        str(path): path.read_bytes()
        for path in files.folder.rglob("*")
        if path.is_file() and path.suffix not in (".key", ".secret")
    }


def shown_by_kernel(process: GatewayProcess) -> dict[str, bytes]:
    """What `ps` and its like read."""
    folder = Path(f"/proc/{process.process_id}")
    names = ("cmdline", "environ", "comm", "status", "maps", "limits")
    return {str(folder / name): (folder / name).read_bytes() for name in names}


async def shown_by_api(process: GatewayProcess) -> dict[str, bytes]:
    paths = ("/v1/status", "/v1/notices", "/v1/log", "/v1/lamps")
    answers = {path: await process.api.request("GET", path) for path in paths}
    return {path: repr(answer).encode() for path, answer in answers.items()}


def test_the_search_finds_what_is_there() -> None:
    """A search that finds nothing anywhere proves nothing: each spelling is found by it."""
    key = {"key": bytes(range(100, 132))}
    text = key["key"]
    written = {
        "raw": b"x" + text + b"y",
        "hex": text.hex().encode(),
        "HEX": text.hex().upper().encode(),
        "repr": repr(text).encode(),
        "numbers": str(list(text)).encode(),
    }
    for skipped in range(3):
        written[f"base64 {skipped}"] = base64.b64encode(b"z" * skipped + text)
    assert len(leaks(written, key)) == len(written)
    assert not leaks({"else": b"harmless" * 9}, key)


async def test_no_key_is_in_anything_that_a_gateway_shows() -> None:
    """Through traffic, a rotation, a wrong frame and a stop, with the local log at debug."""
    async with live_line(LineOptions(baud=115200, links=(CABLE,))) as line:
        stations = (line.north, line.south)
        await line.until_up(CABLE)
        await talk(line)
        material: dict[str, bytes] = {}
        shown: dict[str, bytes] = {}
        secret = os.urandom(32)
        for process in stations:
            shown |= shown_by_kernel(process) | await shown_by_api(process)
            material |= {f"{process.name} {k}": v for k, v in key_material(process.files).items()}
            rotate(process.files, secret)
            await process.stop()
            await process.launch()
            await process.wait_ready()
        await until(lambda: has_rotated(stations))
        await talk(line)
        for process in stations:
            shown |= shown_by_kernel(process) | await shown_by_api(process)
            material |= {f"{process.name} {k}": v for k, v in key_material(process.files).items()}
        for process in stations:
            shown |= everything_written(process.files)
        assert len(material) >= 20
        assert any(b"generation_confirmed" in octets for octets in shown.values())
        assert not leaks(shown, material)
        limits = [octets for place, octets in shown.items() if place.endswith("/limits")]
        cores = [row.split()[4:6] for one in limits for row in one.splitlines() if b"core" in row]
        assert cores == [[b"0", b"0"]] * len(limits)


async def talk(line: LiveLine) -> None:
    document = {"request_id": os.urandom(8).hex(), "to": "SOUTH", "kind": "NOTIFY"}
    more = {"precedence": "FLASH", "operation": "EXERCISE", "text": "lorries on the river road"}
    made = await post(line.north, "/v1/notices", document | more)
    notice_id = made["id"]

    async def is_receipted() -> bool:
        return await state_of(line.north, notice_id) == "MACHINE RECEIPT"

    await until(is_receipted)


def rotate(files: StationFiles, secret: bytes) -> None:
    """As `hotline key rotate` and `line accept` write it."""
    (path,) = files.folder.glob("*.secret")
    path.write_text(secrets_text(parse_secrets(path.read_text()).rotated(2, secret)))


async def has_rotated(stations: tuple[GatewayProcess, ...]) -> bool:
    lines = [line for one in stations for line in (await get(one, "/v1/status"))["lines"]]
    peers = [line["far_gateway"] for line in lines]
    return all(peer and peer["generation"] == 2 and not peer["rotating"] for peer in peers)


def test_the_memory_of_the_daemon_is_private() -> None:
    """Not dumpable, so neither a core nor another process of its user holds it; no core limit."""
    program = (
        "import ctypes, resource; from gateway.runtime.secrecy import keep_memory_private;"
        f"print(keep_memory_private(), ctypes.CDLL(None).prctl({_PR_GET_DUMPABLE}),"
        " resource.getrlimit(resource.RLIMIT_CORE))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.split(maxsplit=2) == ["True", "0", "(0, 0)\n"]
