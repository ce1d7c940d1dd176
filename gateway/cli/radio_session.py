"""What the commands that speak to a radio share: the loop, the exit code, randomness."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from random import Random
from typing import TypeVar

from gateway.cli.exits import CommandError, ExitCode
from gateway.errors import LinkLostError, PortInUseError

T = TypeVar("T")


def run_session(work: Coroutine[object, object, T]) -> T:
    """Run a session; a radio that cannot be reached ends the command with 4."""
    try:
        return asyncio.run(work)
    except PortInUseError as error:
        raise CommandError(ExitCode.UNREACHABLE, _in_use(error)) from error
    except LinkLostError as error:
        raise CommandError(ExitCode.UNREACHABLE, str(error)) from error


def _in_use(error: PortInUseError) -> str:
    """By whom, and how to get the port back; others' programs need root to see."""
    from gateway.doctor.machine import Machine, named

    others = [it for it in Machine().holders(error.port) if it.number != os.getpid()]
    if not others:
        return f"{error}; the running gateway: sudo systemctl stop hotline-gateway"
    return f"{error.port} is in use by {named(others)}; {others[0].remedy}, then run this again"


def new_rng() -> Random:
    """For packet ids and nonces only."""
    return Random(int.from_bytes(os.urandom(8), "big"))  # noqa: S311 (no secret)
