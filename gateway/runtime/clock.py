"""The only reader of clocks: what the time is, how far to trust it, and whether it jumped.

Timers use CLOCK_BOOTTIME, which no one sets and which goes on during suspend. The wall clock is
for people, and `None` until someone vouches for it: the kernel (NTP) or the operator.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from gateway.core.events import ClockStepped
from gateway.model import UTC_MAX, Instant, Now, TimeQuality, UtcTime

UTC_EARLIEST: Final = 1_793_491_200
"""2026-11-01: this software did not exist before it, so an earlier wall clock is wrong."""
STEP_MIN_MS: Final = 2_000
"""A smaller change of the wall clock against the boot clock is slewing, not a step."""

SYNCHRONISED_PATH: Final = Path("/run/systemd/timesync/synchronized")
"""Touched by systemd-timesyncd at each synchronisation (systemd-timesyncd.service(8))."""
SYNCHRONISED_MS: Final = 32_000_000
"""As long as the kernel trusts it: until an error of 16 s at 500 ppm (ntp_adjtime(3))."""

_BOOT_ID_PATH: Final = Path("/proc/sys/kernel/random/boot_id")
_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5


class Sources(Protocol):
    """Where the clock reads: the kernel, or a table of a test."""

    def boot_ms(self) -> int:
        """Milliseconds since boot, suspend included."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970 as the wall clock says, right or wrong."""
        ...

    def is_synchronised(self) -> bool:
        """Whether the kernel says that a time daemon disciplines the wall clock."""
        ...

    def boot_id(self) -> str:
        """The kernel's name of this boot; `Instant`s of two boots never compare."""
        ...


class _Timex(ctypes.Structure):
    """The head of `struct timex` (adjtimex(2), 64-bit Linux); the rest is room to write."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


class KernelSources:
    """The clocks of this machine.

    A sandbox that keeps everyone from setting the clock (`ProtectClock=`) forbids the question to
    the kernel too; then what `synchronised` tells counts.
    """

    def __init__(self, *, synchronised: Path = SYNCHRONISED_PATH) -> None:
        self._synchronised = synchronised
        library = ctypes.CDLL(None)
        self._ntp_adjtime: Callable[[object], int] = library.ntp_adjtime

    def boot_ms(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def wall_ms(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000

    def is_synchronised(self) -> bool:
        state = _Timex()
        result = self._ntp_adjtime(ctypes.byref(state))
        if result == -1:
            return self._was_synchronised_lately()
        return result != _TIME_ERROR and not state.status & _STA_UNSYNC

    def _was_synchronised_lately(self) -> bool:
        try:
            at_ms = self._synchronised.stat().st_mtime_ns // 1_000_000
        except OSError:
            return False
        return abs(self.wall_ms() - at_ms) < SYNCHRONISED_MS

    def boot_id(self) -> str:
        return _BOOT_ID_PATH.read_text(encoding="ascii").strip()


@dataclass(slots=True)
class _Seen:
    """What the last look at the wall clock found."""

    offset_ms: int
    quality: TimeQuality


class Clock:
    """Gives `Now`. `is_manual`: the operator sets the wall clock and vouches for it."""

    def __init__(self, sources: Sources, *, is_manual: bool = False) -> None:
        self._sources = sources
        self._is_manual = is_manual
        self._boot_id = sources.boot_id()
        self._seen = _Seen(self._offset_ms(), self._quality())

    def boot_id(self) -> str:
        return self._boot_id

    def instant(self) -> Instant:
        """The boot clock alone: a fifth of the work of `now`."""
        return Instant(self._sources.boot_ms())

    def now(self) -> Now:
        """The time, with the quality that the last `poll` found."""
        instant = self.instant()
        if self._seen.quality is TimeQuality.NONE:
            return Now(instant, None, TimeQuality.NONE)
        utc = self._sources.wall_ms() // 1000
        if not UTC_EARLIEST <= utc <= UTC_MAX:
            return Now(instant, None, TimeQuality.NONE)
        return Now(instant, UtcTime(utc), self._seen.quality)

    def wall(self) -> float:
        """Seconds since 1970 as the wall clock says, trusted or not: for the local log only."""
        return self._sources.wall_ms() / 1000

    def poll(self) -> ClockStepped | None:
        """Look for a jump of the wall clock or a change of its quality since the last call."""
        seen = _Seen(self._offset_ms(), self._quality())
        step_ms = seen.offset_ms - self._seen.offset_ms
        quality_before = self._seen.quality
        self._seen = seen
        if abs(step_ms) > STEP_MIN_MS:
            return ClockStepped(step_s=round(step_ms / 1000))
        if seen.quality is not quality_before:
            return ClockStepped(step_s=0)
        return None

    def _offset_ms(self) -> int:
        return self._sources.wall_ms() - self._sources.boot_ms()

    def _quality(self) -> TimeQuality:
        utc = self._sources.wall_ms() // 1000
        if not UTC_EARLIEST <= utc <= UTC_MAX:
            return TimeQuality.NONE
        if self._sources.is_synchronised():
            return TimeQuality.SYNCHRONISED
        return TimeQuality.MANUAL if self._is_manual else TimeQuality.NONE


def elapsed_s() -> float:
    """Seconds of the boot clock; for telling people now and then how far a long command is."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def processor_s() -> float:
    """Processor time that this process has used; for figures of speed, which others then share."""
    return time.process_time()
