"""What the commands that speak to a radio share: the loop, the exit code, randomness."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from random import Random
from typing import TypeVar

from gateway.cli.exits import CommandError, ExitCode
from gateway.errors import LinkLostError

T = TypeVar("T")


def run_session(work: Coroutine[object, object, T]) -> T:
    """Run a session; a radio that cannot be reached ends the command with 4."""
    try:
        return asyncio.run(work)
    except LinkLostError as error:
        raise CommandError(ExitCode.UNREACHABLE, str(error)) from error


def new_rng() -> Random:
    """For packet ids and nonces only."""
    return Random(int.from_bytes(os.urandom(8), "big"))  # noqa: S311 (no secret)
