"""Running the few coroutines of a driver together, with a plain exception when one ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import NoReturn

from gateway.errors import LinkLostError


async def run_together(*coroutines: Coroutine[object, object, NoReturn]) -> NoReturn:
    """Run until one fails, end the others, and raise its `LinkLostError` bare.

    Anything else that was raised is a bug of ours and leaves as the group that it came in.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            for coroutine in coroutines:
                tasks.create_task(coroutine)
    except BaseExceptionGroup as group:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # Before Python 3.13 a group drops a cancel from outside that meets a child's error.
            raise asyncio.CancelledError from None
        lost, ours = group.split(LinkLostError)
        if lost is None or ours is not None:
            raise
        first: BaseException = lost
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
    raise AssertionError("a part of a driver ended without an error")
