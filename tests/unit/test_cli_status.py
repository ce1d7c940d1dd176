"""`hotline status`: what was declared of a line, in words."""

from __future__ import annotations

import pytest

from gateway.cli.status import (
    declared_text,
    gateway_text,
    pending_text,
    print_line,
    secret_fields,
    watch_text,
)


def test_what_was_declared_is_told_apart_from_what_is_measured() -> None:
    """A suspended line says that it carries all the same; MINIMIZE says whom it holds."""
    said = {
        "by": "SOUTH",
        "notice": "2-3f2a-17",
        "operation": "OPERATION",
        "state": "SUSPENDED",
        "minimize": None,
        "expires": "2026-11-22T14:30:00Z",
    }
    assert declared_text(said) == (
        "line SUSPENDED by SOUTH in 2-3f2a-17 (OPERATION) until 2026-11-22T14:30:00Z;"
        " notices go all the same"
    )
    held = said | {"state": None, "minimize": "IMMEDIATE", "expires": None}
    assert declared_text(held) == (
        "MINIMIZE by SOUTH in 2-3f2a-17 (OPERATION): what is slower than IMMEDIATE is HELD"
    )


def test_busy_full_and_a_forecast_are_told_in_words() -> None:
    """Who sees them knows what is kept and when what is held goes."""
    peer = {"confirmed": True, "answers": True, "heard_ms_ago": 500, "busy": True, "full": True}
    assert "KEEPS NOTHING NEW NOW" in gateway_text(peer)
    assert "TOO MANY OF ITS NOTICES ARE OPEN HERE" in gateway_text(peer)
    assert "TOO MANY" not in gateway_text({**peer, "full": False})
    assert "REVOKED" in gateway_text({**peer, "revoked": True})


def test_what_is_not_there_waits_for_nobody_there() -> None:
    """Queued here is no silence of their watch."""
    counts = {"waiting_count": 0, "overdue_count": 0, "not_there_count": 0}
    assert watch_text(counts) == "no notice waits for a person there"
    queued = counts | {"not_there_count": 97_464}
    assert watch_text(queued) == "no notice waits for a person there; 97464 are not there yet"
    both = {"waiting_count": 2, "overdue_count": 1, "not_there_count": 1}
    assert watch_text(both) == "2 notices wait for a person there, 1 OVERDUE; 1 is not there yet"


def test_a_rotation_says_what_it_waits_for() -> None:
    """While the far station has not used the new secret, and once the former one may go."""
    assert secret_fields({"generation": 2, "former_secret": False}, "SOUTH") == []
    peer = {"generation": 1, "former_secret": True, "rotating": True}
    [(_, waits)] = secret_fields(peer, "SOUTH")
    assert "SOUTH has not used the new one" in waits
    [(_, done)] = secret_fields({**peer, "generation": 2, "rotating": False}, "SOUTH")
    assert "`hotline key rotate SOUTH --finish`" in done
    assert pending_text({"state": "HELD", "goes_in_s": 600}).startswith("HELD, goes in about 10 m")
    assert pending_text({"state": "HELD", "goes_in_s": None}) == "HELD"


PATH = "/dev/serial/by-id/usb-Espressif_Systems_heltec_wifi_lora_32_v4_F4:12:FA:9A:10:C4-if00"
FROZEN = f"the radio at {PATH} does not answer; it is frozen, for 3 min now; it is opened again"


@pytest.mark.parametrize("columns", [None, 80])
def test_a_long_line_breaks_at_words_and_never_in_a_path(
    columns: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A technician copies the path; piped or at 80 columns only that word may be too long."""
    if columns is not None:
        monkeypatch.setattr("gateway.cli.output.is_terminal", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
    link = {"name": "radio", "state": "DOWN", "device_up": False, "detail": FROZEN, "queued": 0}
    line = {"far_station": "SOUTH", "links": [link], "fault": {"place": "path", "text": FROZEN}}
    print_line(line)
    shown = capsys.readouterr().out
    assert f"DOES NOT WORK: {FROZEN}" in " ".join(shown.split())
    assert shown.count(PATH) == 2
    assert all(len(line) <= (columns or 100) or PATH in line for line in shown.splitlines())
    assert len([line for line in shown.splitlines() if "radio" in line.split()]) <= 4
