"""A visit at the NATS cluster: connect as the gateway does, ask for streams and consumers, leave.

It makes nothing and takes no message. What differs from the shipped definitions is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nats.js.errors import APIError

from gateway.config.files import FileProblemError
from gateway.config.settings import NatsSettings
from gateway.doctor.finding import Finding, fault, look, ok
from gateway.errors import ConfigError, FieldError, QueueUnavailableError
from gateway.queues.nats_connection import (
    NOT_FOUND,
    NatsConnection,
    RightDeniedError,
    ServerRing,
)
from gateway.queues.streams import (
    REQUEST_NAMES,
    REQUESTS,
    STREAMS,
    Config,
    Difference,
    consumer_differences,
    gateway_consumer,
    stream_differences,
)
from gateway.runtime.adapters import nats_access

TOPIC: Final = "nats"
VISIT_S: Final = 40.0
SYNC_VERSION: Final = (2, 10)
"""The first that knows `sync_interval: always`."""
_FULL_SOON: Final = 0.8
_FULL: Final = 0.99
"""The next notice may be a larger one than what is left."""
_MAKES_IT: Final = "the gateway makes it: within 15 s where it runs, else when it starts"
_ALLOW_IT: Final = "allow it, as in gateway/queues/jetstream/nats-server.conf"
_LOCAL: Final = ("//localhost:", "//127.0.0.1:", "//[::1]:")

Document = Mapping[str, Any]


async def examine_nats(nats: NatsSettings, station: str) -> list[Finding]:
    """Within 40 s; servers that are away are a finding."""
    try:
        access = nats_access(nats, station)
    except (ConfigError, FieldError, FileProblemError) as error:
        return [fault(TOPIC, str(error), "correct [nats] in the configuration")]
    connection = NatsConnection(access, ServerRing(access), name=f"hotline-doctor-{station}")
    try:
        await connection.open()
        return [
            *judge_server(nats, connection.server, connection.version),
            *[it for name in STREAMS for it in await examine_stream(connection, name)],
            *[it for name in REQUEST_NAMES for it in await _consumer(connection, station, name)],
        ]
    except QueueUnavailableError as error:
        remedy = "start the servers, or correct servers, user and files in [nats]"
        return [fault(TOPIC, str(error), remedy)]
    finally:
        await connection.close()


async def examine_stream(
    connection: NatsConnection, name: str, *, topic: str = TOPIC
) -> list[Finding]:
    """One stream as the server has it. Raises `QueueUnavailableError`."""
    place = await connection.place(name)
    file = f"{name}.json" if place == name else f"{name}_station.json, its {{station}} filled in"
    subject = f"STREAM.INFO.{place}"
    try:
        answer = await connection.ask(subject)
    except APIError as error:
        return [_missing(f"stream {place}", f"nats stream add --config {file}", error, topic)]
    except RightDeniedError:
        return [fault(topic, f"our user may not publish $JS.API.{subject}", _ALLOW_IT)]
    wanted = connection.definition(place)
    remedy = f"nats stream edit {place} --config {file}"
    return list(judge_stream(place, answer, wanted, remedy, topic))


async def _consumer(connection: NatsConnection, station: str, request: str) -> list[Finding]:
    wanted = gateway_consumer(station, request)
    name = wanted["durable_name"]
    subject = f"CONSUMER.INFO.{REQUESTS}.{name}"
    try:
        answer = await connection.ask(subject)
    except APIError as error:
        return [_missing(f"consumer {name}", _MAKES_IT, error)]
    except RightDeniedError:
        text = f"our user may not publish $JS.API.{subject}"
        return [look(TOPIC, f"{text}: who removes the consumer is not noticed", _ALLOW_IT)]
    differences = list(consumer_differences(answer["config"], wanted))
    remedy = f"nats consumer rm {REQUESTS} {name}; the gateway makes it anew within 15 s"
    return [_difference(f"consumer {name}", it, remedy) for it in differences] or [
        ok(TOPIC, f"consumer {name} is as shipped, {answer.get('num_pending', 0)} wait for us")
    ]


def judge_server(nats: NatsSettings, server: str, version: str) -> Iterator[Finding]:
    """Who answers, and what its version and address mean."""
    numbers = tuple(int(it) for it in version.split(".")[:2] if it.isdecimal())
    told = "" if numbers < SYNC_VERSION else " (sync_interval always: only its own file tells)"
    yield ok(TOPIC, f"{server} accepts us, nats-server {version}{told}")
    if numbers < SYNC_VERSION:
        text = f"nats-server {version} knows no sync_interval always: servers that lose power"
        remedy = "take 2.10 or newer with gateway/queues/jetstream/nats-server.conf"
        yield look(TOPIC, f"{text} together lose two minutes of what they acknowledged", remedy)
    if not nats.is_tls and any(not any(it in one for it in _LOCAL) for one in nats.servers):
        remedy = "use tls:// with ca_file for every server"
        yield look(TOPIC, "notices and password go to another machine in clear", remedy)
    if nats.replicas > len(nats.servers):
        text = f"{nats.replicas} replicas, and {len(nats.servers)} of their servers are named"
        remedy = "name them all in servers: else losing the one named loses the cluster"
        yield look(TOPIC, text, remedy)


def judge_stream(
    name: str, answer: Document, wanted: Config, remedy: str, topic: str = TOPIC
) -> Iterator[Finding]:
    """A stream against its shipped definition, where its copies are, and how full it is."""
    differences = list(stream_differences(answer["config"], wanted))
    for difference in differences:
        yield _difference(f"stream {name}", difference, remedy, topic)
    missed = list(_judge_copies(name, answer, topic))
    yield from missed
    full = list(_judge_room(name, answer, topic))
    yield from full
    if not differences and not missed and not full:
        count = (answer.get("state") or {}).get("messages", 0)
        replicas = wanted["num_replicas"]
        copies = "1 copy" if replicas == 1 else f"{replicas} copies"
        yield ok(topic, f"stream {name} is as shipped, {copies}, {count} messages")


def _judge_copies(name: str, answer: Document, topic: str) -> Iterator[Finding]:
    """A stream stores only what more than half of its servers have."""
    cluster = answer.get("cluster") or {}
    replicas = cluster.get("replicas") or ()
    away = [str(it.get("name")) for it in replicas if it.get("offline")]
    behind = [str(it.get("name")) for it in replicas if it.get("offline") or not it.get("current")]
    count = int(answer["config"].get("num_replicas") or 1)
    if cluster and (not cluster.get("leader") or 2 * len(away) >= count > 1):
        who = f" ({', '.join(away)} away)" if away else ""
        text = (
            f"stream {name} has no leader, or no majority of its {count} servers{who}: nothing is"
            f" stored until {count // 2 + 1} of them serve"
        )
        yield fault(topic, text, "start the servers that are away, and see the network to them")
    elif behind:
        text = f"stream {name}: the copy on {', '.join(behind)} is behind or away"
        yield look(topic, text, "start that server; one more that fails stops the stream")


def _judge_room(name: str, answer: Document, topic: str) -> Iterator[Finding]:
    """Only of a stream that refuses when it is full; another one lets go of the oldest."""
    config, state = answer["config"], answer.get("state") or {}
    if config.get("discard") != "new":
        return
    count = int(state.get("messages", 0))
    size = int(state.get("bytes", 0))
    size_mean = size // max(count, 1)
    for setting, unit, used, one in (
        ("max_bytes", "octets", size, size_mean),
        ("max_msgs", "messages", count, 1),
    ):
        bound = int(config.get(setting) or -1)
        if bound <= 0 or used < _FULL_SOON * bound:
            continue
        remedy = _room(name, setting, is_queue=config.get("retention") == "workqueue")
        share = f"stream {name} is {100 * used // bound} % full, {used} of {bound} {unit}"
        if used >= _FULL * bound or bound - used < one:
            yield fault(topic, f"{share}: it refuses what does not fit", remedy)
        else:
            yield look(topic, f"{share}; what does not fit will be refused", remedy)


def _room(name: str, setting: str, *, is_queue: bool) -> str:
    option = setting.replace("_", "-")
    more = f"give it more room: nats stream edit {name} --{option}=N"
    if is_queue:
        return f"start the gateway that takes none (nats consumer report {name}), or {more}"
    return f"{more}; or remove what all programs have taken: nats stream purge {name} --keep=N"


def _difference(what: str, difference: Difference, remedy: str, topic: str = TOPIC) -> Finding:
    text = f"{what}: {difference}"
    if difference.is_unsafe:
        return fault(topic, text, remedy)
    return look(topic, text, remedy)


def _missing(what: str, remedy: str, error: APIError, topic: str = TOPIC) -> Finding:
    if error.code == NOT_FOUND:
        return look(topic, f"{what} is not there yet", remedy)
    return fault(topic, f"{what} cannot be read: {str(error.description)[:120]}", remedy)
