"""Runs simulated histories: one here, many on every processor, and tells how far they are."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import Value
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

    from gateway.sim.simulate import Result

_LOOK_S: Final = 1.0
"""How often the bar hears of what the other processes did."""

Tell = Callable[[float, str], None]
"""Takes the share that is done and the virtual hours in words."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is simulated, as plain values that another process understands."""

    profile: str
    hours: float
    loss: float | None
    only: tuple[int, ...] | None = None
    duty_share: float | None = None


def run_histories(chosen: range, order: Order, tell: Tell) -> Iterator[Result]:
    """The results in the order of seeds, each as soon as those before it are there."""
    if len(chosen) == 1:
        yield _run(chosen[0], order, lambda h, of_h: tell(h / of_h, f"{h:.1f} of {of_h:.1f} h"))
        return
    done = Value("d", 0.0)
    total_h = len(chosen) * order.hours

    def tell_all() -> None:
        share = done.value / len(chosen)
        tell(share, f"{share * total_h:.1f} of {total_h:.1f} h")

    with ProcessPoolExecutor(os.cpu_count(), initializer=_begin, initargs=(done,)) as pool:
        waiting = deque(pool.submit(_run_apart, seed, order) for seed in chosen)
        try:
            while waiting:
                while not wait([waiting[0]], timeout=_LOOK_S).done:
                    tell_all()
                tell_all()
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _run(seed: int, order: Order, progress: Callable[[float, float], None]) -> Result:
    """One history, with its speed by the processor's clock."""
    from gateway.sim.speed import simulate_timed

    return simulate_timed(
        seed, order.profile, order.hours, order.loss, order.only, order.duty_share, progress
    )


class _Worker:
    """A process of the pool, which hands shared memory to its start and in no other way."""

    done: ClassVar[Synchronized[float]]
    """Histories that all processes have run, with the shares of those under way."""


def _begin(done: Synchronized[float]) -> None:
    _Worker.done = done


def _run_apart(seed: int, order: Order) -> Result:
    """In a process of the pool."""
    counted = 0.0

    def count(share: float) -> None:
        nonlocal counted
        with _Worker.done.get_lock():
            _Worker.done.value += share - counted
        counted = share

    result = _run(seed, order, lambda h, of_h: count(h / of_h))
    count(1.0)
    return result
