"""Is the time to be trusted, and will it be after a power cut?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.machine import Machine
from gateway.runtime.clock import UTC_EARLIEST, Sources

TOPIC: Final = "clock"


def examine_clock(machine: Machine, sources: Sources, *, is_manual: bool) -> Iterator[Finding]:
    wall_s = sources.wall_ms() // 1000
    if wall_s < UTC_EARLIEST:
        yield fault(
            TOPIC,
            "the clock stands before this software existed; notices will have no time",
            "let NTP set it (timedatectl set-ntp true), or set it by hand: timedatectl set-time",
        )
    elif sources.is_synchronised():
        yield ok(TOPIC, "synchronised by NTP; DTGs are trusted")
    elif is_manual:
        yield ok(TOPIC, "set by hand and vouched for (clock_is_manual); DTGs say MANUAL")
    else:
        yield look(
            TOPIC,
            "NTP does not discipline the clock; notices will have no trusted time",
            "give the machine NTP, or set the clock and write clock_is_manual = true in [station]",
        )
    yield _clock_battery(machine)


def _clock_battery(machine: Machine) -> Finding:
    for name in machine.names("/sys/class/rtc"):
        if name.startswith("rtc"):
            chip = machine.text(f"/sys/class/rtc/{name}/name") or "unknown chip"
            return ok(TOPIC, f"a real-time clock is there ({name}, {chip})")
    return look(
        TOPIC,
        "no real-time clock: after a power cut without network the time is unknown",
        "add one with a battery (DS3231, or that of a Pi 5), or set the time after each boot",
    )
