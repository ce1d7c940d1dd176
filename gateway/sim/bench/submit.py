"""The queue of the bench: how notices are handed over."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Final

from gateway.sim.bench.http_client import ApiUnreachableError
from gateway.sim.bench.process import BenchError, GatewayProcess

RETRY_S: Final = 0.2
SUBMIT_S: Final = 30.0


class ApiSubmitter:
    """The embedded queue, through the API; a gateway that is away is asked again."""

    def __init__(self, processes: Mapping[str, GatewayProcess]) -> None:
        self._processes = processes

    async def submit(self, sender: str, document: Mapping[str, object]) -> str:
        """Hand over a notice and give its id. Raises `BenchError`."""
        process = self._processes[sender]
        body = {**document, "request_id": str(uuid.uuid4())}
        try:
            async with asyncio.timeout(SUBMIT_S):
                while True:
                    try:
                        status, answer = await process.api.request("POST", "/v1/notices", body)
                    except ApiUnreachableError:
                        process.check()
                        await asyncio.sleep(RETRY_S)
                        continue
                    if status in (200, 201):
                        return str(answer["id"])
                    raise BenchError(f"{sender} refuses the notice: {answer}")
        except TimeoutError as error:
            raise BenchError(
                f"{sender} did not take the notice in {SUBMIT_S:g} s; read {process.files.output}"
            ) from error
