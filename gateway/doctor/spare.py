"""The spare gateway: what the two share at the cluster, our rights there, and who is active.

It makes nothing and stores nothing: rights are tried by what the streams refuse anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gateway.api.client import ApiClient, ApiError
from gateway.config.files import FileProblemError
from gateway.config.load import load_keyring
from gateway.config.settings import Settings, SpareSettings
from gateway.core.claim import Claim, Hold
from gateway.doctor.daemon import ASK_S
from gateway.doctor.finding import Finding, fault, look, ok
from gateway.doctor.nats import examine_stream
from gateway.doctor.waiting import in_thread
from gateway.errors import ConfigError, FieldError, GatewayError, QueueUnavailableError
from gateway.queues.nats_connection import NatsConnection, ServerRing
from gateway.runtime.adapters import nats_access
from gateway.spare.cluster import STREAMS, SpareCluster, held
from gateway.spare.twin import Twin, differences, twin_of

TOPIC: Final = "spare"
VISIT_S: Final = 40.0

_NOBODY: Final = (
    "start both, wait a minute; then hotline promote on the one that was active last: nothing is"
    " sent or accepted meanwhile"
)

Document = dict[str, Any]


async def examine_spare(settings: Settings, socket: Path) -> list[Finding]:
    """Within 40 s; servers that are away are a finding."""
    spare, nats = settings.spare, settings.nats
    assert spare is not None
    findings = list(judge_role(spare, await _asked(socket)))
    if nats is None:
        text = "there is no [nats]: nothing is copied to the other gateway, and only persons decide"
        return [*findings, look(TOPIC, text, "configure the cluster, or accept that: see README")]
    try:
        access = nats_access(nats, settings.station.name)
        own = twin_of(await in_thread(lambda: load_keyring(settings)), spare)
    except (ConfigError, FieldError, FileProblemError) as error:
        return [*findings, fault(TOPIC, str(error), "correct that, then run this again")]
    name = f"hotline-doctor-spare-{access.station}"
    connection = NatsConnection(access, ServerRing(access), name=name)
    cluster = SpareCluster(connection, access.station)
    try:
        await connection.open()
        for stream in STREAMS:
            findings += await examine_stream(connection, stream, topic=TOPIC)
        denied = [await _placed(connection, subject) async for subject in cluster.denied()]
        findings += judge_rights(denied)
        if not any("MSG.GET" in it for it in denied):
            claim, _ = await cluster.claim()
            twins = await cluster.twins()
            findings += [*judge_claim(claim, twins), *judge_twins(own, twins)]
    except QueueUnavailableError as error:
        findings.append(fault(TOPIC, str(error), "start the servers, or correct [nats]"))
    finally:
        await connection.close()
    return findings


async def _placed(connection: NatsConnection, subject: str) -> str:
    """A subject of JetStream with the name under which the stream is there for us."""
    head, dot, name = subject.rpartition(".")
    return head + dot + await connection.place(name)


async def _asked(socket: Path) -> Document | None:
    """What the gateway of this machine says; None: it cannot be asked."""

    def ask() -> Document | None:
        try:
            with ApiClient(socket, timeout_s=ASK_S) as client:
                return dict(client.get("/v1/spare"))
        except (ApiError, GatewayError):
            return None

    return await in_thread(ask)


def judge_role(spare: SpareSettings, document: Document | None) -> Iterator[Finding]:
    """Which of the two this is, and whether something is on one machine only."""
    if document is None:
        text = f"gateway {spare.name} cannot be asked which of the two it is"
        yield look(TOPIC, text, "start it (sudo systemctl start hotline-gateway)")
        return
    name, problem = document.get("name"), str(document.get("problem") or "")
    if document.get("role") == "active":
        yield ok(TOPIC, f"gateway {name} is the active one, by {document.get('held_by')}")
        if problem:
            count = document.get("unreplicated_count")
            text = f"UNREPLICATED: {count} acts are on this machine alone ({problem})"
            yield fault(TOPIC, text, "bring the cluster back; keep this machine until then")
        else:
            yield ok(TOPIC, "the cluster has all of it: 0 acts UNREPLICATED")
    elif document.get("held_by") != "none":
        why = problem or "it has only just begun"
        text = f"gateway {name} holds the claim by {document.get('held_by')}, and is not active yet"
        remedy = "see to that, or promote the other one; nothing is sent or accepted meanwhile"
        yield fault(TOPIC, f"{text}: {why}", remedy)
    elif isinstance(pending := document.get("pending"), dict):
        text = f"the promotion of gateway {name} is pending: {pending.get('reason')}"
        yield fault(TOPIC, text, "see to that; hotline standby cancels it")
    elif vacancy := document.get("vacancy"):
        yield fault(TOPIC, f"gateway {name} stands by: {vacancy}", _NOBODY)
    elif problem:
        text = f"gateway {name} stands by, and its copy is not whole: {problem}"
        remedy = (
            "see that the other one and the cluster run (hotline doctor there too); if none is"
            " active, hotline promote on the one that was the last"
        )
        yield fault(TOPIC, text, remedy)
    else:
        yield ok(TOPIC, f"gateway {name} stands by, and its copy is whole")


def judge_rights(denied: list[str]) -> Iterator[Finding]:
    """Whether our user may do what a spare needs."""
    for subject in denied:
        remedy = "allow it, as in gateway/queues/jetstream/nats-server.conf"
        yield fault(TOPIC, f"our user may not publish {subject}", remedy)
    if not denied:
        yield ok(TOPIC, "our user has every right that a spare needs")


def judge_claim(claim: Claim | None, twins: list[Twin]) -> Iterator[Finding]:
    """Who is the active one, as the cluster has it."""
    if claim is None or not held(claim):
        text = "no gateway of this station holds the claim"
        if claim is None:
            yield look(TOPIC, f"{text} yet", "hotline promote on one of them, or start them both")
        else:
            yield fault(TOPIC, f"{text}: none of them is active", _NOBODY)
        return
    right = "a person's word" if claim.hold is Hold.HAND else "lease"
    text = f"gateway {claim.name} holds the claim by {right}, term {claim.term}"
    if claim.is_paused:
        yield look(TOPIC, f"{text}, and was stopped", "start it, or promote the other one")
    else:
        yield ok(TOPIC, text)
    if twins and claim.name not in {twin.name for twin in twins}:
        remedy = "see which box has that name"
        yield look(TOPIC, f"no gateway {claim.name} told the cluster of itself", remedy)


def judge_twins(own: Twin, twins: list[Twin]) -> Iterator[Finding]:
    """Whether both machines are configured alike, as each told the cluster, and this one is now."""
    others = [twin for twin in twins if twin.name != own.name]
    if not others:
        text = "no other gateway of this station was ever at the cluster"
        yield look(TOPIC, text, "start it; each has a name of its own in [spare]")
    told = [twin for twin in twins if twin.name == own.name]
    if any(twin != own for twin in told):
        text = f"gateway {own.name} runs with another configuration or version than is here"
        yield look(TOPIC, text, "restart it; or two boxes have this name in [spare]: rename one")
    if len(others) > 1:
        names = ", ".join(twin.name for twin in others)
        place = "$KV.HOTLINE_SPARE.<station>.<name>"
        remedy = f"one that is gone: nats pub '{place}' '' (not {own.name})"
        yield look(TOPIC, f"a station has two gateways; the cluster knows also {names}", remedy)
    for other in others:
        found = list(differences(own, other))
        for text, is_grave in found:
            if is_grave:
                remedy = "bring the keys, cards and secrets of one to the other, and restart it"
                yield fault(TOPIC, f"{text}: a take-over would cut that line", remedy)
            else:
                yield look(TOPIC, text, "make them the same")
        if not found:
            lines = ", ".join(own.lines)
            text = f"gateway {other.name} has the same station key, lines ({lines}) and settings"
            yield ok(TOPIC, text)
