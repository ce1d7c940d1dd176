"""The cables of one bed as a process of their own: their timing does not wait for the measuring.

    python -m gateway.sim.benchmark.cable_program '[{"name": "cable", "a": PATH, "b": PATH, ...}]'

Orders come as JSON lines, `{"cable": "cable", "order": "cut", "sender": "a"}`, and each is answered
by `{"done": N}`. Every frame that passes is told: `{"cable", "sender", "frame", "size", "lost"}`.
Ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from random import Random
from typing import Any, Final, cast

from gateway.sim.cable import Cable, End

TELL_INTERVAL_S: Final = 0.05


def main() -> None:
    asyncio.run(_run(json.loads(sys.argv[1])))


async def _run(descriptions: list[dict[str, Any]]) -> None:
    cables = {str(one["name"]): _make(one) for one in descriptions}
    async with AsyncExitStack() as stack:
        for cable in cables.values():
            await stack.enter_async_context(cable)
        telling = asyncio.create_task(_tell_frames(cables))
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        _tell({"done": 0})
        count = 0
        while line := await reader.readline():
            order = json.loads(line)
            _obey(cables[order["cable"]], order)
            count += 1
            _tell_passed(cables)
            _tell({"done": count})
        telling.cancel()


def _make(one: Mapping[str, Any]) -> Cable:
    return Cable(
        one["a"],
        one["b"],
        one["bit_rate"],
        Random(one["seed"]),
        one["loss"],
        delimiter=one["delimiter"],
    )


def _obey(cable: Cable, order: Mapping[str, Any]) -> None:
    sender = cast(End | None, order.get("sender"))
    match order["order"]:
        case "loss":
            cable.loss = order["share"]
        case "errors":
            cable.error_rate = order["share"]
        case "octet_loss":
            cable.octet_loss = order["share"]
        case "cut":
            cable.cut(sender)
        case "restore":
            cable.restore()
        case "unplug":
            cable.unplug(sender)
        case "replug":
            cable.replug(sender)
        case "inject":
            cable.inject(sender or "a", bytes.fromhex(order["octets"]))
        case "stall":
            cable.stall(sender or "a", order["duration_ms"])
        case other:
            raise ValueError(other)


async def _tell_frames(cables: Mapping[str, Cable]) -> None:
    while True:
        _tell_passed(cables)
        await asyncio.sleep(TELL_INTERVAL_S)


def _tell_passed(cables: Mapping[str, Cable]) -> None:
    for name, cable in cables.items():
        while cable.records:
            record = cable.records.popleft()
            line = record.line
            _tell(
                {
                    "cable": name,
                    "sender": record.sender,
                    "frame": line.frame.hex(),
                    "size": line.size,
                    "lost": line.is_lost,
                }
            )


def _tell(document: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
