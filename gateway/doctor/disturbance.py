"""Programs that grab serial ports: ModemManager and brltty, running or ready to start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.machine import Machine

TOPIC: Final = "disturbance"
OUR_RULE: Final = "60-hotline-gateway.rules"
_RULE_FOLDERS: Final = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d")
_MODEM_MANAGER: Final = ("/usr/sbin/ModemManager", "/usr/libexec/ModemManager")
_BRLTTY: Final = ("/usr/bin/brltty", "/bin/brltty", "/sbin/brltty")
_MASKS: Final = (
    "/etc/systemd/system/brltty-udev.service",
    "/run/systemd/system/brltty-udev.service",
)


def examine_disturbances(machine: Machine) -> Iterator[Finding]:
    running = {name for _, name in machine.processes()}
    has_rule = any(OUR_RULE in machine.names(folder) for folder in _RULE_FOLDERS)
    yield _modem_manager(machine, is_running="ModemManager" in running, has_rule=has_rule)
    yield _brltty(machine, is_running="brltty" in running)


def _modem_manager(machine: Machine, *, is_running: bool, has_rule: bool) -> Finding:
    if has_rule:
        return ok(TOPIC, "ModemManager, if it runs, is told by udev to leave our ports alone")
    remedy = f"install systemd/{OUR_RULE}, or: sudo systemctl disable --now ModemManager"
    if is_running:
        return fault(
            TOPIC,
            "ModemManager runs and no udev rule of ours is installed: it writes to the radio's"
            " port and may restart the radio",
            remedy,
        )
    if any(machine.path(path).exists() for path in _MODEM_MANAGER):
        return look(TOPIC, "ModemManager is installed and would probe the ports", remedy)
    return ok(TOPIC, "ModemManager is not installed")


def _brltty(machine: Machine, *, is_running: bool) -> Finding:
    remedy = "sudo systemctl mask --now brltty-udev.service brltty.service"
    if is_running:
        return fault(TOPIC, "brltty runs and takes USB serial adapters away", remedy)
    is_masked = any(
        machine.path(path).is_symlink() and str(machine.path(path).readlink()) == "/dev/null"
        for path in _MASKS
    )
    if any(machine.path(path).exists() for path in _BRLTTY) and not is_masked:
        return look(
            TOPIC, "brltty is installed and takes CH340 and CP210x adapters when plugged in", remedy
        )
    return ok(TOPIC, "brltty is not in the way")
