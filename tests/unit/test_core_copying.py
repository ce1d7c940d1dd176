"""Whether the store of one of two gateways has everything, and when it asks for all of it."""

from __future__ import annotations

import pytest

from gateway.core.claim import Copy
from gateway.core.copying import (
    BASE_AGAIN_MS,
    BASE_AGAIN_MS_MAX,
    BASE_HELPED_MS,
    Begun,
    Rebasing,
    Stand,
    compare,
)
from gateway.model import Instant

OURS, THEIRS = 7, 8


@pytest.mark.parametrize(
    ("newest", "copy"),
    [
        (Stand(5, OURS), Copy.WHOLE),
        (Stand(4, OURS), Copy.AHEAD),
        (Stand(6, OURS), Copy.OTHER),
        (Stand(5, THEIRS), Copy.OTHER),
        (Stand(4, THEIRS), Copy.OTHER),
    ],
)
def test_beside_the_newest_commit(newest: Stand, copy: Copy) -> None:
    """Whatever is said of who began."""
    for begun in (None, Begun("a", 1, OURS), Begun("b", 1, THEIRS)):
        assert compare(Stand(5, OURS), newest, begun, "a") is copy


@pytest.mark.parametrize(
    ("own", "begun", "copy"),
    [
        (Stand(), None, Copy.WHOLE),
        (Stand(5, OURS), None, Copy.EMPTIED),
        (Stand(5, OURS), Begun("a", 3, OURS), Copy.WHOLE),
        (Stand(3, OURS), Begun("a", 3, OURS), Copy.WHOLE),
        (Stand(2, OURS), Begun("a", 3, OURS), Copy.EMPTIED),  # an older copy of that store
        (Stand(5, OURS), Begun("b", 3, OURS), Copy.EMPTIED),  # it followed: up to where?
        (Stand(5, THEIRS), Begun("a", 3, OURS), Copy.EMPTIED),  # and then followed another
        (Stand(), Begun("b", 1, THEIRS), Copy.EMPTIED),  # a fresh one beside one that began
    ],
)
def test_beside_no_commit_at_all(own: Stand, begun: Begun | None, copy: Copy) -> None:
    """Only the last to begin has everything, or anyone where nobody ever began."""
    assert compare(own, None, begun, "a") is copy


def test_a_base_that_does_not_help_is_asked_for_ever_more_seldom() -> None:
    """At once, then after 10 s, 20 s ... 10 min; in step for a minute, at once again."""
    rebasing, now = Rebasing(), 0
    wait_ms = BASE_AGAIN_MS
    for _ in range(12):
        assert rebasing.is_due(Instant(now))
        rebasing.asked(Instant(now))
        rebasing.in_step(Instant(now + min(wait_ms, BASE_HELPED_MS) - 1))
        assert not rebasing.is_due(Instant(now + wait_ms - 1))
        now += wait_ms
        wait_ms = min(2 * wait_ms, BASE_AGAIN_MS_MAX)
    rebasing.asked(Instant(now))
    rebasing.in_step(Instant(now + BASE_HELPED_MS))
    assert rebasing.is_due(Instant(now + BASE_HELPED_MS))
