"""The radio dies silently in the middle of a fragmented notice."""

from __future__ import annotations

import asyncio

from gateway.model import ActId
from gateway.sim.bench.files import CABLE, RADIO, LineOptions
from tests.integration.live_line import get, live_line, post, state_of, until

TEXT = "Intended activity for tomorrow, in the order of the agreed list. " * 14
FAST = {"restore_ms": 200}


async def test_a_fragmented_notice_completes_by_cable_when_the_radio_is_cut() -> None:
    """Fragments that the far side had by radio count; the rest and the receipt go by cable."""
    async with live_line(LineOptions(baud=9600, policy=FAST), preset="MEDIUM_FAST") as line:
        await line.until_up(RADIO, CABLE)
        await asyncio.sleep(0.4)  # until traffic returns to the better link
        document = {
            "to": "SOUTH",
            "kind": "NOTIFY",
            "precedence": "PRIORITY",
            "operation": "OPERATION",
            "text": TEXT,
            "request_id": "long-1",
        }
        notice_id = (await post(line.north, "/v1/notices", document))["id"]
        traffic = line.ledger.traffic[ActId.parse(notice_id)]

        async def is_under_way() -> bool:
            return traffic.frames.get(RADIO, 0) >= 3

        await until(is_under_way)
        line.media.cut(RADIO)
        assert await state_of(line.north, notice_id) == "SENT"

        async def is_receipted() -> bool:
            return await state_of(line.north, notice_id) == "MACHINE RECEIPT"

        await until(is_receipted)
        feed = (await get(line.south, "/v1/notices?after=0&topic=notice"))["publications"]
        assert [one["document"]["text"] for one in feed] == [TEXT]
        history = (await get(line.north, f"/v1/notices/{notice_id}"))["history"]
        assert (history[-1]["state"], history[-1]["link"]) == ("MACHINE RECEIPT", CABLE)
        assert traffic.frames[CABLE] >= 1
