"""Phrases on the command line: the listing, and a notice read in a language of ours."""

from __future__ import annotations

import json

import pytest

from gateway.cli.exits import ExitCode
from gateway.cli.main import main
from gateway.cli.view import print_notice, print_notices
from gateway.wire.phrases import PHRASES

CONVOY = {
    "id": "1-3f2a-1",
    "kind": "NOTIFY",
    "phrase": 12,
    "slots": ["A-7", 3, "KILO 4", "M5"],
    "phrase_text": "never shown: the screen reads code and slots itself",
}
RUSSIAN = "Планируется движение колонны подразделения A-7 из пункта KILO 4 в пункт M5"


@pytest.fixture(autouse=True)
def _no_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOTLINE_LANGUAGE", raising=False)


def test_every_phrase_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a phrase, in English unless another language is asked for."""
    assert main(["phrases"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [str(entry.code) for entry in PHRASES]
    assert main(["phrases", "--language", "ar"]) == 0
    assert "خط الاتصال مفتوح." in capsys.readouterr().out


def test_the_stations_language_comes_from_its_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """HOTLINE_LANGUAGE is the watch's language; --language wins over it."""
    monkeypatch.setenv("HOTLINE_LANGUAGE", "fr")
    assert main(["phrases"]) == 0
    assert "La ligne est ouverte." in capsys.readouterr().out
    assert main(["phrases", "--language", "en"]) == 0
    assert "The line is open." in capsys.readouterr().out


def test_the_listing_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """--json gives the whole codebook, or one phrase, in all languages."""
    assert main(["phrases", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["phrases"]) == len(PHRASES)
    assert main(["phrases", "53", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["templates"]["fr"].startswith("Veuillez")


def test_one_phrase_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    """A number shows its slots with their types and every template; an unknown one is not found."""
    assert main(["phrases", "12"]) == 0
    shown = capsys.readouterr().out
    assert "unit (callsign), count (count), origin (place), destination (place)" in shown
    assert shown.count("{destination}") == 4
    assert main(["phrases", "9"]) == ExitCode.NOT_FOUND
    assert "see `hotline phrases`" in capsys.readouterr().err


def test_a_notice_reads_in_our_language_beside_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    """The text is made here from code and slots, and these stand beside it."""
    print_notice(CONVOY, "ru")
    shown = capsys.readouterr().out
    assert RUSSIAN in shown
    assert "text (ru)" in shown
    assert "12: A-7, 3, KILO 4, M5" in shown
    assert "never shown" not in shown
    print_notices([CONVOY | {"kind": "CANCEL"}], other="from", empty="", language="en")
    assert "CANCELLED: Planned convoy of unit A-7" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"phrase": 9, "slots": ["\u202eX", 2]}, "PHRASE 9: <U+202E>X, 2"),
        ({"phrase": 9, "slots": ["X"]}, "PHRASE 9: X"),
        ({"phrase": "nine", "slots": []}, "PHRASE nine"),
    ],
)
def test_a_phrase_that_we_cannot_read_is_shown_all_the_same(
    change: dict[str, object], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A far gateway with another codebook, or one of ours gone wrong, hides nothing."""
    print_notice(CONVOY | change, "ru")
    assert shown in capsys.readouterr().out
