"""The engine of one of two gateways may transmit as long as its keeper says so, and no longer."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from gateway.config.load import load_keyring, load_settings
from gateway.model import Station
from gateway.runtime.clock import Clock, KernelSources
from gateway.runtime.daemon import Daemon
from gateway.runtime.inbox import Inbox
from gateway.runtime.one_of_two import OneOfTwo
from gateway.runtime.role_file import remembered
from gateway.runtime.understudy import Turn
from gateway.sim.bench.files import CABLE, STATIONS, LineOptions, Ports, write_line
from gateway.spare.copying_store import Place
from gateway.store.sqlite import SqliteStore


class Observing:
    """What `OneOfTwo` needs of a daemon that serves nothing."""

    def observe(self, *_: Any, **__: Any) -> None: ...


def one_of_two(folder: Path) -> tuple[OneOfTwo, Path]:
    """Gateway a of NORTH, without a cluster, and its state folder."""
    ports = {name: Ports(radio="", far_node="", cable=str(folder / name)) for name in STATIONS}
    line = write_line(folder, ports, LineOptions(baud=115_200, links=(CABLE,)))
    config = line.stations["NORTH"].config
    config.write_text(config.read_text() + '\n[spare]\nname = "a"\ntakeover = "hand"\n')
    settings = load_settings(config)
    state = settings.station.state_folder
    state.mkdir(parents=True, exist_ok=True)
    daemon = cast("Daemon", Observing())
    return OneOfTwo(daemon, settings, load_keyring(settings), Clock(KernelSources())), state


async def test_by_hand_nothing_is_sent_before_that_is_on_the_disk(tmp_path: Path) -> None:
    """Else a restart would make it stand by, and the station had no active one."""
    one, folder = one_of_two(tmp_path)
    keeper, away = one._keeper, tmp_path / "away"
    assert keeper.tenure.promote(other_is_off=True, now=keeper.now()) is None
    number = keeper.tenure.number
    assert keeper.tenure.may_transmit(keeper.now())
    assert not keeper.may_transmit(number)
    folder.rename(away)
    folder.touch()
    await keeper._settle()
    assert not keeper.may_transmit(number)
    assert "cannot be remembered" in keeper.silence
    folder.unlink()
    away.rename(folder)
    await keeper._settle()
    assert keeper.may_transmit(number)
    assert remembered(folder, "a").by_hand


async def test_a_wish_is_on_the_disk_before_it_is_asked(tmp_path: Path) -> None:
    """With its time in this boot; as from another one where the folder was copied."""
    one, folder = one_of_two(tmp_path)
    keeper = one._keeper
    keeper.tenure.read(None, 0, keeper.now())
    assert keeper.tenure.promote(other_is_off=False, now=keeper.now()) is None
    wish = keeper.tenure.promotion.wish
    assert wish is not None
    await keeper._settle()
    assert remembered(folder, "a").wish == wish
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert remembered(copy, "a").wish == replace(wish, said_at=None)
    await keeper.stand_by()
    assert not remembered(folder, "a").is_wanted


async def test_each_time_of_being_active_has_its_own_right(tmp_path: Path) -> None:
    """Before the promotion, in it, after it; and an engine of an earlier one in a later one."""
    one, folder = one_of_two(tmp_path)
    keeper = one._keeper
    store = SqliteStore(folder, station=Station(1))

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
