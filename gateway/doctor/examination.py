"""The order of an examination: each subject with its deadline, and what to say when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from gateway.config.settings import MeshtasticLinkSettings, Settings
from gateway.doctor.callers import users_of
from gateway.doctor.clock import examine_clock
from gateway.doctor.daemon import FAR_S, Daemon, ask_daemon, examine_far, judge_daemon
from gateway.doctor.database import VISIT_S, visit_database
from gateway.doctor.disk import examine_disk
from gateway.doctor.disturbance import examine_disturbances
from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.gpio import examine_gpio
from gateway.doctor.installation import (
    SYSTEMCTL_S,
    examine_configuration,
    examine_service,
    examine_versions,
)
from gateway.doctor.keys import examine_keys
from gateway.doctor.machine import UNSEEN, Holder, Machine, named
from gateway.doctor.ports import examine_access, examine_ports
from gateway.doctor.radio import SURVEY_S, examine_radio
from gateway.doctor.reach import RESOLVE_S, examine_reach
from gateway.doctor.waiting import in_thread
from gateway.errors import GatewayError
from gateway.runtime.clock import KernelSources

LOOK_S: Final = 10.0
"""For what only reads files; a card that hangs takes for ever."""
_FAR_MARGIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """What the operator asked for."""

    config: Path
    socket: Path
    is_config_named: bool = False
    port: str | None = None
    is_far: bool = False
    far_s: float = FAR_S


@dataclass(frozen=True, slots=True)
class Step:
    """One subject."""

    topic: str
    title: str
    limit_s: float
    run: Callable[[], Awaitable[Iterable[Finding]]]


async def examine(
    machine: Machine, request: Request, *, rng: Random, tell: Callable[[Step], None]
) -> AsyncIterator[Finding]:
    """Findings as they come; `tell` hears of each subject before it is examined. Never raises."""
    settings: Settings | None = None

    async def configuration() -> list[Finding]:
        nonlocal settings
        settings, findings = await in_thread(
            lambda: examine_configuration(request.config, is_named=request.is_config_named)
        )
        return findings

    daemon = Daemon(None, None)

    async def gateway() -> Iterable[Finding]:
        nonlocal daemon
        folder = None if settings is None else settings.station.state_folder
        daemon = await ask_daemon(machine, request.socket, folder)
        return judge_daemon(daemon)

    for step in (
        Step("configuration", "the configuration", LOOK_S, configuration),
        Step("gateway", "the running gateway", LOOK_S, gateway),
    ):
        async for finding in _take(step, tell):
            yield finding
    for step in _steps(machine, request, settings, daemon, rng):
        async for finding in _take(step, tell):
            yield finding


def _steps(
    machine: Machine, request: Request, settings: Settings | None, daemon: Daemon, rng: Random
) -> list[Step]:
    ports = _ttys(request, settings)
    steps = [
        _reading("port", "serial ports", lambda: examine_ports(machine, ports)),
        _reading("permission", "permissions", lambda: examine_access(machine, ports)),
        _reading("disturbance", "programs in the way", lambda: examine_disturbances(machine)),
    ]
    steps += _radio_steps(machine, request, settings, daemon, rng)
    is_manual = settings is not None and settings.station.clock_is_manual
    steps.append(
        _reading(
            "clock",
            "the clock",
            lambda: examine_clock(machine, KernelSources(), is_manual=is_manual),
        )
    )
    if settings is not None:
        steps += _configured_steps(machine, request, settings)
    steps += [
        _reading(
            "service",
            "the service",
            lambda: examine_service(machine, is_set_up=_is_there(request.config)),
            SYSTEMCTL_S + 1,
        ),
        _reading("version", "versions", lambda: examine_versions(machine)),
    ]
    if request.is_far:
        limit_s = request.far_s + _FAR_MARGIN_S
        title = "the far station, by a TEST comm check"
        steps.append(
            Step("far", title, limit_s, lambda: examine_far(request.socket, daemon, request.far_s))
        )
    return steps


def _is_there(config: Path) -> bool:
    """Also a configuration that this user may not see."""
    try:
        return config.exists()
    except OSError:
        return True


def _configured_steps(machine: Machine, request: Request, settings: Settings) -> list[Step]:
    factory, folder = settings.indicators.factory, settings.station.state_folder
    steps = [
        _reading("gpio", "lamps and button", lambda: examine_gpio(machine, factory)),
        _reading("disk", "the disk", lambda: examine_disk(machine, folder)),
        _reading("database", "the database", lambda: visit_database(machine, folder), VISIT_S),
        _reading("key", "keys and cards", lambda: examine_keys(settings)),
        _reading(
            "service",
            "what the service may reach",
            lambda: examine_reach(machine, settings),
            RESOLVE_S,
        ),
    ]
    if settings.mqtt is not None:
        from gateway.doctor import broker

        mqtt, name = settings.mqtt, settings.station.name
        steps.append(
            Step(
                "broker",
                "the broker",
                broker.VISIT_S,
                lambda: broker.examine_broker(machine, mqtt, name),
            )
        )
    if settings.nats is not None:
        from gateway.doctor import nats as cluster

        nats, name = settings.nats, settings.station.name
        steps.append(
            Step(
                "nats",
                "the NATS cluster",
                cluster.VISIT_S,
                lambda: cluster.examine_nats(nats, name),
            )
        )
    if settings.spare is not None:
        from gateway.doctor import spare

        title, socket = "the spare gateway", request.socket
        visit = Step("spare", title, spare.VISIT_S, lambda: spare.examine_spare(settings, socket))
        steps.append(visit)
    return steps


def _radio_steps(
    machine: Machine, request: Request, settings: Settings | None, daemon: Daemon, rng: Random
) -> list[Step]:
    """Every configured radio, or the one that was named; never a port that someone holds."""
    links = (
        [it for it in settings.links if isinstance(it, MeshtasticLinkSettings)] if settings else []
    )
    if request.port is not None:
        known = [it for it in links if _same(machine, it.port, request.port)]
        far_nodes = [it.node for it in known or links]
        far_node = int(far_nodes[0][1:], 16) if len(set(far_nodes)) == 1 else None
        wanted = [(request.port, far_node, known[0] if known else None)]
    else:
        wanted = [(it.port, int(it.node[1:], 16), it) for it in links]
    return [
        Step(
            "radio",
            f"the radio at {port}",
            SURVEY_S + LOOK_S,
            _radio(machine, port, far_node, link, daemon, rng),
        )
        for port, far_node, link in wanted
    ]


def _radio(  # a closure for each port of the loop above
    machine: Machine,
    port: str,
    far_node: int | None,
    link: MeshtasticLinkSettings | None,
    daemon: Daemon,
    rng: Random,
) -> Callable[[], Awaitable[list[Finding]]]:
    async def run() -> list[Finding]:
        if link is not None and daemon.is_running:
            if others := _beside(daemon, await in_thread(lambda: users_of(machine, port))):
                text = f"{port} belongs to the running gateway, and is open by {named(others)}"
                return [fault("radio", text, others[0].remedy)]
            text = f"{port} belongs to the running gateway and was not touched; it says"
            found = f"{text}: {daemon.detail(link.name)}"
            return [ok("radio", found)] if daemon.status else [look("radio", found, _STOP)]
        is_tcp = port.startswith("tcp://")
        if not is_tcp and not await in_thread(lambda: machine.is_tty(port)):
            return [fault("radio", f"{port} is not a serial port", "correct `port`")]
        holders = await in_thread(lambda: users_of(machine, port))
        if daemon.status and daemon.process in {it.number for it in holders}:
            text = f"{port} is used by the running gateway and was not touched; see its links above"
            return [ok("radio", text)]
        if holders:
            text = f"{port} is open by {named(holders)} and was not touched"
            return [fault("radio", text, f"{holders[0].remedy}, then run this again")]
        return await examine_radio(port, far_node, link, rng=rng)

    return run


def _beside(daemon: Daemon, holders: Iterable[Holder]) -> list[Holder]:
    """Programs that use a port of the running gateway, so that it cannot, or not alone."""
    return [
        it
        for it in holders
        if it != UNSEEN  # most likely the gateway itself
        and (not it.is_gateway if daemon.process is None else it.number != daemon.process)
    ]


_STOP: Final = "sudo systemctl stop hotline-gateway, then run this again for a closer look"


def _ttys(request: Request, settings: Settings | None) -> tuple[str, ...]:
    ports = [link.port for link in settings.links] if settings else []
    if request.port is not None:
        ports.append(request.port)
    return tuple(dict.fromkeys(port for port in ports if port.startswith("/")))


def _same(machine: Machine, one: str, other: str) -> bool:
    if one == other:
        return True
    if not (one.startswith("/") and other.startswith("/")):
        return False
    return machine.path(one).resolve() == machine.path(other).resolve()


def _reading(
    topic: str, title: str, look_at: Callable[[], Iterable[Finding]], limit_s: float = LOOK_S
) -> Step:
    """A step that blocks: in a thread of its own."""
    return Step(topic, title, limit_s, lambda: in_thread(lambda: list(look_at())))


async def _take(step: Step, tell: Callable[[Step], None]) -> AsyncIterator[Finding]:
    """The findings of one step; its failure is one too."""
    tell(step)
    findings: Iterable[Finding]
    try:
        async with asyncio.timeout(step.limit_s):
            findings = await step.run()
    except TimeoutError:
        text = f"{step.title} gave no answer in {step.limit_s:.0f} s"
        findings = [fault(step.topic, text, "it hangs: unplug it or look at dmesg, then again")]
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        text = f"{step.title} could not be examined:{where} {error.strerror or error}"
        findings = [look(step.topic, text, "run: sudo hotline doctor")]
    except GatewayError as error:
        findings = [look(step.topic, f"{step.title}: {error}", "correct that, then again")]
    for finding in findings:
        yield finding
