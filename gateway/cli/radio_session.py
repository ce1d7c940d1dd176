"""What the commands that speak to a radio share: the loop, the exit code, randomness."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from random import Random
from typing import TypeVar

from gateway.cli.exits import CommandError, ExitCode
from gateway.errors import LinkLostError, PortInUseError

T = TypeVar("T")


def run_session(port: str, work: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run a session with the radio at `port`; one that cannot be reached ends the command with 4.

    A node on TCP would put its client out for us, so that client is looked for first.
    """
    if port.startswith("tcp://") and (sentence := _in_use(port)):
        raise CommandError(ExitCode.UNREACHABLE, sentence)
    try:
        return asyncio.run(work())
    except PortInUseError as error:
        sentence = _in_use(port) or (
            f"{error}; the running gateway: sudo systemctl stop hotline-gateway"
        )
        raise CommandError(ExitCode.UNREACHABLE, sentence) from error
    except LinkLostError as error:
        raise CommandError(ExitCode.UNREACHABLE, str(error)) from error


def _in_use(port: str) -> str:
    """By whom, and how to get the port back; empty: by nobody that is seen."""
    from gateway.doctor.callers import users_of
    from gateway.doctor.machine import Machine, named

    others = [it for it in users_of(Machine(), port) if it.number != os.getpid()]
    if not others:
        return ""
    return f"{port} is in use by {named(others)}; {others[0].remedy}, then run this again"


def new_rng() -> Random:
    """For packet ids and nonces only."""
    return Random(int.from_bytes(os.urandom(8), "big"))  # noqa: S311 (no secret)
