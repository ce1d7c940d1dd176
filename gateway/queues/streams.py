"""What the streams and consumers on JetStream are, from the files beside it, and what differs.

Pure but for reading those files. A stream that differs in `is_unsafe` would make an acknowledgement
a promise that nobody keeps: the adapter refuses to serve on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import msgspec

NOTICES: Final = "HOTLINE_NOTICE"
STATES: Final = "HOTLINE_STATE"
LINES: Final = "HOTLINE_LINE"
REQUESTS: Final = "HOTLINE_REQUEST"
STREAMS: Final = (NOTICES, STATES, LINES, REQUESTS)
REQUEST_NAMES: Final = ("submit", "answer")
SPARE_STREAMS: Final = ("KV_HOTLINE_SPARE", "HOTLINE_SPARE", "HOTLINE_SPARE_BASE")
"""What the two gateways of a station tell each other: one for all stations, or a station's own."""

Config = dict[str, Any]

_EXACT: Final = ("subjects", "storage", "retention", "discard", "max_msgs_per_subject")
_AT_LEAST: Final = (
    "max_msgs",
    "max_bytes",
    "max_age",
    "max_msg_size",
    "duplicate_window",
    "max_consumers",
)
"""Here nothing, 0 and -1 mean no bound, but for `duplicate_window`."""
_UNSAFE: Final = frozenset({"subjects", "storage", "retention", "num_replicas", "no_ack"})
_AGE_FEW_NS: Final = 24 * 3600 * 10**9
"""A consumer may be away over a night."""
_CONSUMER: Final = (
    "ack_policy",
    "deliver_policy",
    "filter_subject",
    "max_deliver",
    "max_ack_pending",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that is not as the file has it."""

    setting: str
    is_value: object
    wanted: object
    is_unsafe: bool

    def __str__(self) -> str:
        return f"{self.setting} is {_shown(self.is_value)} instead of {_shown(self.wanted)}"


def stream_config(name: str, replicas: int) -> Config:
    """The definition of a stream as `$JS.API.STREAM.CREATE` takes it."""
    return _read(f"{name}.json") | {"num_replicas": replicas}


def own_stream(name: str, station: str) -> str:
    """The name of a spare's stream that holds nothing of another station."""
    return f"{name}_{station}"


def own_stream_config(name: str, station: str, replicas: int) -> Config:
    """The definition of such a stream; `name` is that of the one for all."""
    made = _filled_all(_read(f"{name}_station.json"), {"{station}": station})
    return made | {"num_replicas": replicas}


def gateway_consumer(station: str, request: str) -> Config:
    """The durable consumer by which the gateway of `station` takes `submit` or `answer`."""
    names = {"{station}": station, "{request}": request}
    return _filled_all(_read("consumer-gateway.json"), names)


def program_consumer() -> Config:
    """The durable consumer of a program that takes the notices of all stations."""
    return _read("consumer-program.json")


def stream_differences(config: Mapping[str, Any], wanted: Config) -> Iterator[Difference]:
    """What of a stream is not as `wanted`; larger bounds, more replicas and more subjects are."""
    for key in _EXACT:
        value = config.get(key)
        if key == "subjects":
            missing = sorted(set(wanted[key]) - set(value or ()))
            if not missing:
                continue
        elif value == wanted[key]:
            continue
        yield Difference(key, value, wanted[key], _is_unsafe(key, value, wanted))
    for key in _AT_LEAST:
        value = config.get(key)
        if not _is_enough(key, value, wanted[key]):
            yield Difference(key, value, wanted[key], _is_unsafe(key, value, wanted))
    replicas = config.get("num_replicas") or 1
    if replicas < wanted["num_replicas"]:
        yield Difference("num_replicas", replicas, wanted["num_replicas"], is_unsafe=True)
    if config.get("no_ack"):
        yield Difference("no_ack", is_value=True, wanted=False, is_unsafe=True)


def consumer_differences(config: Mapping[str, Any], wanted: Config) -> Iterator[Difference]:
    """What of a durable consumer is not as `wanted`."""
    for key in _CONSUMER:
        if config.get(key) != wanted[key]:
            yield Difference(key, config.get(key), wanted[key], is_unsafe=key != "max_ack_pending")


def stream_settings(config: Mapping[str, Any]) -> Config:
    """What of a stream's settings matters to us; a server adds others, each version its own."""
    return {key: config.get(key) for key in (*_EXACT, *_AT_LEAST, "num_replicas", "no_ack")}


def consumer_settings(config: Mapping[str, Any]) -> Config:
    """The same of a durable consumer."""
    return {key: config.get(key) for key in _CONSUMER}


def _is_unsafe(key: str, value: Any, wanted: Config) -> bool:  # noqa: ANN401 (as below)
    """Whether it drops what it acknowledged; `value` differs from what is wanted."""
    if key in _UNSAFE:
        return True
    if wanted["discard"] != "new":
        return (
            False  # as shipped it lets go of the oldest: its last words count, or it is filled anew
        )
    match key:
        case "discard":
            return True
        case "max_msgs_per_subject":
            return int(wanted[key]) < 0  # a bound where none is wanted: each one drives one out
        case "max_age":
            return int(value) < _AGE_FEW_NS
        case _:
            return False  # full, it refuses


def _is_enough(key: str, value: Any, wanted: int) -> bool:  # noqa: ANN401 (from a server's JSON)
    if not isinstance(value, int) or value <= 0:
        return key != "duplicate_window"
    return wanted > 0 and value >= wanted


def _filled_all(config: Config, names: Mapping[str, str]) -> Config:
    return {key: _filled(value, names) for key, value in config.items()}


def _filled(value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 (from a file's JSON)
    if isinstance(value, list):
        return [_filled(it, names) for it in value]
    if isinstance(value, str):
        for placeholder, name in names.items():
            value = value.replace(placeholder, name)
    return value


def _shown(value: object) -> str:
    return str(msgspec.json.encode(value), "utf-8")[:120]


def _read(name: str) -> Config:
    octets = (resources.files("gateway.queues.jetstream") / name).read_bytes()
    config: Config = msgspec.json.decode(octets, type=dict[str, Any])
    return config
