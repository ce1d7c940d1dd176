"""`make mutants`: what is drawn, how sure a sample is, which survivor has a reason."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import Verdicts, changed_lines, drawn, reason_for

NAME = "gateway.security.replay.xǁReplayWindowǁaccept__mutmut_7"
DIFFERENCE = """--- gateway/security/replay.py
+++ gateway/security/replay.py
@@ -1,3 +1,3 @@
 def accept(self, counter):
-        elif self._highest - counter < self.width:
+        elif self._highest - counter <= self.width:
"""
KNOWN = [
    {
        "function": "gateway.security.replay.ReplayWindow.accept",
        "mutant": "elif self._highest - counter <= self.width:",
        "reason": "the bit is behind the mask",
    }
]


def verdicts(killed: int, survived: int, population: int) -> Verdicts:
    names = {str(number): "" for number in range(survived)}
    return Verdicts([str(number) for number in range(killed)], names, population)


def test_a_longer_sample_holds_the_shorter_one() -> None:
    """The same seed draws the same order, whatever order the names came in."""
    names = [f"mutant {number}" for number in range(100)]
    assert drawn(names, 1, 10) == drawn(names[::-1], 1, 60)[:10]
    assert drawn(names, 1, 10) != drawn(names, 2, 10)
    assert sorted(drawn(names, 1, None)) == sorted(names)


@pytest.mark.parametrize(
    ("killed", "survived", "population", "low", "high"),
    [
        (90, 10, 10**9, 0.8256, 0.9448),  # Wilson's interval of 90 in 100, as in any table
        (100, 0, 10**9, 0.9630, 1.0),
        (90, 10, 100, 0.9, 0.9),  # everything was tried
        (90, 10, 200, 0.8506, 0.9343),  # half was tried
    ],
)
def test_a_sample_says_how_sure_it_is(
    killed: int, survived: int, population: int, low: float, high: float
) -> None:
    """95 %, narrower where a large part of all was tried."""
    found = verdicts(killed, survived, population).interval()
    assert found == pytest.approx((low, high), abs=0.0005)


def test_nothing_tried_is_no_score() -> None:
    """A run that was stopped at once claims nothing."""
    assert verdicts(0, 0, 50).score == 0.0


def test_a_survivor_has_the_reason_of_its_very_change() -> None:
    """By function and changed line: a number of mutmut's moves with each edit."""
    changed = changed_lines(DIFFERENCE)
    assert reason_for(NAME, changed, KNOWN) == "the bit is behind the mask"
    assert reason_for(NAME, changed.replace("<=", "=="), KNOWN) is None
    assert reason_for(NAME.replace("accept", "is_fresh"), changed, KNOWN) is None
    plain = [KNOWN[0] | {"function": "gateway.security.seal.nonce"}]
    assert reason_for("gateway.security.seal.x_nonce__mutmut_1", changed, plain) is not None
