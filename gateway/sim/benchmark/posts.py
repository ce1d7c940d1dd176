"""Both ends of many lines in one process: real engines, loops and desks, joined in memory.

The line is the only thing simulated: a frame arrives after a delay. What the near end publishes
goes through whatever queue adapter is put beside it.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from random import Random
from typing import Final

from gateway.core.effects import Transmit
from gateway.core.engine import Engine
from gateway.core.events import FrameReceived, FrameSent, LinkUp
from gateway.core.policy import Policy
from gateway.core.records import Recovered
from gateway.model import LinkName, Station
from gateway.runtime.clock import Clock, KernelSources
from gateway.runtime.desk import RuntimeDesk
from gateway.runtime.inbox import Inbox
from gateway.runtime.loop import EngineLoop, Outlets
from gateway.security.keys import (
    Card,
    KeyRing,
    Line,
    StationKeys,
    derive_line_keys,
    make_card,
    new_station_keys,
)
from gateway.sim.channel import cable_traits
from gateway.store.memory import MemoryStore

LINK: Final = LinkName("cable")
BIT_RATE: Final = 115_200
DELAY_S: Final = 0.02
NEAR: Final = Station(1)
FAR: Final = Station(2)
GENERATION: Final = 1


@dataclass(slots=True)
class Post:
    """One end."""

    name: str
    inbox: Inbox
    desk: RuntimeDesk
    store: MemoryStore
    loop: EngineLoop
    far: list[Inbox] = field(default_factory=list)
    """Where its frames arrive; filled when both ends are there."""


def make_line(number: int) -> tuple[Post, Post]:
    """A near station of its own name, and its far one."""
    secret = os.urandom(32)
    names = {NEAR: f"S{number:02}", FAR: f"F{number:02}"}
    keys = {one: new_station_keys(os.urandom(64), station=one) for one in names}
    cards = {
        one: make_card(keys[one], name=name, party=f"Party {name}", language="en")
        for one, name in names.items()
    }
    near = _post(NEAR, FAR, keys, cards, secret)
    far = _post(FAR, NEAR, keys, cards, secret)
    near.far.append(far.inbox)
    far.far.append(near.inbox)
    return near, far


def _post(
    own: Station,
    other: Station,
    keys: dict[Station, StationKeys],
    cards: dict[Station, Card],
    secret: bytes,
) -> Post:
    line_keys = derive_line_keys(keys[own], cards[other], secret, GENERATION)
    ring = KeyRing(keys[own], cards[own], {other: Line(cards[other], line_keys, GENERATION)})
    inbox, store, far = Inbox(), MemoryStore(), list[Inbox]()
    desk = RuntimeDesk(inbox, {one: card.name for one, card in cards.items()})

    def make_engine(recovered: Recovered) -> Engine:
        return Engine(recovered, Policy(), ring, links={other: (LINK,)}, rng=Random(own))

    def transmit(frame: Transmit) -> None:
        inbox.put(FrameSent(LINK, frame.transmission))
        received = FrameReceived(LINK, frame.octets)
        asyncio.get_running_loop().call_later(DELAY_S, far[0].put, received)

    loop = EngineLoop(
        store=store,
        make_engine=make_engine,
        clock=Clock(KernelSources(), is_manual=True),
        inbox=inbox,
        desk=desk,
        outlets=Outlets(
            transmit={LINK: transmit},
            show=lambda _: None,
            observe=lambda _: None,
            entropy=os.urandom,
        ),
        version="benchmark",
    )
    return Post(cards[own].name, inbox, desk, store, loop, far)


async def start(post: Post) -> None:
    """Its engine begins, with a working device."""
    await post.loop.start()
    post.inbox.put(LinkUp(LINK, cable_traits(BIT_RATE)))
