"""An asyncio loop in virtual time: where nothing is ready, its clock jumps to the next timer.

For drivers and supervisors over devices in memory. Threads and real descriptors do not belong on
it: it would not wait for them.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

_BLOCK_S_MAX: Final = 10.0
"""Real seconds without a timer and without a ready descriptor: everything waits for ever."""

T = TypeVar("T")


class _JumpingSelector(selectors.BaseSelector):
    """Never sleeps: a wait of `timeout` seconds moves the clock by as much."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        self._real = selectors.DefaultSelector()
        self._jump = jump

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:  # noqa: ANN401 (as the base class)
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:  # noqa: ANN401
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:  # noqa: ANN401
        return self._real.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready = self._real.select(_BLOCK_S_MAX)
            if not ready:
                raise RuntimeError("every task waits for ever: nothing has a deadline")
            return ready
        if timeout > 0:
            self._jump(timeout)
        return []

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time` starts at 0 and counts only what was waited for."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        return self._now_s

    def _jump(self, duration_s: float) -> None:
        self._now_s += duration_s


def run_virtual(coroutine: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
