"""What the doctor says of a spare gateway, by each thing that it may find."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from gateway.config.settings import SpareSettings
from gateway.core.claim import Claim, Hold
from gateway.doctor.finding import NOTHING_TO_DO, Finding, Mark
from gateway.doctor.spare import judge_claim, judge_rights, judge_role, judge_twins
from gateway.spare.twin import Twin

OK, LOOK, FAULT = Mark.OK, Mark.LOOK, Mark.FAULT
A = Twin("a", "1.0", "00", {"SOUTH": "11"}, "lease", 15)
B = replace(A, name="b")
LEASE = Claim(3, "a", "0a", Hold.LEASE)


def check(found: Iterable[Finding], *expected: tuple[Mark, str]) -> None:
    """These and no others; whatever is no ok says what to do."""
    findings = list(found)
    assert len(findings) == len(expected), findings
    for finding, (mark, words) in zip(findings, expected, strict=True):
        assert finding.mark is mark, finding
        assert words in finding.text
        assert (finding.remedy == NOTHING_TO_DO) == (mark is OK)


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (None, [(LOOK, "no gateway of this station holds")]),
        (replace(LEASE, hold=Hold.NONE), [(FAULT, "none of them is active")]),
        (LEASE, [(OK, "gateway a holds the claim by lease, term 3")]),
        (replace(LEASE, hold=Hold.HAND), [(OK, "by a person's word")]),
        (replace(LEASE, is_paused=True), [(LOOK, "and was stopped")]),
        (replace(LEASE, name="c"), [(OK, "gateway c"), (LOOK, "no gateway c told")]),
    ],
)
def test_who_is_active(claim: Claim | None, expected: list[tuple[Mark, str]]) -> None:
    """As the cluster has it."""
    check(judge_claim(claim, [A, B]), *expected)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (OK, "gateway b has the same station key, lines (SOUTH) and settings")),
        ({"station": "99"}, (FAULT, "another station key")),
        ({"lines": {}}, (FAULT, "gateway b has no line to SOUTH")),
        ({"lines": {"SOUTH": "22"}}, (FAULT, "another card or another secret of SOUTH")),
        ({"lines": {"SOUTH": "11", "EAST": "3"}}, (FAULT, "a line to EAST, which is not here")),
        ({"takeover": "hand"}, (LOOK, "takeover is lease here and hand on gateway b")),
        ({"lease_s": 40}, (LOOK, "lease_s is 15 here and 40")),
        ({"version": "2.0"}, (LOOK, "version is 1.0 here and 2.0")),
    ],
)
def test_both_are_alike(change: dict[str, Any], expected: tuple[Mark, str]) -> None:
    """Each difference is named, graver where a take-over would cut a line."""
    check(judge_twins(A, [A, replace(B, **change)]), expected)


def test_who_is_there() -> None:
    """No other, one too many, one with our name."""
    check(judge_twins(A, [A]), (LOOK, "no other gateway"))
    same = (OK, "has the same")
    check(
        judge_twins(A, [A, B, replace(B, name="c")]),
        (LOOK, "the cluster knows also b, c"),
        same,
        same,
    )
    check(judge_twins(A, [replace(A, lease_s=9), B]), (LOOK, "another configuration"), same)


def test_rights() -> None:
    """Each subject that is denied."""
    check(judge_rights([]), (OK, "every right"))
    check(judge_rights(["x", "y"]), (FAULT, "publish x"), (FAULT, "publish y"))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, [(LOOK, "cannot be asked")]),
        ({"role": "standby", "problem": ""}, [(OK, "its copy is whole")]),
        (
            {"role": "standby", "problem": "no cluster", "vacancy": "no gateway is active"},
            [(FAULT, "stands by: no gateway is active")],
        ),
        (
            {"role": "standby", "problem": "", "pending": {"for_s": 9, "reason": "no leader"}},
            [(FAULT, "gateway a is pending: no leader")],
        ),
        ({"role": "standby", "problem": "no cluster"}, [(FAULT, "not whole: no cluster")]),
        (
            {"role": "standby", "held_by": "hand", "problem": "no cluster"},
            [(FAULT, "by hand, and is not active yet: no cluster")],
        ),
        ({"role": "active", "problem": ""}, [(OK, "active one"), (OK, "0 acts UNREPLICATED")]),
        (
            {"role": "active", "problem": "it is away", "unreplicated_count": 7},
            [(OK, "active one"), (FAULT, "UNREPLICATED: 7 acts")],
        ),
    ],
)
def test_the_role(document: dict[str, Any] | None, expected: list[tuple[Mark, str]]) -> None:
    """What the gateway says of itself."""
    named = None if document is None else {"name": "a", "held_by": "none"} | document
    check(judge_role(SpareSettings(name="a"), named), *expected)
