"""The main job with real foreign programs: mosquitto_pub, radio, mosquitto_sub, button, lamp."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.sim.bench.files import RADIO, LineOptions
from tests.integration.live_line import lamp_of, live_line, until
from tests.integration.mosquitto import mosquitto, needs_mosquitto

pytestmark = needs_mosquitto

NOTICE = {
    "request_id": "hq-2026-11-22-0007",
    "to": "SOUTH",
    "kind": "NOTIFY",
    "precedence": "IMMEDIATE",
    "operation": "OPERATION",
    "text": "Helicopter medevac, two aircraft, low level along the river.",
    "place": {"latitude": 34.55512, "longitude": 38.27346, "radius_m": 1500},
    "window": {"from": "2026-11-22T14:30Z", "to": "2026-11-22T16:00Z"},
}


async def test_a_notice_crosses_from_broker_to_broker_and_the_lamp_goes_dark(
    tmp_path: Path,
) -> None:
    """mosquitto_pub -> radio -> mosquitto_sub; button; /state says ROGER; pending out is dark."""
    (near_folder := tmp_path / "near").mkdir()
    (far_folder := tmp_path / "far").mkdir()
    async with mosquitto(near_folder) as near, mosquitto(far_folder) as far:
        options = LineOptions(
            baud=9600, links=(RADIO,), mqtt_urls={"NORTH": near.url, "SOUTH": far.url}
        )
        async with (
            live_line(options) as line,
            near.listen("hotline/v1/NORTH/#") as near_sub,
            far.listen("hotline/v1/SOUTH/notice/#") as far_sub,
        ):
            await line.until_up(RADIO)
            await near.publish("hotline/v1/NORTH/submit", json.dumps(NOTICE))
            (came,) = await far_sub.on("/notice/")
            assert came.topic == "hotline/v1/SOUTH/notice/operation/immediate"
            notice = came.json
            assert notice["text"] == NOTICE["text"]
            assert notice["from"] == "NORTH"
            assert notice["place"]["radius_m"] == 1500
            assert notice["link"] == RADIO
            assert await lamp_of(line.south, "pending_in") == "double blink"
            assert await lamp_of(line.north, "pending_out") == "long blink"

            await far.publish("hotline/v1/SOUTH/taken", json.dumps({"id": notice["id"]}))
            await line.south.api.request("POST", f"/v1/notices/{notice['id']}/displayed")

            async def is_rogered() -> bool:
                await line.south.press_button()
                return await lamp_of(line.south, "pending_in") == "off"

            await until(is_rogered)
            states = await near_sub.until(
                lambda heard: any(
                    f"/state/{notice['id']}" in one.topic and one.json["state"] == "ROGER"
                    for one in heard
                )
            )

            async def is_dark() -> bool:
                return await lamp_of(line.north, "pending_out") == "off"

            await until(is_dark)
            seen = [one.json["state"] for one in states if "/state/" in one.topic]
            assert seen[0] == "QUEUED"
            # What tells that it was shown may overtake the receipt, and implies it.
            assert {"MACHINE RECEIPT", "DISPLAYED"} & set(seen)
            assert not [one for one in states if "/error/" in one.topic]
            assert len(far_sub.heard) == 1
