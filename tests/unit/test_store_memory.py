"""What the simulator's store can do beyond the contract: forget, and refuse."""

from __future__ import annotations

import pytest

from gateway.core.records import PutAct, PutDelivery, PutReceipted, Recovered
from gateway.errors import StoreRefusedError
from gateway.logbook.chain import verify
from gateway.store.memory import JOURNAL_COUNT_MAX, MemoryStore
from tests.integration.store_records import (
    act,
    act_id,
    delivery,
    random_commits,
    sent,
    station_entry,
)


def test_power_cut_forgets_normal_commits_after_the_last_full_one() -> None:
    """NORMAL commits are lost back to the last FULL one, which saves those before it."""
    store = MemoryStore()
    store.apply(sent(1, 1))
    store.apply([PutReceipted(act_id(1))])
    head = store.apply([PutAct(act(2)), station_entry()])
    before = store.recovered()
    store.apply([PutReceipted(act_id(2))])
    store.apply([station_entry()])
    assert store.crash(keep_normal=False) == 2
    assert store.recovered() == before
    assert before.receipted == {act_id(1)}
    assert before.log_head == head


def test_kill_of_the_process_forgets_nothing() -> None:
    """With `keep_normal` the operating system lives on, and so does every commit."""
    store = MemoryStore()
    store.apply(sent(1, 1))
    store.apply([PutReceipted(act_id(1))])
    before = store.recovered()
    assert store.crash(keep_normal=True) == 0
    assert store.recovered() == before


def test_lying_card_forgets_the_last_commits() -> None:
    """`lose_last` takes FULL commits too, whole ones, and the book goes on from where it was."""
    store = MemoryStore()
    store.apply(sent(1, 1))
    before = store.recovered()
    store.apply(sent(2, 2))
    store.apply([PutDelivery(delivery(1, is_open=False))])
    assert store.crash(keep_normal=True, lose_last=2) == 2
    assert store.recovered() == before
    head = store.apply(sent(2, 2))
    assert head is not None
    assert head.number == 2
    assert store.crash(keep_normal=True, lose_last=99) == 2
    assert store.recovered() == Recovered()


async def test_crash_equals_never_having_committed() -> None:
    """After any history a crash leaves exactly the state of the commits that it kept."""
    from random import Random

    commits = random_commits(Random(5), 60)
    for lost in range(0, 60, 7):
        store, short = MemoryStore(), MemoryStore()
        for commit in commits:
            store.apply(commit)
        for commit in commits[: 60 - lost]:
            short.apply(commit)
        assert store.crash(keep_normal=True, lose_last=lost) == lost
        assert store.recovered() == short.recovered()
        assert await store.log_entries(0) == await short.log_entries(0)


async def test_old_commits_are_final() -> None:
    """Beyond the journal's bound nothing can be taken back; what stays is whole."""
    store = MemoryStore()
    for number in range(3 * JOURNAL_COUNT_MAX):
        store.apply([station_entry(f"event-{number}", full=True)])
    lost = store.crash(keep_normal=True, lose_last=10**6)
    assert JOURNAL_COUNT_MAX <= lost < 2 * JOURNAL_COUNT_MAX
    head = store.recovered().log_head
    assert head is not None
    assert head.number == 3 * JOURNAL_COUNT_MAX - lost
    assert verify(await store.log_entries(0)) is None


async def test_full_disk_keeps_nothing_of_the_commit() -> None:
    """While it refuses nothing is kept; afterwards the recovered state says so until a probe."""
    store = MemoryStore()
    store.apply(sent(1, 1))
    store.is_refusing = True
    with pytest.raises(StoreRefusedError):
        await store.commit(sent(2, 2))
    assert not await store.probe()
    recovered = await store.recover()
    assert recovered.store_refused
    assert [made.id for made in recovered.acts] == [act_id(1)]
    store.is_refusing = False
    assert await store.probe()
    assert not store.recovered().store_refused
    store.apply(sent(2, 2))
