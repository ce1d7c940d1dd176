"""Work that opens a task group, run in a task of its own."""

from __future__ import annotations

import asyncio

import pytest

from gateway.runtime.apart import apart


class EndedError(Exception):
    """What the work ends with."""


async def fail() -> None:
    await asyncio.sleep(0)
    raise EndedError


async def work() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
        group.create_task(asyncio.Event().wait())


async def test_a_timeout_after_it_is_a_timeout() -> None:
    """In Python 3.11.2 it ended the task, if the work had not been run apart."""
    for _ in range(2):
        with pytest.raises(ExceptionGroup):
            await apart(work())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()


async def test_a_stop_that_meets_an_error_is_a_stop() -> None:
    """The error of the work is dropped then, and the work is over when the stop leaves."""
    begun = asyncio.Event()

    async def stubborn() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            raise EndedError

    task = asyncio.create_task(apart(stubborn()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
