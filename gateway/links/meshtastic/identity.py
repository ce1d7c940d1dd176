"""What a radio tells of itself in the handshake: its number, its modem setting, whom it knows.

Pure. Nothing here is trusted beyond choosing numbers: who speaks is proven by our own frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.airtime import LoraAirtime
from gateway.errors import LinkLostError
from gateway.links.meshtastic.key_exchange import PUBLIC_KEY_SIZE
from gateway.links.meshtastic.protobuf import channel_pb2, config_pb2, mesh_pb2

_LoRa = config_pb2.Config.LoRaConfig
_Preset = _LoRa.ModemPreset

HOP_LIMIT_MAX: Final = 7
"""8 and more corrupt the packet's header."""
_HOP_LIMIT_DEFAULT: Final = 3
_HOUR_MS: Final = 3_600_000
_EARLY_NODE_COUNT_MAX: Final = 4
"""Nodes kept before the radio has told which one it is itself."""
_CODING_RATE_MAX: Final = 8
_WIDE_FACTOR: Final = 3.25
"""LORA_24 (2.4 GHz) has all bandwidths wider by this."""

_MODEM_BY_PRESET: Final = {
    _Preset.VERY_LONG_SLOW: (12, 62.5, 8),
    _Preset.LONG_SLOW: (12, 125.0, 8),
    _Preset.LONG_MODERATE: (11, 125.0, 8),
    _Preset.LONG_FAST: (11, 250.0, 5),
    _Preset.LONG_TURBO: (11, 500.0, 8),
    _Preset.MEDIUM_SLOW: (10, 250.0, 5),
    _Preset.MEDIUM_FAST: (9, 250.0, 5),
    _Preset.SHORT_SLOW: (8, 250.0, 5),
    _Preset.SHORT_FAST: (7, 250.0, 5),
    _Preset.SHORT_TURBO: (7, 500.0, 5),
    _Preset.LITE_FAST: (9, 125.0, 5),
    _Preset.LITE_SLOW: (10, 125.0, 5),
    _Preset.NARROW_FAST: (7, 62.5, 6),
    _Preset.NARROW_SLOW: (8, 62.5, 6),
}
"""Spreading factor, bandwidth in kHz, coding rate 4/n; as the firmware's modemPresetToParams."""
_BANDWIDTH_BY_CODE: Final = {
    31: 31.25,
    62: 62.5,
    200: 203.125,
    400: 406.25,
    800: 812.5,
    1600: 1625.0,
}
"""Kilohertz for the whole numbers that stand for broken ones in the configuration."""


DUTY_SHARES: Final = {
    "EU_433": 0.10,
    "EU_868": 0.10,
    "EU_866": 0.025,
    "EU_N_868": 0.10,
    "UA_433": 0.10,
    "UA_868": 0.01,
}
"""Share of a rolling hour that the firmware allows on air, by region; elsewhere it has no limit."""


@dataclass(frozen=True, slots=True)
class RadioIdentity:
    """A radio as the handshake showed it."""

    node: int
    firmware: str
    region: str
    preset: str
    """Name of the modem preset, or CUSTOM."""
    airtime: LoraAirtime
    hop_limit: int
    can_transmit: bool
    """Transmitter on and region set; otherwise the radio only receives."""
    far_key: bytes
    """The far node's key as it knows it, to encrypt to it; empty: none yet."""
    public_key: bytes = b""
    """Its own; 32 octets, or empty where the firmware has none."""
    user: bytes = b""
    """Its own `User` message, with which it introduces itself."""
    role: str = "CLIENT"
    channel: str = ""
    """Name of the primary channel; empty stands for the preset's."""
    frequency_slot: int = 0
    """0: derived from the channel's name."""
    ignores_duty_cycle: bool = False
    airtime_spent_ms: int = 0
    """Time on air in the last hour by its own count, 0 to 3 600 000."""

    def detail(self, port: str) -> str:
        """One line for people."""
        parts = [
            f"{node_name(self.node)} at {port}",
            f"firmware {self.firmware or 'unknown'}",
            f"{self.region} {self.preset}",
            f"channel {self.channel or 'of the preset'}",
            self.role,
        ]
        if self.frequency_slot:
            parts[3] += f" in slot {self.frequency_slot}"
        if self.ignores_duty_cycle:
            parts.append("set to ignore the duty cycle, which we keep all the same")
        return ", ".join(parts)

    @property
    def obstacle(self) -> str:
        """Why it sends nothing, and what to do; empty: it sends."""
        if self.region == "UNSET":
            return "it has no region, so it does not send: hotline radio set-up --region REGION"
        if not self.can_transmit:
            return "its transmitter is off: hotline radio set-up switches it on"
        return ""


@dataclass(frozen=True, slots=True)
class ExpectedRadio:
    """Which radio shall be at the port, as the line's configuration says; None: any."""

    node: int | None = None
    public_key: bytes | None = None

    def check(self, identity: RadioIdentity, port: str) -> None:
        """Raises `LinkLostError` for another one: frames must not leave by a stranger's radio."""
        if self.node is not None and identity.node != self.node:
            raise LinkLostError(
                f"the radio at {port} is {node_name(identity.node)} and not"
                f" {node_name(self.node)}; plug in the right one or correct `own_node`"
            )
        if self.public_key is not None and identity.public_key != self.public_key:
            raise LinkLostError(
                f"the radio {node_name(identity.node)} at {port} has another key than `own_key`;"
                " it was reset or is not ours: find out which, then correct `own_key`"
            )


def node_name(node: int) -> str:
    """A node number as people write it, for example `!4d4c00a1`."""
    return f"!{node:08x}"


class Handshake:
    """Collects what a radio sends between `want_config_id` and `config_complete_id`."""

    def __init__(self, far_node: int) -> None:
        self._far_node = far_node
        self._node = 0
        self._firmware = ""
        self._lora: config_pb2.Config.LoRaConfig | None = None
        self._far_key = b""
        self._nodes: dict[int, mesh_pb2.NodeInfo] = {}
        self._security_key = b""
        self._role = 0
        self._channel = ""

    def take(self, message: mesh_pb2.FromRadio) -> None:
        """Note what matters; the rest of a configuration is not ours."""
        match message.WhichOneof("payload_variant"):
            case "my_info":
                self._node = message.my_info.my_node_num
            case "metadata":
                self._firmware = message.metadata.firmware_version[:20]
            case "config" if message.config.HasField("lora"):
                self._lora = message.config.lora
            case "config" if message.config.HasField("device"):
                self._role = message.config.device.role
            case "config" if message.config.HasField("security"):
                self._security_key = message.config.security.public_key
            case "channel" if message.channel.role == channel_pb2.Channel.Role.PRIMARY:
                self._channel = message.channel.settings.name
            case "node_info" if message.node_info.num == self._far_node:
                key = message.node_info.user.public_key
                self._far_key = key if len(key) == PUBLIC_KEY_SIZE else b""
            case "node_info" if message.node_info.num == self._node or (
                not self._node and len(self._nodes) < _EARLY_NODE_COUNT_MAX
            ):
                # The radio's own comes first, with firmware so far behind my_info.
                self._nodes[message.node_info.num] = message.node_info
            case _:
                pass

    def finish(self, port: str) -> RadioIdentity:
        """The radio's identity. Raises `LinkLostError` if it left out what we need."""
        if not self._node or self._lora is None:
            raise LinkLostError(f"the radio at {port} told neither its number nor its setting")
        if self._node == self._far_node:
            raise LinkLostError(
                f"the radio at {port} is {node_name(self._node)} itself; correct `node`, which is"
                " the far station's radio"
            )
        lora, own = self._lora, self._nodes.get(self._node, mesh_pb2.NodeInfo())
        user = own.user
        return RadioIdentity(
            node=self._node,
            firmware=self._firmware,
            region=_region_name(lora.region),
            preset=_preset_name(lora),
            airtime=_airtime(lora),
            hop_limit=min(lora.hop_limit or _HOP_LIMIT_DEFAULT, HOP_LIMIT_MAX),
            can_transmit=lora.tx_enabled and lora.region != _LoRa.RegionCode.UNSET,
            far_key=self._far_key,
            public_key=self._security_key or user.public_key,
            user=user.SerializeToString(),
            role=_role_name(self._role),
            channel=self._channel,
            frequency_slot=lora.channel_num,
            ignores_duty_cycle=lora.override_duty_cycle,
            airtime_spent_ms=_airtime_spent_ms(own.device_metrics.air_util_tx),
        )


def _airtime_spent_ms(percent: float) -> int:
    """Of the last hour. What a radio says in percent may be any float."""
    return round(_HOUR_MS * percent / 100) if 0 < percent <= 100 else 0


def _region_name(region: int) -> str:
    value = _LoRa.RegionCode.DESCRIPTOR.values_by_number.get(region)
    return f"REGION {region}" if value is None else value.name


def _role_name(role: int) -> str:
    value = config_pb2.Config.DeviceConfig.Role.DESCRIPTOR.values_by_number.get(role)
    return f"ROLE {role}" if value is None else value.name


def _preset_name(lora: config_pb2.Config.LoRaConfig) -> str:
    if not lora.use_preset:
        return "CUSTOM"
    value = _Preset.DESCRIPTOR.values_by_number.get(lora.modem_preset)
    return f"PRESET {lora.modem_preset}" if value is None else value.name


def _airtime(lora: config_pb2.Config.LoRaConfig) -> LoraAirtime:
    """The modem's time on air; for a setting we do not know, the slowest: never too short."""
    if lora.use_preset:
        factor, bandwidth_khz, rate = _MODEM_BY_PRESET.get(lora.modem_preset, (12, 125.0, 8))
        if lora.region == _LoRa.RegionCode.LORA_24:
            bandwidth_khz *= _WIDE_FACTOR
        if lora.coding_rate <= _CODING_RATE_MAX:
            # Newer firmware takes a slower rate than the preset's from here.
            rate = max(rate, lora.coding_rate)
        return LoraAirtime(factor, bandwidth_khz, rate)
    bandwidth_khz = _BANDWIDTH_BY_CODE.get(lora.bandwidth, float(lora.bandwidth))
    if not (5 <= lora.spread_factor <= 12 and bandwidth_khz >= 7 and 5 <= lora.coding_rate <= 8):
        return LoraAirtime(12, 125.0, 8)
    return LoraAirtime(lora.spread_factor, bandwidth_khz, lora.coding_rate)
