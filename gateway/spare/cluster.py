"""What the two gateways of a station share at the cluster: the claim, the commits, the base.

The claim is an entry of a key-value bucket, changed by compare-and-set. Commits are appended to a
stream where nobody else has appended since: a gateway that was overtaken finds that out there too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import msgspec

from gateway.core.claim import Claim, Hold
from gateway.core.copying import Begun
from gateway.core.partner import Report
from gateway.errors import DecodeError, QueueUnavailableError
from gateway.queues.nats_connection import (
    NatsConnection,
    NobodyTakesError,
    RightDeniedError,
)
from gateway.spare.batch import Parcel, decode_parcel, encode_parcel
from gateway.spare.twin import Twin

CLAIMS: Final = "KV_HOTLINE_SPARE"
COMMITS: Final = "HOTLINE_SPARE"
BASES: Final = "HOTLINE_SPARE_BASE"
STREAMS: Final = (CLAIMS, COMMITS, BASES)
TWIN_COUNT_MAX: Final = 8
ENTRY_COUNT_MAX: Final = 32
PROBE: Final = "probe"
NEVER: Final = 2**53
"""No sequence: what is appended after it is refused."""


class SpareCluster:
    """One station's part of it, on one connection. Every method may raise
    `QueueUnavailableError`.
    """

    def __init__(self, connection: NatsConnection, station: str) -> None:
        self.connection = connection
        self._claim_subject = f"$KV.HOTLINE_SPARE.{station}"
        self._twin_subject = f"{self._claim_subject}."
        # No gateway has such names, and the rights of the shipped server file suffice.
        self._report_subject = f"{self._claim_subject}._report"
        self._begun_subject = f"{self._claim_subject}._begun"
        self._commit_subject = f"hotline.v1.{station}.spare"
        self.base_subject = f"hotline.v1.{station}.spare-base"

    async def prepare(self) -> None:
        """Make what is missing; an unsafe stream is refused."""
        for stream in STREAMS:
            await self.connection.prepare_stream(stream)

    # The claim.

    async def claim(self) -> tuple[Claim | None, int]:
        """The entry and its revision, as the bucket's leader has it; 0: there is none."""
        found = await self.connection.stored(CLAIMS, last_by_subj=self._claim_subject)
        if found is None:
            return None, 0
        revision, octets = found
        try:
            return msgspec.json.decode(octets, type=Claim), revision
        except msgspec.MsgspecError as error:
            raise QueueUnavailableError(
                f"{self._claim_subject} holds no claim of a gateway ({error}); see who wrote it"
            ) from error

    async def put_claim(self, claim: Claim, revision: int) -> int | None:
        """The new revision; None: the entry is not at `revision` any more."""
        payload = msgspec.json.encode(claim)
        return await self.connection.append(CLAIMS, self._claim_subject, payload, after=revision)

    # Who was the last to begin.

    async def begun(self) -> tuple[Begun | None, int]:
        """It and its revision; 0: nobody began since there is this bucket."""
        found = await self.connection.stored(CLAIMS, last_by_subj=self._begun_subject)
        if found is None:
            return None, 0
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(found[1], type=Begun), found[0]
        return None, found[0]

    async def put_begun(self, begun: Begun, revision: int) -> bool:
        """Whether the entry was still at `revision`."""
        payload = msgspec.json.encode(begun)
        place = await self.connection.append(CLAIMS, self._begun_subject, payload, after=revision)
        return place is not None

    # What the one that stands by says.

    async def report(self) -> tuple[Report | None, int]:
        """The last one and its revision; 0: there was none."""
        found = await self.connection.stored(CLAIMS, last_by_subj=self._report_subject)
        if found is None:
            return None, 0
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(found[1], type=Report), found[0]
        return None, found[0]

    async def put_report(self, report: Report) -> None:
        payload = msgspec.json.encode(report)
        await self.connection.publish(CLAIMS, self._report_subject, payload, {})

    # What each says of itself.

    async def put_twin(self, twin: Twin) -> None:
        """In place of what this gateway said before."""
        subject = f"{self._twin_subject}{twin.name}"
        await self.connection.publish(CLAIMS, subject, msgspec.json.encode(twin), {})

    async def twins(self) -> list[Twin]:
        """What the gateways of this station said last, `TWIN_COUNT_MAX` at most; what another
        version wrote otherwise is left out.
        """
        found: list[Twin] = []
        place = 0
        for _ in range(ENTRY_COUNT_MAX):
            entry = await self.connection.stored(
                CLAIMS, seq=place + 1, next_by_subj=f"{self._twin_subject}*"
            )
            if entry is None:
                break
            place, octets = entry
            with suppress(msgspec.MsgspecError):
                found.append(msgspec.json.decode(octets, type=Twin))
        return found[:TWIN_COUNT_MAX]

    # The rights of our user.

    async def denied(self) -> AsyncIterator[str]:
        """The subjects that a gateway needs and may not use. Nothing is stored."""
        connection = self.connection
        appends = (
            (CLAIMS, self._claim_subject),
            (CLAIMS, f"{self._twin_subject}{PROBE}"),
            (COMMITS, self._commit_subject),
            (BASES, self.base_subject),
        )
        for stream, subject in appends:
            try:
                await connection.append(stream, subject, b"", after=NEVER)
            except RightDeniedError:
                yield subject
            except NobodyTakesError:
                pass  # without a stream there is nothing to refuse
        for stream in STREAMS:
            try:
                await connection.stored(stream, last_by_subj=self._claim_subject)
            except RightDeniedError:
                yield f"$JS.API.STREAM.MSG.GET.{stream}"

    # The commits.

    async def append(self, parcel: Parcel, *, after: int) -> int | None:
        """The place of the parcel; None: another was appended after `after`."""
        payload = encode_parcel(parcel)
        return await self.connection.append(COMMITS, self._commit_subject, payload, after=after)

    async def last(self) -> tuple[int, Parcel] | None:
        """The newest parcel and its place."""
        found = await self.connection.stored(COMMITS, last_by_subj=self._commit_subject)
        return None if found is None else (found[0], _parcel(found[1]))

    async def next(self, after: int) -> tuple[int, Parcel] | None:
        """The first parcel behind the place `after`."""
        found = await self.connection.stored(
            COMMITS, seq=after + 1, next_by_subj=self._commit_subject
        )
        return None if found is None else (found[0], _parcel(found[1]))


def held(claim: Claim | None) -> bool:
    """Whether somebody holds it."""
    return claim is not None and claim.hold is not Hold.NONE


def _parcel(octets: bytes) -> Parcel:
    try:
        return decode_parcel(octets)
    except DecodeError as error:
        raise QueueUnavailableError(
            f"stream {COMMITS} holds {error}; both gateways of a station need one version"
        ) from error
