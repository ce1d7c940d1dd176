"""Work that opens a task group, run where that cannot harm who goes on after it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def apart(work: Coroutine[Any, Any, None]) -> None:
    """Run work in a task of its own, so that a stop is ours alone, and raise what it raises.

    Before Python 3.13 a task group drops a stop that meets an error of a child. In Debian 12's
    (3.11.2) one whose child alone failed leaves the task around it marked as cancelled besides: the
    next timeout there would end it without a word.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it is ended, and so is what it had to say
        raise
    await task
