"""All that a radio tells of its settings in the handshake, for people who look it over or set it.

Pure. The gateway itself needs far less of it: `identity.py`.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Any, Final

from gateway.links.meshtastic.identity import DUTY_SHARES
from gateway.links.meshtastic.protobuf import config_pb2, mesh_pb2

Message = Any
"""A protobuf message: the generated classes carry no types."""

_DEFAULT_KEY: Final = bytes.fromhex("d4f1bb3a20290759f0bcffabcf4e6901")
"""The public key of every fresh radio, which a channel names by one octet."""
_PUBLIC_KEY_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class Channel:
    """The primary channel."""

    name: str
    """As on the air: a channel without a name has its preset's."""
    key: bytes
    """Expanded: 0, 16 or 32 octets."""
    is_public_key: bool
    """Whether the key is the one that every fresh radio has, or none."""

    @property
    def hash(self) -> int:
        """The octet by which radios find their channel: XOR over name and key."""
        return reduce(xor, self.name.encode() + self.key, 0)

    @property
    def fingerprint(self) -> str:
        """Tells two keys apart without showing either."""
        return hashlib.sha256(self.key).hexdigest()[:8] if self.key else "none"


@dataclass(frozen=True, slots=True)
class HeardNode:
    """What the radio knows of another node."""

    name: str
    knows_key: bool
    snr_db: float | None
    """Of the last packet that came straight from it; None: never heard by this radio."""
    rssi_dbm: int | None
    """Only when a packet of it came while we looked."""
    hops_away: int
    """0: straight, or unknown."""


class RadioSurvey:
    """Collects messages; what it holds is whole once the handshake is done."""

    def __init__(self) -> None:
        self.node = 0
        self.firmware = ""
        self.state_version = 0
        self.app_version_min = 0
        self.config: dict[str, Message] = {}
        """Sections by name, as the radio sent them."""
        self.module_config: dict[str, Message] = {}
        self.channels: dict[int, Message] = {}
        self.nodes: dict[int, Message] = {}
        self._rssi: dict[int, int] = {}

    def take(self, message: mesh_pb2.FromRadio) -> None:
        """Note a message of the radio."""
        match message.WhichOneof("payload_variant"):
            case "my_info":
                self.node = message.my_info.my_node_num
                self.app_version_min = message.my_info.min_app_version
            case "metadata":
                self.firmware = message.metadata.firmware_version[:20]
                self.state_version = message.metadata.device_state_version
            case "config":
                self._keep(self.config, message.config)
            case "moduleConfig":
                self._keep(self.module_config, message.moduleConfig)
            case "channel":
                self.channels[message.channel.index] = message.channel
            case "node_info":
                self.nodes[message.node_info.num] = message.node_info
            case "packet" if message.packet.rx_rssi:
                self._rssi[getattr(message.packet, "from")] = message.packet.rx_rssi
            case _:
                pass

    def _keep(self, sections: dict[str, Message], holder: Message) -> None:
        name = holder.WhichOneof("payload_variant")
        if name is not None:
            sections[name] = getattr(holder, name)

    @property
    def lora(self) -> Message:
        return self.config.get("lora", config_pb2.Config.LoRaConfig())

    @property
    def user(self) -> Message:
        """The radio's own names and public key."""
        return self.nodes.get(self.node, mesh_pb2.NodeInfo()).user

    @property
    def role(self) -> str:
        device = self.config.get("device", config_pb2.Config.DeviceConfig())
        return enum_name(device, "role")

    @property
    def region(self) -> str:
        return enum_name(self.lora, "region")

    @property
    def preset(self) -> str:
        return enum_name(self.lora, "modem_preset") if self.lora.use_preset else "CUSTOM"

    @property
    def is_managed(self) -> bool:
        """Whether it takes orders from a far administrator only, and drops a client's silently."""
        security = self.config.get("security", config_pb2.Config.SecurityConfig())
        return bool(security.is_managed)

    @property
    def public_key(self) -> bytes:
        security = self.config.get("security", config_pb2.Config.SecurityConfig())
        return bytes(security.public_key or self.user.public_key)

    @property
    def channel(self) -> Channel:
        settings = self.channels[0].settings if 0 in self.channels else None
        name = settings.name if settings is not None else ""
        psk = bytes(settings.psk) if settings is not None else b""
        shown = name or "".join(part.capitalize() for part in self.preset.split("_"))
        return Channel(shown, _expanded(psk), is_public_key=len(psk) <= 1)

    @property
    def duty_percent_left(self) -> float | None:
        """Share of the rolling hour that the firmware still lets it send; None: no limit."""
        share = DUTY_SHARES.get(self.region)
        own = self.nodes.get(self.node)
        if share is None or own is None or self.lora.override_duty_cycle:
            return None
        return max(0.0, 100 * share - float(own.device_metrics.air_util_tx))

    def heard(self, node: int) -> HeardNode | None:
        """What the radio knows of `node`; None: nothing."""
        info = self.nodes.get(node)
        if info is None:
            return None
        return HeardNode(
            name=info.user.long_name,
            knows_key=len(info.user.public_key) == _PUBLIC_KEY_SIZE,
            snr_db=round(info.snr, 2) if info.snr else None,
            rssi_dbm=self._rssi.get(node),
            hops_away=info.hops_away,
        )


def enum_name(message: Message, field: str) -> str:
    """The word for an enum's value, or its number where this library knows none."""
    number = getattr(message, field)
    value = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    return str(number) if value is None else str(value.name)


def key_text(key: bytes) -> str:
    """A public key as Meshtastic's programs show it."""
    return base64.b64encode(key).decode()


def _expanded(psk: bytes) -> bytes:
    """The key behind a channel's `psk`: one octet counts up the default key's last one."""
    if len(psk) != 1:
        return psk
    number = psk[0]
    if number == 0:
        return b""
    return _DEFAULT_KEY[:-1] + bytes([(_DEFAULT_KEY[-1] + number - 1) & 0xFF])
