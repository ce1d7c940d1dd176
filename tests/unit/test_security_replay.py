"""The replay window against the simplest model: a set of everything accepted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.security.replay import ReplayWindow


def test_a_counter_counts_once() -> None:
    """Accepted once, a counter is stale for ever; asking changes nothing."""
    window = ReplayWindow()
    assert window.width == 1024
    assert window.is_fresh(0)
    assert window.is_fresh(0)
    window.accept(0)
    assert not window.is_fresh(0)
    window.accept(1023)
    assert window.is_fresh(1)
    window.accept(1024)
    assert not window.is_fresh(0)
    assert window.is_fresh(1)
    window.accept(1 << 19)
    assert not window.is_fresh(1)
    assert window.is_fresh((1 << 19) - 1023)
    assert not window.is_fresh((1 << 19) - 1024)


@given(st.integers(1, 40), st.lists(st.integers(0, 120), max_size=200))
def test_no_counter_is_taken_twice(width: int, counters: list[int]) -> None:
    """In any order: fresh exactly if within the window and never accepted."""
    window, accepted = ReplayWindow(width), set[int]()
    for counter in counters:
        is_recent = not accepted or counter > max(accepted) - width
        assert window.is_fresh(counter) == (is_recent and counter not in accepted)
        if window.is_fresh(counter):
            accepted.add(counter)
        window.accept(counter)
        assert not window.is_fresh(counter)


def test_a_window_of_a_restarted_station_takes_nothing_older_than_its_first_frame() -> None:
    """What came before the restart is forgotten: replayed, it must not count as new."""
    window = ReplayWindow(starts_anywhere=True)
    assert window.is_fresh(3)
    window.accept(500)
    assert not any(window.is_fresh(counter) for counter in range(501))
    window.accept(502)
    assert window.is_fresh(501)


def test_a_restart_forgets_only_what_came_before_its_first_frame() -> None:
    """Counter 0 as the first is no reason to forget what follows, nor is a second frame."""
    window = ReplayWindow(4, starts_anywhere=True)
    window.accept(0)
    window.accept(3)
    assert [window.is_fresh(counter) for counter in range(5)] == [False, True, True, False, True]


def test_a_window_closed_before_its_first_frame() -> None:
    """What is closed is seen, the closed counter's neighbours are not."""
    window = ReplayWindow(8)
    window.close_below(5)
    assert [window.is_fresh(counter) for counter in (3, 4, 5, 6)] == [False, False, True, True]
    window.accept(6)
    window.close_below(5)
    assert window.is_fresh(5)
    window.close_below(6)
    assert not window.is_fresh(5)


@given(st.integers(1, 40), st.lists(st.integers(0, 120), max_size=60), st.integers(0, 130))
def test_nothing_below_a_closed_counter_is_fresh(width: int, before: list[int], end: int) -> None:
    """Closed below `end`: older counters are seen, the others are as they were."""
    window, other = ReplayWindow(width), ReplayWindow(width)
    for counter in before:
        window.accept(counter)
        other.accept(counter)
    window.close_below(end)
    for counter in range(140):
        assert window.is_fresh(counter) == (counter >= end and other.is_fresh(counter))
    window.accept(135)
    assert not any(window.is_fresh(counter) for counter in range(end))
