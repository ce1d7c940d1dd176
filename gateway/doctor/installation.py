"""Configuration, service and versions: what is installed here, and whether it fits together."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from gateway import __version__
from gateway.config.load import load_settings
from gateway.config.settings import Settings
from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.machine import Machine
from gateway.errors import ConfigError

SERVICE: Final = "hotline-gateway"
SYSTEMCTL_S: Final = 5.0
_PROPERTIES: Final = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NRestarts",
    "Result",
    "NeedDaemonReload",
)
_PARTS: Final = ("cryptography", "cbor2", "pyserial", "meshtastic", "protobuf", "paho-mqtt", "h11")


def examine_configuration(path: Path, *, is_named: bool) -> tuple[Settings | None, list[Finding]]:
    """Every problem, and the settings when the file alone can be used."""
    topic = "configuration"
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError:
        if is_named:
            remedy = "set a station up: sudo hotline init; or name the right file with --config"
            return None, [fault(topic, f"{path} is not there", remedy)]
        remedy = "nothing for a look at a radio; to set a station up: sudo hotline init"
        return None, [look(topic, f"{path} is not there; examined what needs none", remedy)]
    except PermissionError:
        text = f"{path} may not be read by this user; examined what needs none"
        return None, [look(topic, text, "run: sudo hotline doctor")]
    except OSError:
        pass  # told below, with the problem
    try:
        settings = load_settings(path, is_asked=True)
    except ConfigError as error:
        remedy = "correct it there, then: sudo -u hotline hotline config check"
        findings = [fault(topic, problem, remedy) for problem in error.problems]
    else:
        return settings, [ok(topic, f"{path} has no problem")]
    try:
        return load_settings(path, check_files=False), findings
    except ConfigError:
        return None, findings


def examine_service(machine: Machine, *, is_set_up: bool = True) -> Iterator[Finding]:
    """Ask systemd; blocks at most 5 s. `is_set_up`: a configuration is there, good or not."""
    if not machine.path("/run/systemd/system").is_dir():
        remedy = "nothing on a bench; on a station use a system with systemd"
        yield look("service", "systemd does not run here; nothing restarts the gateway", remedy)
        return
    command = ["systemctl", "show", SERVICE, f"--property={','.join(_PROPERTIES)}"]
    try:
        shown = subprocess.run(  # noqa: S603 (fixed words)
            command, capture_output=True, text=True, timeout=SYSTEMCTL_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        yield look("service", f"systemctl gave no answer ({error})", "look: systemctl status")
        return
    unit = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    yield judge_service(unit, is_set_up=is_set_up)


def judge_service(unit: Mapping[str, str], *, is_set_up: bool = True) -> Finding:
    """`unit`: properties as `systemctl show` prints them."""
    topic = "service"
    if unit.get("LoadState") != "loaded":
        remedy = f"install systemd/{SERVICE}.service, then: sudo systemctl enable --now {SERVICE}"
        return look(topic, f"{SERVICE} is not installed as a service", remedy)
    state = f"{unit.get('ActiveState')} ({unit.get('SubState')})"
    restarts = int(unit.get("NRestarts") or 0)
    text = f"{SERVICE} is {state}, {unit.get('UnitFileState')}, restarted {restarts} times"
    if unit.get("ActiveState") != "active" and not is_set_up:
        remedy = "set it up: sudo hotline init, and what that says at its end; then:"
        remedy = f"{remedy} sudo systemctl enable --now {SERVICE}"
        return look(topic, f"{SERVICE} is {state}: it has no configuration yet", remedy)
    if unit.get("ActiveState") != "active":
        start = "start" if unit.get("UnitFileState") == "enabled" else "enable --now"
        remedy = f"journalctl -u {SERVICE} -n 20 tells why; then: sudo systemctl {start} {SERVICE}"
        if unit.get("ActiveState") == "inactive" and start != "start":
            remedy = f"start it, now and at each boot: sudo systemctl {start} {SERVICE}"
        return fault(topic, f"{text}, result {unit.get('Result')}", remedy)
    if unit.get("UnitFileState") != "enabled":
        return fault(
            topic, f"{text}: after a power cut it stays off", f"sudo systemctl enable {SERVICE}"
        )
    if unit.get("NeedDaemonReload") == "yes":
        remedy = f"sudo systemctl daemon-reload && sudo systemctl restart {SERVICE}"
        return look(topic, f"{text}; its unit or a drop-in was changed since it was read", remedy)
    if restarts:
        return look(topic, text, f"journalctl -u {SERVICE} tells why it ended")
    return ok(topic, text)


def examine_versions(machine: Machine) -> Iterator[Finding]:
    found: dict[str, str | None] = {}
    for part in _PARTS:
        try:
            found[part] = version(part)
        except PackageNotFoundError:
            found[part] = None
    board = machine.text("/proc/device-tree/model") or platform.machine()
    system = f"Python {platform.python_version()}, Linux {platform.release()}, {board}"
    yield judge_versions(found, system.replace("\0", ""))


def judge_versions(found: Mapping[str, str | None], system: str) -> Finding:
    missing = [part for part, number in found.items() if number is None]
    if missing:
        remedy = "install the gateway again with its lock file"
        return fault("version", f"not installed: {', '.join(missing)}", remedy)
    parts = ", ".join(f"{part} {number}" for part, number in found.items())
    return ok("version", f"hotline-gateway {__version__}, {system}; {parts}")
