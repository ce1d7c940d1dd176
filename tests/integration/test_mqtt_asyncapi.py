"""asyncapi.yaml and what a real broker hears: every topic and payload of the file, and no other."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from gateway.core.events import Principal, Rights
from gateway.model import DeliveryState, Operation, Precedence, Role
from gateway.queues.mqtt import MqttAdapter, MqttOptions
from tests.integration.desk_double import MemoryDesk, status
from tests.integration.mosquitto import Heard, mosquitto, needs_mosquitto

GATEWAY = Path(__file__).parents[2] / "gateway"
SPEC: dict[str, Any] = yaml.safe_load((GATEWAY / "queues/asyncapi.yaml").read_text("utf-8"))
OPENAPI: dict[str, Any] = yaml.safe_load((GATEWAY / "api/openapi.yaml").read_text("utf-8"))
PREFIX = "hotline/v1/NORTH"


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    found: Any = SPEC
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


def check(schema: dict[str, Any], document: object) -> None:
    """Raise if `document` does not match a schema of the file, which may refer to openapi.yaml."""
    local = json.loads(json.dumps(schema).replace("../api/openapi.yaml#", "#"))
    if local.get("$ref", "").startswith("#/components/schemas/") and "openapi" not in str(schema):
        local = resolved(schema)
    whole = {**local, "components": OPENAPI["components"]}
    jsonschema.Draft202012Validator(whole).validate(document)


def pattern(channel: dict[str, Any]) -> re.Pattern[str]:
    """The topics of a channel: its words where it lists them, else anything of one level."""
    address = str(channel["address"])
    for name, reference in channel["parameters"].items():
        parameter = resolved(reference) if "$ref" in reference else reference
        words = "|".join(parameter.get("enum", ["[^/]+"]))
        address = address.replace(f"{{{name}}}", f"({words})")
    return re.compile(address)


def channel_of(heard: Heard) -> str:
    names: list[str] = [
        name
        for name, channel in SPEC["channels"].items()
        if channel["address"] and pattern(channel).fullmatch(heard.topic)
    ]
    assert len(names) == 1, f"{heard.topic} is in no channel of the file, or in two"
    return names[0]


def messages(channel: str) -> list[dict[str, Any]]:
    return [resolved(one) for one in SPEC["channels"][channel]["messages"].values()]


def check_heard(channel: str, heard: Heard) -> None:
    """A message fits one of the messages of its channel: payload, content type, properties."""
    failures = []
    for message in messages(channel):
        try:
            check(message["payload"], heard.json)
        except jsonschema.ValidationError as error:
            failures.append(error)
            continue
        assert heard.content_type == message["contentType"]
        if "headers" in message:
            check(message["headers"], heard.properties)
        return
    raise failures[0]


@needs_mosquitto
async def test_what_is_published_is_what_the_file_says(tmp_path: Path) -> None:
    """Examples of the file are accepted; each channel that we send on is heard and fits."""
    desk = MemoryDesk()
    desk.show(status())
    rights = Rights(frozenset(Operation), Precedence.FLASH, answer=True)
    who = Principal("mqtt", "broker", Role.AUTOMATIC, rights)
    async with mosquitto(tmp_path) as broker, broker.listen("hotline/#", "me/#") as listener:
        adapter = MqttAdapter(MqttOptions(broker.url, "NORTH", who), desk, desk.store)
        task = asyncio.create_task(adapter.run(lambda _event: None))
        await listener.on("/availability")
        arrived = desk.arrive(operation=Operation.OPERATION, precedence=Precedence.FLASH)
        assert str(arrived.id) == "2-3f2a-1"
        for channel in ("submit", "answer", "taken"):
            [message] = messages(channel)
            for example in message["examples"]:
                check(message["payload"], example["payload"])
                await broker.publish(
                    f"{PREFIX}/{channel}",
                    json.dumps(example["payload"]),
                    *("-D", "publish", "response-topic", f"me/{channel}"),
                    *(
                        option
                        for name, value in example.get("headers", {}).items()
                        for option in ("-D", "publish", "user-property", name, value)
                    ),
                )
        await broker.publish(
            f"{PREFIX}/taken", "{}", "-D", "publish", "response-topic", "me/refused"
        )
        await listener.on("me/", count=5)
        [own] = [draft for _, request_id, draft in desk.accepted if request_id == "convoy-7"]
        assert own.operation is Operation.EXERCISE
        stored = await desk.store.notice(arrived.id)
        assert stored is not None
        assert stored.delivery.taken
        assert stored.delivery.state is DeliveryState.ROGER
        await listener.on("/error/")
        await listener.on("/line/")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await listener.on("/availability", count=2)
    sent = {
        operation["channel"]["$ref"].rsplit("/", 1)[1]
        for operation in SPEC["operations"].values()
        if operation["action"] == "send"
    }
    seen = set()
    for heard in listener.heard:
        channel = "reply" if heard.topic.startswith("me/") else channel_of(heard)
        if channel not in ("submit", "answer", "taken"):
            check_heard(channel, heard)
            seen.add(channel)
    assert seen == sent | {"reply"}
    replies = {heard.topic for heard in listener.heard if heard.topic.startswith("me/")}
    assert replies == {"me/submit", "me/answer", "me/taken", "me/refused"}


def test_topic_words_are_those_of_the_model() -> None:
    """The levels of the notice topic are the indicators and precedences."""
    parameters = SPEC["channels"]["notice"]["parameters"]
    assert parameters["operation"]["enum"] == [one.name.lower() for one in Operation]
    assert parameters["precedence"]["enum"] == [one.name.lower() for one in Precedence]


def test_every_reference_leads_somewhere() -> None:
    """No reference inside the file or into openapi.yaml is broken."""
    references = re.findall(r"'\$ref': '([^']+)'", str(SPEC))
    assert references
    for reference in references:
        found: Any = OPENAPI if reference.startswith("../api/openapi.yaml#") else SPEC
        for name in reference.split("#/")[1].split("/"):
            found = found[name]
