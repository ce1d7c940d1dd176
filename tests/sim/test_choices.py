"""What each choice of the line is worth, against its alternative; `pytest -s` prints the table.

Virtual time, seeds 1 to 8. ARCHITECTURE.md shows what this printed.
"""

from __future__ import annotations

import pytest

from tests.sim.choices import COURSES, Alternative, Course, Outcome

ROWS = [
    pytest.param(course, alternative, id=f"{name}: {alternative.__name__}")
    for name, (course, alternatives) in COURSES.items()
    for alternative in alternatives
]
_ours: dict[Course, Outcome] = {}


@pytest.mark.soak
@pytest.mark.parametrize(("course", "alternative"), ROWS)
def test_no_alternative_is_better(
    course: Course, alternative: Alternative, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds times what they cost: ours is at most a seventh above any alternative's."""
    if course not in _ours:
        _ours[course] = course()
    ours = _ours[course]
    alternative(monkeypatch)
    try:
        other = course()
    except AssertionError as error:
        print(f"\n{alternative.__name__}: {error}; ours {ours}")
        return
    print(f"\n{alternative.__name__}: {other}; ours {ours}")
    assert ours.seconds * ours.spent <= 1.15 * other.seconds * other.spent
