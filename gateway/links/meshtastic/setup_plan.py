"""From what a radio is set to and what the line wants to the orders that bring it there. Pure.

The airtime savers are always wanted. What a radio says unasked spends the same duty cycle as our
notices: at LONG_FAST a position or telemetry packet is about half a second on air, and every radio
around sends it once more.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import FieldError
from gateway.links.meshtastic.identity import HOP_LIMIT_MAX
from gateway.links.meshtastic.protobuf import (
    admin_pb2,
    channel_pb2,
    config_pb2,
    mesh_pb2,
    module_config_pb2,
)
from gateway.links.meshtastic.survey import Message, RadioSurvey, enum_name

RARE_S: Final = 86_400
"""Once a day: long enough to cost nothing, and no value that old firmware overflows."""
NODE_INFO_S: Final = 10_800
"""A node's name and public key; without it a replaced radio would be unknown for ever."""
ROLES: Final = ("CLIENT", "CLIENT_MUTE")
CHANNEL_NAME_SIZE_MAX: Final = 11
LONG_NAME_SIZE_MAX: Final = 36
SHORT_NAME_SIZE_MAX: Final = 4
_LoRa = config_pb2.Config.LoRaConfig
_Position = config_pb2.Config.PositionConfig
_PRIMARY: Final = channel_pb2.Channel.Role.PRIMARY
_KEY_SIZES: Final = (16, 32)

REGIONS: Final = tuple(word for word in _LoRa.RegionCode.keys() if word != "UNSET")  # noqa: SIM118
PRESETS: Final = tuple(_LoRa.ModemPreset.keys())


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the line wants of its radio; None leaves a setting as it is."""

    region: str | None = None
    preset: str | None = None
    role: str | None = None
    hop_limit: int | None = None
    channel_name: str | None = None
    channel_key: bytes | None = None
    long_name: str | None = None
    short_name: str | None = None

    def __post_init__(self) -> None:
        """Raises `FieldError`."""
        if self.hop_limit is not None and not 1 <= self.hop_limit <= HOP_LIMIT_MAX:
            raise FieldError("hop-limit", f"is {self.hop_limit}", f"write 1 to {HOP_LIMIT_MAX}")
        _check_size("channel", self.channel_name, CHANNEL_NAME_SIZE_MAX)
        _check_size("long-name", self.long_name, LONG_NAME_SIZE_MAX)
        _check_size("short-name", self.short_name, SHORT_NAME_SIZE_MAX)
        if self.channel_key is not None and len(self.channel_key) not in _KEY_SIZES:
            raise FieldError(
                "channel key",
                f"has {len(self.channel_key)} octets",
                "make one of 32: head -c 32 /dev/urandom | base64 > channel.key",
            )


@dataclass(frozen=True, slots=True)
class Change:
    """One setting, as people read it."""

    setting: str
    now: str
    then: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What differs, and the orders that change it, whole sections each."""

    changes: tuple[Change, ...]
    orders: tuple[admin_pb2.AdminMessage, ...]


def parse_channel_key(text: str) -> bytes:
    """A channel's key from base64, 16 or 32 octets. Raises `FieldError`."""
    try:
        return base64.b64decode(text.strip(), validate=True)
    except ValueError as error:
        raise FieldError("channel key", "is no base64", "write the key as base64") from error


def plan(survey: RadioSurvey, wanted: Wanted) -> Plan:
    """What must change on this radio. An unset region that nobody names stays unset."""
    changes: list[Change] = []
    orders: list[admin_pb2.AdminMessage] = []
    for section, values in _config_wants(survey, wanted).items():
        old = survey.config.get(section, getattr(config_pb2.Config(), section))
        if new := _changed(section, old, values, changes):
            orders.append(_set_config(section, new))
    for section, values in _module_wants(survey).items():
        old = survey.module_config[section]
        if new := _changed(section, old, values, changes):
            order = admin_pb2.AdminMessage()
            getattr(order.set_module_config, section).CopyFrom(new)
            orders.append(order)
    orders += _owner_orders(survey, wanted, changes)
    orders += _channel_orders(survey, wanted, changes)
    return Plan(tuple(changes), tuple(orders))


def _config_wants(survey: RadioSurvey, wanted: Wanted) -> dict[str, dict[str, Any]]:
    """Section: field: value. Enums as words."""
    lora: dict[str, Any] = {"tx_enabled": True, "ignore_mqtt": True, "override_duty_cycle": False}
    if wanted.region is not None:
        lora["region"] = wanted.region
    if wanted.preset is not None:
        lora |= {"use_preset": True, "modem_preset": wanted.preset}
    if wanted.hop_limit is not None:
        lora["hop_limit"] = wanted.hop_limit
    device: dict[str, Any] = {"node_info_broadcast_secs": NODE_INFO_S}
    if wanted.role is not None:
        device["role"] = wanted.role
    position: dict[str, Any] = {
        "position_broadcast_smart_enabled": False,
        "fixed_position": False,
    }
    now = survey.config.get("position", _Position())
    if now.position_broadcast_secs < RARE_S:
        position["position_broadcast_secs"] = RARE_S
    if now.gps_mode == _Position.GpsMode.ENABLED:
        position["gps_mode"] = "DISABLED"
    wants = {"lora": lora, "device": device, "position": position}
    if not _hides_key(survey):
        wants["security"] = {"serial_enabled": True, "debug_log_api_enabled": False}
    return wants


def _hides_key(survey: RadioSurvey) -> bool:
    """Whether it has keys and does not show its private one.

    Written back without it, its security section would make the radio draw new keys, and the far
    radio would refuse it.
    """
    security = survey.config.get("security", config_pb2.Config.SecurityConfig())
    return len(survey.public_key) > 0 and not security.private_key


def _module_wants(survey: RadioSurvey) -> dict[str, dict[str, Any]]:
    """Only of modules that the radio has."""
    telemetry: dict[str, Any] = {
        "device_telemetry_enabled": False,
        "environment_measurement_enabled": False,
        "air_quality_enabled": False,
        "power_measurement_enabled": False,
        "health_measurement_enabled": False,
    }
    has = survey.module_config
    if "telemetry" in has and has["telemetry"].device_update_interval < RARE_S:
        telemetry["device_update_interval"] = RARE_S
    off = {"enabled": False}
    wants = {
        "telemetry": telemetry,
        "neighbor_info": off,
        "range_test": off,
        "store_forward": off,
        "detection_sensor": off,
        "mqtt": off,
    }
    known = module_config_pb2.ModuleConfig.DESCRIPTOR.fields_by_name
    return {name: values for name, values in wants.items() if name in has and name in known}


def _changed(
    section: str, old: Message, values: dict[str, Any], changes: list[Change]
) -> Message | None:
    """A copy of a section with the wanted values; None when it has them already."""
    new = type(old)()
    new.CopyFrom(old)
    for field, value in values.items():
        now = _shown(old, field)
        _put(new, field, value)
        if (then := _shown(new, field)) != now:
            changes.append(Change(f"{section}.{field}", now, then))
    return None if new == old else new


def _put(message: Message, field: str, value: Any) -> None:  # noqa: ANN401 (any scalar)
    enum = message.DESCRIPTOR.fields_by_name[field].enum_type
    if enum is not None and isinstance(value, str):
        value = enum.values_by_name[value].number
    setattr(message, field, value)


def _shown(message: Message, field: str) -> str:
    if message.DESCRIPTOR.fields_by_name[field].enum_type is not None:
        return enum_name(message, field)
    value = getattr(message, field)
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value} s" if field.endswith(("_secs", "_interval")) else str(value)


def _set_config(section: str, new: Message) -> admin_pb2.AdminMessage:
    order = admin_pb2.AdminMessage()
    getattr(order.set_config, section).CopyFrom(new)
    return order


def _owner_orders(
    survey: RadioSurvey, wanted: Wanted, changes: list[Change]
) -> list[admin_pb2.AdminMessage]:
    values = {"long_name": wanted.long_name, "short_name": wanted.short_name}
    given = {field: value for field, value in values.items() if value is not None}
    new = _changed("owner", survey.user, given, changes)
    if new is None:
        return []
    # The number, the keys and the address are the radio's own; what is left out here is cleared.
    owner = mesh_pb2.User(
        long_name=new.long_name, short_name=new.short_name, is_licensed=new.is_licensed
    )
    if new.HasField("is_unmessagable"):
        owner.is_unmessagable = new.is_unmessagable
    return [admin_pb2.AdminMessage(set_owner=owner)]


def _channel_orders(
    survey: RadioSurvey, wanted: Wanted, changes: list[Change]
) -> list[admin_pb2.AdminMessage]:
    """The primary channel. Without a wish direct messages go with the nodes' own keys (PKC)."""
    if wanted.channel_name is None and wanted.channel_key is None:
        return []
    old = survey.channels.get(0, channel_pb2.Channel(role=_PRIMARY))
    new = channel_pb2.Channel()
    new.CopyFrom(old)
    new.index, new.role = 0, _PRIMARY
    if wanted.channel_name is not None:
        new.settings.name = wanted.channel_name
    if wanted.channel_key is not None:
        new.settings.psk = wanted.channel_key
    new.settings.uplink_enabled = new.settings.downlink_enabled = False
    if new == old:
        return []
    before, after = survey.channel, _channel_after(survey, new)
    if before.name != after.name:
        changes.append(Change("channel.name", before.name, after.name))
    if before.fingerprint != after.fingerprint:
        changes.append(Change("channel.key", before.fingerprint, after.fingerprint))
    return [admin_pb2.AdminMessage(set_channel=new)]


def _channel_after(survey: RadioSurvey, channel: Message) -> Any:  # noqa: ANN401
    later = RadioSurvey()
    later.config, later.channels = survey.config, {0: channel}
    return later.channel


def _check_size(field: str, text: str | None, size_max: int) -> None:
    if text is not None and not 1 <= len(text.encode()) <= size_max:
        raise FieldError(
            field, f"has {len(text.encode())} octets", f"write 1 to {size_max}, as the radio takes"
        )
