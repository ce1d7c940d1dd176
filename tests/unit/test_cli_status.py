"""`hotline status`: what was declared of a line, in words."""

from __future__ import annotations

from gateway.cli.status import declared_text, gateway_text, pending_text


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
    assert pending_text({"state": "HELD", "goes_in_s": 600}).startswith("HELD, goes in about 10 m")
    assert pending_text({"state": "HELD", "goes_in_s": None}) == "HELD"
