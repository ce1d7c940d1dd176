"""Numbers that an operator types: what is none, or not finite, is a usage error that says so."""

from __future__ import annotations

import pytest

from gateway.cli.main import main


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "--loss", "nan"),
        ("simulate", "--loss", "-inf"),
        ("simulate", "--hours", "nan"),
        ("simulate", "--duty-share", "nan"),
        ("bench", "--loss", "nan"),
        ("radio", "simulate", "--loss", "nan"),
        ("radio", "simulate", "--loss", "much"),
    ],
)
def test_what_is_no_finite_number_is_refused(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """`nan` is within every bound for a comparison; a history of it would hold whatever it did."""
    assert main(list(arguments)) == 2
    shown = capsys.readouterr()
    assert f"'{arguments[-1]}' is no number; give one from " in shown.err
    assert shown.out == ""


def test_a_letter_is_no_integer(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence says what is asked, not what click calls its type."""
    assert main(["simulate", "--seed", "x"]) == 2
    assert "'x' is no integer; give one from 0" in capsys.readouterr().err
    assert main(["simulate", "--seed", "-1"]) == 2
    assert "not in the range" in capsys.readouterr().err
