"""`hotline status` and the clock: whoever has none that is trusted learns what to do."""

from __future__ import annotations

from pathlib import Path

from gateway.model import UtcTime
from tests.integration.desk_double import status
from tests.integration.test_cli_api import running

TOLD = (
    "clock not trusted: NTP not synchronised; "
    "set clock_is_manual in [station] if you set it by hand"
)


async def test_a_clock_that_nobody_vouches_for_is_told(tmp_path: Path) -> None:
    """Without trusted time a line of its own names the key to set; with it there is none."""
    async with running(tmp_path / "api.sock") as north:
        north.desk.show(status(utc=None))
        shown = await north.hotline("status")
        assert (shown.code, shown.out.splitlines()[1]) == (0, TOLD)
        north.desk.show(status(utc=UtcTime(1_795_357_800)))
        assert "clock not trusted" not in (await north.hotline("status")).out
