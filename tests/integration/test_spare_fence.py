"""The engine of one of two gateways may transmit as long as its keeper says so, and no longer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from gateway.config.load import load_keyring, load_settings
from gateway.model import Station
from gateway.runtime.clock import Clock, KernelSources
from gateway.runtime.daemon import Daemon
from gateway.runtime.inbox import Inbox
from gateway.runtime.one_of_two import OneOfTwo
from gateway.runtime.understudy import Turn
from gateway.sim.bench.files import CABLE, STATIONS, LineOptions, Ports, write_line
from gateway.spare.copying_store import Place
from gateway.store.sqlite import SqliteStore


class Observing:
    """What `OneOfTwo` needs of a daemon that serves nothing."""

    def observe(self, *_: Any, **__: Any) -> None: ...


async def test_each_time_of_being_active_has_its_own_right(tmp_path: Path) -> None:
    """Before the promotion, in it, after it; and an engine of an earlier one in a later one."""
    ports = {name: Ports(radio="", far_node="", cable=str(tmp_path / name)) for name in STATIONS}
    line = write_line(tmp_path, ports, LineOptions(baud=115_200, links=(CABLE,)))
    config = line.stations["NORTH"].config
    config.write_text(config.read_text() + '\n[spare]\nname = "a"\ntakeover = "hand"\n')
    settings = load_settings(config)
    settings.station.state_folder.mkdir(parents=True, exist_ok=True)
    daemon = cast("Daemon", Observing())
    one = OneOfTwo(daemon, settings, load_keyring(settings), Clock(KernelSources()))
    keeper = one._keeper
    store = SqliteStore(settings.station.state_folder, station=Station(1))

    def may_transmit(number: int) -> bool:
        beside = one._beside(store, Turn(number, Place(), 1, 1, is_behind=False), Inbox())
        for task in beside.tasks:
            task.close()
        return beside.may_transmit()

    assert not may_transmit(keeper.tenure.number)
    assert await keeper.promote(other_is_off=True) is None
    first = keeper.tenure.number
    assert may_transmit(first)
    assert not may_transmit(first - 1)
    await keeper.stand_by()
    assert not may_transmit(first)
    assert not may_transmit(keeper.tenure.number)
    assert await keeper.promote(other_is_off=True) is None
    assert not may_transmit(first)
    assert may_transmit(keeper.tenure.number)
    await store.close()
