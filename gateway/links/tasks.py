"""Running the few coroutines of a driver together, with a plain exception when one ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import NoReturn

from gateway.errors import LinkLostError


async def run_together(*coroutines: Coroutine[object, object, NoReturn]) -> NoReturn:
    """Run until one fails, end the others, and raise its `LinkLostError` bare.

    Anything else that was raised is a bug of ours and leaves as a group. A cancel from outside
    always leaves as one: before Python 3.13 a task group loses it when a child fails too, and says
    `cancelling()` for ever after a child alone has failed; so there is none here.
    """
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.add_done_callback(_heard)
            task.cancel()
        await asyncio.wait(tasks)
    errors = [error for task in tasks if not task.cancelled() and (error := task.exception())]
    ours = [error for error in errors if not isinstance(error, LinkLostError)]
    if ours:
        raise BaseExceptionGroup("a driver failed by a fault of ours", ours)
    if errors:
        raise errors[0]
    raise AssertionError("a part of a driver ended without an error")


def _heard(task: asyncio.Future[NoReturn]) -> None:
    """What a part says after a second cancel concerns nobody."""
    if not task.cancelled():
        task.exception()
