"""A virtual machine with Debian's own kernel and systemd, driven from a test's event loop.

Owns the QEMU process, what is plugged into it, and the orders to the agent inside. What the
machine is made of is in `build`; what runs in it is the package, as `make deb` left it. Emulated
(TCG) also where the host could virtualise, so that a run differs nowhere: about ten times slower
than the host.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import tempfile
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

IMAGES: Final = Path(os.environ.get("VM_FOLDER") or Path(__file__).parents[3] / ".vm")
"""Where `build` leaves its files; git ignores it."""
MEMORY_MIB: Final = 512
BOOT_S: Final = 120.0
COMMAND_S: Final = 300.0
LINE_SIZE_MAX: Final = 64 << 20
APPEND: Final = (
    "quiet panic=-1 nokaslr random.trust_cpu=on systemd.show_status=0 systemd.log_level=warning"
)
BOARD: Final = {
    "amd64": (
        "qemu-system-x86_64", "-cpu", "max", "-M", "pc,vmport=off,hpet=off",
        "-append", f"console=ttyS0 no_timer_check {APPEND}",
    ),
    # The processor of a Pi 3 and a Zero 2 W, on a board that QEMU runs with all its processors.
    "arm64": (
        "qemu-system-aarch64", "-cpu", "cortex-a53", "-M", "virt", "-dtb", f"{IMAGES}/board.dtb",
        "-append", f"console=ttyAMA0 {APPEND}",
    ),
}  # fmt: skip
"""QEMU's program and what is particular to its board, by Debian's name of the architecture."""


def architecture() -> str:
    """Of the machine that `build` has left."""
    return (IMAGES / "architecture").read_text().strip()


class MachineError(Exception):
    """The machine did not do what a test needs before it can test; with its console."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command of the machine."""

    status: int
    output: str


class Machine:
    """`async with Machine(folder)`: booted, or resumed from what `save` left, until the block ends.

    `card` is a root file system that remembers, and brings a hardware watchdog with it; without one
    the root is what `build` left, and forgets.
    `serial` are devices that `plug` puts in: names and the host's ends, paths of ttys.
    `disks` are raw images of the host, there from the start as /dev/disk/by-id/virtio-NAME.
    `broker_port` of the host's loopback is what the machine reaches as 10.0.2.100:1883; there is no
    other network.
    """

    def __init__(
        self,
        folder: Path,
        *,
        saved: Path | None = None,
        card: Path | None = None,
        serial: Mapping[str, str] | None = None,
        disks: Mapping[str, Path] | None = None,
        broker_port: int | None = None,
    ) -> None:
        self.console = folder / "console.log"
        self._saved = saved
        self._card = card
        self._serial = dict(serial or {})
        self._disks = dict(disks or {})
        self._broker_port = broker_port
        # A socket's path has 107 octets at most.
        self._sockets = Path(tempfile.mkdtemp(prefix="vm-"))
        self._process: Process | None = None
        self._control: _Control | None = None
        self._agent: _Agent | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.kill()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        shutil.rmtree(self._sockets, ignore_errors=True)

    async def start(self) -> None:
        """Start QEMU and wait for the agent. Raises `MachineError`."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command(), stdin=DEVNULL, start_new_session=True
        )
        try:
            async with asyncio.timeout(BOOT_S):
                self._control = _Control(await self._connect("control"))
                await self._control.order("qmp_capabilities")
                if self._saved is not None:
                    while (await self._control.order("query-status"))["status"] != "paused":
                        await asyncio.sleep(0.02)
                    for name in self._disks:
                        await self._control.order(
                            "device_add", driver="virtio-blk-pci", drive=f"disk-{name}",
                            id=f"blk-{name}", serial=name,
                        )  # fmt: skip
                    await self._control.order("cont")
                self._agent = _Agent(await self._connect("agent"))
                await self.must(f"date -u -s @{time.time():.3f}")
        except TimeoutError as error:
            raise MachineError(f"no agent after {BOOT_S:g} s; {self._last_words()}") from error

    async def kill(self) -> None:
        """A power cut: whatever the guest had not yet sent to a disk is gone."""
        for one in (self._control, self._agent):
            if one is not None:
                one.close()
        self._control = self._agent = None
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def run_until_off(self, command: str, *, timeout_s: float) -> None:
        """A command with which it goes off by itself; a reboot ends it too, and so its watchdog."""
        assert self._process is not None, "the machine does not run"
        with suppress(MachineError):  # it may be gone before it has answered
            await self.run(command)
        async with asyncio.timeout(timeout_s):
            await self._process.wait()
        await self.kill()

    async def save(self, path: Path) -> None:
        """Keep the machine as it is now, with nothing plugged in; it stands still afterwards."""
        control = self._open_control()
        await control.order("stop")
        await control.order("migrate", uri=f"exec:cat > '{path}.new'")
        while (status := (await control.order("query-migrate")).get("status")) != "completed":
            if status == "failed":
                raise MachineError(f"{path} was not written")
            await asyncio.sleep(0.05)
        Path(f"{path}.new").replace(path)

    # --- devices

    async def plug(self, name: str, *, number: str | None = None) -> None:
        """Put a USB serial adapter in; it says `name`, or `number`, as its serial number."""
        await self._open_control().order(
            "device_add", driver="usb-serial", id=f"usb-{name}", bus="xhci.0", chardev=name,
            serial=number or name, **{"always-plugged": True},
        )  # fmt: skip

    async def unplug(self, name: str) -> None:
        """Pull it out, whatever uses it."""
        await self._open_control().order("device_del", id=f"usb-{name}")

    # --- the agent

    async def run(self, command: str, *, timeout_s: float = COMMAND_S) -> Ended:
        """A shell command as root; 124: it took longer than `timeout_s`."""
        done = await self._ask({"run": command, "timeout_s": timeout_s}, timeout_s)
        return Ended(done["status"], done["output"])

    async def must(self, command: str, *, timeout_s: float = COMMAND_S) -> str:
        """The output of a command that must succeed."""
        ended = await self.run(command, timeout_s=timeout_s)
        assert ended.status == 0, f"{command}: exit status {ended.status}\n{ended.output}"
        return ended.output

    async def request(self, method: str, target: str, document: object = None) -> tuple[int, Any]:
        """A request at the gateway's socket, by root; status 0: nobody is there."""
        order = {"ask": method, "target": target, "document": document, "timeout_s": 30}
        done = await self._ask(order, 30)
        return done["status"], done["document"]

    async def read(self, path: str) -> str:
        return str((await self._ask({"read": path}, 30))["text"]).strip()

    async def write(self, path: str, content: str | bytes) -> None:
        octets = content.encode() if isinstance(content, str) else content
        await self._ask({"write": path, "octets": base64.b64encode(octets).decode()}, 60)

    async def put(self, file: Path, path: str) -> None:
        """Copy a file of the host into the machine."""
        await self.write(path, await asyncio.to_thread(file.read_bytes))

    async def sample(self, path: str, seconds: float) -> tuple[list[tuple[float, str]], float]:
        """Each change of a file's text with its moment (s, the guest's), and when it ended."""
        done = await self._ask({"sample": path, "seconds": seconds}, seconds + 30)
        return [(moment, text) for moment, text in done["changes"]], done["ended_s"]

    # --- the header

    async def level(self, pin: int) -> int:
        return int(await self.read(f"/run/gpio/sim_gpio{pin}/value"))

    async def drive(self, pin: int, *, high: bool) -> None:
        """Drive an input; claiming it by a program undoes that."""
        await self.write(f"/run/gpio/sim_gpio{pin}/pull", "pull-up" if high else "pull-down")

    # --- QEMU

    async def _ask(self, order: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        assert self._agent is not None, "the machine does not run"
        try:
            async with asyncio.timeout(timeout_s + 30):
                done = await self._agent.ask(order)
        except (TimeoutError, ConnectionError) as error:
            raise MachineError(f"no answer to {str(order)[:100]}; {self._last_words()}") from error
        if "error" in done:
            raise MachineError(f"{str(order)[:100]}: {done['error']}")
        return done

    def _open_control(self) -> _Control:
        assert self._control is not None, "the machine does not run"
        return self._control

    def _command(self) -> list[str]:
        sockets = self._sockets
        network = "user,id=net,restrict=on"
        if self._broker_port is not None:
            # A program for each connection: a chardev is one connection, made before the guest asks
            # for it and gone for ever once it has ended.
            to = f"busybox nc 127.0.0.1 {self._broker_port}"
            network += f",guestfwd=tcp:10.0.2.100:1883-cmd:{to}"
        board = BOARD[architecture()]
        root = f"file={IMAGES}/root.img,readonly=on,file.locking=off"
        if self._card is not None:
            board = (*board[:-1], f"{board[-1]} hotline.card", "-device", "i6300esb")
            root = f"file={self._card},cache=writeback"
        words = [
            *board, "-accel", "tcg,thread=multi,tb-size=256",
            "-smp", "2", "-m", str(MEMORY_MIB),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", f"{IMAGES}/vmlinuz", "-initrd", f"{IMAGES}/initrd.gz",
            "-serial", f"file:{self.console}",
            "-qmp", f"unix:{sockets}/control,server=on,wait=off",
            "-drive", f"if=none,id=root,format=raw,{root}", "-device", "virtio-blk-pci,drive=root",
            "-device", "virtio-rng-pci",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={sockets}/agent,server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=hotline.agent",
            "-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile=",
            "-device", "qemu-xhci,id=xhci",
        ]  # fmt: skip
        for name, path in self._serial.items():
            words += ["-chardev", f"serial,id={name},path={path}"]
        for name, disk in self._disks.items():
            # What the guest has not sent to the disk is lost with QEMU's process.
            words += ["-drive", f"if=none,id=disk-{name},format=raw,file={disk},cache=writeback"]
            if self._saved is None:
                device = f"virtio-blk-pci,drive=disk-{name},id=blk-{name},serial={name}"
                words += ["-device", device]
        if self._saved is not None:
            words += ["-S", "-incoming", f"exec:cat '{self._saved}'"]
        return words

    async def _connect(self, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while True:
            assert self._process is not None
            if self._process.returncode is not None:
                raise MachineError(f"QEMU ended with {self._process.returncode}; see above")
            try:
                path = str(self._sockets / name)
                return await asyncio.open_unix_connection(path, limit=LINE_SIZE_MAX)
            except OSError:
                await asyncio.sleep(0.02)

    def _last_words(self) -> str:
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        return "\n".join([f"{self.console} ends with:", *text.splitlines()[-15:]])


class _Control:
    """QMP: one order after the other; events are dropped."""

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._reader, self._writer = streams
        self._lock = asyncio.Lock()

    async def order(self, name: str, **arguments: object) -> Any:
        async with self._lock:
            document = {"execute": name, "arguments": arguments}
            self._writer.write(json.dumps(document).encode() + b"\n")
            while line := await self._reader.readline():
                answer = json.loads(line)
                if "error" in answer:
                    raise MachineError(f"{name}: {answer['error']['desc']}")
                if "return" in answer:
                    return answer["return"]
        raise MachineError(f"{name}: QEMU is gone")

    def close(self) -> None:
        self._writer.close()


class _Agent:
    """Orders and their answers, by number."""

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._reader, self._writer = streams
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        self._reading = asyncio.create_task(self._read())

    async def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        number = self._count
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._writer.write(json.dumps({"id": number, **order}).encode() + b"\n")
            return await answer
        finally:
            del self._waiting[number]

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                done = json.loads(line)
                if (answer := self._waiting.get(done["id"])) and not answer.done():
                    answer.set_result(done)
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionResetError("the machine is gone"))

    def close(self) -> None:
        self._reading.cancel()
        self._writer.close()
