"""What no single value can show: names used twice, pins that clash, users that do not exist."""

from __future__ import annotations

import dataclasses
import grp
import os
import pwd
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import msgspec

from gateway.config.document import Fields, Problem, shown
from gateway.config.header import free_pins, pin_problem
from gateway.config.settings import (
    ApiSettings,
    IndicatorSettings,
    LineSettings,
    LinkSettings,
    MeshtasticLinkSettings,
    MqttSettings,
    NatsSettings,
    PinSettings,
    SpareSettings,
    StationSettings,
)
from gateway.core.policy import Policy

POLICY_VALUE_MAX = 1_000_000_000
NODE_BROADCAST = 0xFFFF_FFFF
NODE_MIN = 4
"""Meshtastic keeps the numbers below for itself; 0 is nobody."""
_SOCKET_PATH_SIZE_MAX = 107
"""What fits `sun_path` (unix(7)) with its closing zero."""
_CONFIGURATION = Path("/etc/hotline-gateway")
"""Removed by a purge of the package, as the runtime folder is at each stop."""
_STATE_REMEDY = "leave it out for /var/lib/hotline-gateway, or name a folder for it alone"


def check_fields(fields: Fields) -> list[Problem]:
    """Check what was read of the file, as far as it fitted its types."""
    lines = fields.get("line") or ()
    links = list(_links(lines))
    return [
        *_check_links(links),
        *_check_files_once(lines),
        *_check_station(fields.get("station")),
        *_check_roots(fields.get("station")),
        *_check_pins(fields.get("indicators"), len(links)),
        *_check_api(fields.get("api")),
        *_check_mqtt(fields.get("mqtt")),
        *_check_nats(fields.get("nats"), fields.get("mqtt")),
        *_check_spare(fields.get("spare"), fields.get("nats")),
        *_check_policy(fields.get("policy") or {}),
    ]


def build_policy(overrides: Mapping[str, int]) -> Policy:
    """Put checked overrides on the engine's numbers."""
    return dataclasses.replace(Policy(), **overrides)


def _links(lines: Iterable[LineSettings | None]) -> Iterator[tuple[str, LinkSettings]]:
    for line_number, line in enumerate(lines, start=1):
        for number, link in enumerate(line.link if line else (), start=1):
            yield f"[[line]] {line_number}, [[line.link]] {number}", link


def _check_links(links: list[tuple[str, LinkSettings]]) -> Iterator[Problem]:
    names: dict[str, str] = {}
    ports: dict[str, str] = {}
    for where, link in links:
        if first := names.get(link.name):
            what = f"{shown(link.name)} is already the name of {first}"
            yield Problem(f"{where} name", what, "give each link of the file its own name")
        if first := ports.get(link.port):
            what = f"{shown(link.port)} is already the port of {first}"
            yield Problem(f"{where} port", what, "give each link a device of its own")
        names.setdefault(link.name, where)
        ports.setdefault(link.port, where)
        if isinstance(link, MeshtasticLinkSettings):
            yield from _check_radio(where, link)


def _check_radio(where: str, link: MeshtasticLinkSettings) -> Iterator[Problem]:
    if not _is_reachable(link.port):
        what = f"{shown(link.port)} names no host and port"
        yield Problem(f"{where} port", what, 'write it as "tcp://host:4403"')
    for key, node, whose in (
        ("node", link.node, "the far station's radio"),
        ("own_node", link.own_node, "our own radio"),
    ):
        number = None if node is None else int(node[1:], 16)
        if number == NODE_BROADCAST:
            what = f"{shown(node)} is every radio in reach, not one"
        elif number is not None and number < NODE_MIN:
            what = f"{shown(node)} is no radio's number"
        else:
            continue
        yield Problem(
            f"{where} {key}", what, f"write the number of {whose}; `hotline radio show` prints it"
        )
    if link.node == link.own_node:
        what = f"{shown(link.node)} is our own radio as well"
        yield Problem(f"{where} node", what, "write the number of the far station's radio")


def _check_files_once(lines: Iterable[LineSettings | None]) -> Iterator[Problem]:
    seen: dict[object, str] = {}
    for number, line in enumerate(lines, start=1):
        for key, path in (("card", line.card), ("secret_file", line.secret_file)) if line else ():
            where = f"[[line]] {number} {key}"
            if path in seen:
                what = f"{shown(str(path))} is already used in {seen[path]}"
                yield Problem(where, what, "each far station has a card and a secret of its own")
            seen.setdefault(path, where)


def _check_station(station: StationSettings | None) -> Iterator[Problem]:
    if station is None:
        return
    longest = os.fsencode(station.runtime_folder / "pins.sock")
    if len(longest) > _SOCKET_PATH_SIZE_MAX:
        what = f"is too long: a socket in it would have {len(longest)} octets of path"
        remedy = f"choose a folder so that it has at most {_SOCKET_PATH_SIZE_MAX}"
        yield Problem("[station] runtime_folder", what, remedy)
    state, runtime = _real(station.state_folder), _real(station.runtime_folder)
    if runtime == state:
        what = "is the state folder as well"
        yield Problem("[station] runtime_folder", what, "choose a folder below /run")
    elif state.is_relative_to(runtime):
        what = f"{station.state_folder} is in the runtime folder, which is gone after a restart"
        yield Problem("[station] state_folder", what, _STATE_REMEDY)
    elif runtime.is_relative_to(state):
        what = f"{station.runtime_folder} is in the state folder {station.state_folder}"
        yield Problem("[station] runtime_folder", what, "choose a folder below /run")
    if state.is_relative_to(_real(_CONFIGURATION)):
        what = f"{station.state_folder} is in {_CONFIGURATION}, which the service may only read"
        yield Problem("[station] state_folder", what, _STATE_REMEDY)


def _real(folder: Path) -> Path:
    """A folder under its one name, without links, `..` and `//`."""
    return Path("/" + os.path.realpath(folder).lstrip("/"))


def _check_roots(station: StationSettings | None) -> Iterator[Problem]:
    for name in () if station is None else ("state_folder", "runtime_folder"):
        if set(os.path.normpath(getattr(station, name))) == {"/"}:
            what = "is the root of all folders"
            yield Problem(f"[station] {name}", what, "name a folder of the gateway's own")


def _check_pins(indicators: IndicatorSettings | None, link_count: int) -> Iterator[Problem]:
    if indicators is None or indicators.factory == "none":
        return
    pins = indicators.pins
    if link_count > len(pins.link):
        what = f"names {len(pins.link)} lamps for {link_count} links"
        yield Problem("[indicators.pins] link", what, "name a pin for each link, in their order")
    yield from _check_each_pin(list(_named_pins(pins)))


def _named_pins(pins: PinSettings) -> Iterator[tuple[str, int]]:
    """`alarm` and `link 2` with their pins, in the order of the table."""
    for field in msgspec.structs.fields(pins):
        value = getattr(pins, field.name)
        if isinstance(value, tuple):
            yield from ((f"{field.name} {at}", pin) for at, pin in enumerate(value, start=1))
        else:
            yield field.name, value


def _check_each_pin(named: list[tuple[str, int]]) -> Iterator[Problem]:
    """Each pin has one user, and can serve it."""
    used = {pin for _, pin in named}
    users: dict[int, str] = {}
    for name, pin in named:
        what = f"pin {pin} is already used by {users[pin]}" if pin in users else None
        users.setdefault(pin, name)
        if what := what or pin_problem(pin, name):
            free = ", ".join(str(it) for it in free_pins(name, used)) or "none"
            yield Problem(f"[indicators.pins] {name}", what, f"name one that is free: {free}")


def _check_api(api: ApiSettings | None) -> Iterator[Problem]:
    if api is None:
        return
    if api.group is not None:
        try:
            grp.getgrnam(api.group)
        except KeyError:
            what = f"this machine has no group {shown(api.group)}"
            yield Problem("[api] group", what, f"make it with: groupadd --system {api.group}")
    seen: dict[str, int] = {}
    for number, user in enumerate(api.user, start=1):
        where = f"[[api.user]] {number} name"
        if user.name in seen:
            what = f"{shown(user.name)} is already [[api.user]] {seen[user.name]}"
            yield Problem(where, what, "write each user once")
            continue
        seen[user.name] = number
        try:
            pwd.getpwnam(user.name)
        except KeyError:
            what = f"this machine has no user {shown(user.name)}"
            yield Problem(where, what, "write a user that exists, or make it with adduser")


def _check_mqtt(mqtt: MqttSettings | None) -> Iterator[Problem]:
    if mqtt is None:
        return
    where = "[mqtt] url"
    parts = _split(mqtt.url)
    if parts is None or parts.scheme not in ("mqtt", "mqtts", "unix"):
        yield Problem(where, "is no address of a broker", 'write it as "mqtt://host:1883"')
    elif parts.username or parts.password:
        # The address itself is not shown: it may hold a password.
        yield Problem(where, "holds a user or password", "use the keys user and password_file")
    elif parts.scheme == "unix" and not parts.path.startswith("/"):
        yield Problem(where, "names no socket", 'write it as "unix:///run/mosquitto.sock"')
    elif parts.scheme != "unix" and not parts.hostname:
        yield Problem(where, "names no host", 'write it as "mqtt://host:1883"')
    elif parts.scheme != "unix" and (parts.path not in ("", "/") or parts.query or parts.fragment):
        yield Problem(where, "has more than host and port", 'write it as "mqtt://host:1883"')
    yield from _check_identity("[mqtt]", mqtt, "mqtts", is_tls=mqtt.url.startswith("mqtts:"))


def _check_spare(spare: SpareSettings | None, nats: NatsSettings | None) -> Iterator[Problem]:
    if spare is not None and spare.takeover == "lease" and nats is None:
        yield Problem(
            "[spare] takeover",
            "is lease, and there is no cluster that could keep it",
            'add a table [nats], or write "hand"',
        )


def _check_nats(nats: NatsSettings | None, mqtt: MqttSettings | None) -> Iterator[Problem]:
    if nats is None:
        return
    if mqtt is not None:
        what = "stands beside [mqtt], and a notice has one consumer that takes it"
        yield Problem("[nats]", what, "remove one of them")
    schemes = set()
    for number, server in enumerate(nats.servers, start=1):
        where = f"[nats] servers {number}"
        parts = _split(server)
        if parts is None or parts.scheme not in ("nats", "tls") or not parts.hostname:
            yield Problem(where, "is no address of a server", 'write it as "nats://host:4222"')
        elif parts.username or parts.password:
            # The address itself is not shown: it may hold a password.
            yield Problem(where, "holds a user or password", "use user and password_file")
        elif parts.path not in ("", "/") or parts.query or parts.fragment:
            yield Problem(where, "has more than host and port", 'write it as "nats://host:4222"')
        else:
            schemes.add(parts.scheme)
    if len(schemes) > 1:
        what = "mix nats:// and tls://"
        yield Problem("[nats] servers", what, "use tls:// for all: one in clear shows the password")
    if len(set(nats.servers)) < len(nats.servers):
        yield Problem("[nats] servers", "name one server twice", "write each once")
    if nats.nkey_file and nats.user:
        yield Problem("[nats] nkey_file", "stands beside user", "use one of them")
    yield from _check_identity("[nats]", nats, "tls", is_tls="tls" in schemes)


def _check_identity(
    table: str, settings: MqttSettings | NatsSettings, scheme: str, *, is_tls: bool
) -> Iterator[Problem]:
    """User, password and certificates of a broker."""
    if settings.password_file and not settings.user:
        what = "is missing beside password_file"
        yield Problem(f"{table} user", what, "write the broker's user")
    for name in ("ca_file", "cert_file", "key_file"):
        if getattr(settings, name) and not is_tls:
            what = f"is of no use without {scheme}://"
            yield Problem(f"{table} {name}", what, f"remove it or use {scheme}")
    if (settings.cert_file is None) is not (settings.key_file is None):
        missing = "key_file" if settings.key_file is None else "cert_file"
        what = "is missing beside the other of cert_file and key_file"
        yield Problem(f"{table} {missing}", what, "name a certificate and its private key")


def _check_policy(overrides: Mapping[str, object]) -> Iterator[Problem]:
    known = {field.name for field in dataclasses.fields(Policy)}
    for name, value in overrides.items():
        where = f"[policy] {name if name in known else shown(name)}"
        if name not in known:
            yield Problem(where, "is no number of the policy", "see the names in core/policy.py")
        elif type(value) is not int or not 1 <= value <= POLICY_VALUE_MAX:
            remedy = f"write 1 to {POLICY_VALUE_MAX}; the default is {getattr(Policy(), name)}"
            yield Problem(where, f"{shown(value)} does not fit", remedy)


def _split(url: str) -> SplitResult | None:
    """Take an address apart, or None if it cannot be one."""
    try:
        parts = urlsplit(url)
        return None if parts.port == 0 else parts
    except ValueError:
        return None


def _is_reachable(port: str) -> bool:
    """Whether a radio's port is a device, or an address with a host."""
    parts = _split(port)
    return port.startswith("/") or (parts is not None and bool(parts.hostname))
