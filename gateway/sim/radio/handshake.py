"""What a radio tells a client that asks for its configuration: the messages of the captures, in
their order (firmware 2.7.26, native build).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.sim.air import BROADCAST
from gateway.sim.radio import messages
from gateway.sim.radio.messages import Message, config_pb2, mesh_pb2, module_config_pb2
from gateway.sim.radio.modem import Modem
from gateway.sim.radio.packets import own_packet
from gateway.sim.radio.peers import Peer, id_of, private_key_of, public_key_of

FIRMWARE: Final = "2.7.26.54e0d8d"
CHANNEL_COUNT: Final = 8
HARDWARE_PORTDUINO: Final = 37
EMPTY_MODULE_CONFIG_COUNT: Final = 3
"""The firmware counts three kinds more than it knows and sends each as an empty message."""
FILES: Final = (
    ("/prefs/device.proto", 95),
    ("/prefs/nodes.proto", 641),
    ("/prefs/channels.proto", 57),
    ("/prefs/config.proto", 182),
    ("/prefs/module.proto", 100),
    ("/prefs/transmit_history.dat", 13),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a radio is, as it introduces itself."""

    number: int
    name: str
    has_key: bool = True
    """The firmware makes its keys when it first has a region."""

    @property
    def public_key(self) -> bytes:
        return public_key_of(self.number) if self.has_key else b""

    def user(self) -> Message:
        return user_message(self.number, self.name, self.public_key)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The own device's figures in its node_info."""

    uptime_s: int
    channel_percent: float
    transmit_percent: float


def user_message(number: int, name: str, public_key: bytes | None) -> Message:
    return mesh_pb2.User(
        id=id_of(number),
        long_name=name,
        short_name=name[:4],
        macaddr=bytes((2, 0)) + number.to_bytes(4, "big"),
        hw_model=HARDWARE_PORTDUINO,
        public_key=public_key or b"",
        is_unmessagable=False,
    )


def handshake(
    nonce: int, identity: Identity, modem: Modem, peers: list[Peer], telemetry: Telemetry
) -> Iterator[tuple[str, Message]]:
    """Each message with the line of text log that precedes it."""
    yield "STATE_SEND_MY_INFO", mesh_pb2.FromRadio(my_info=_my_info(identity, peers))
    yield (
        "getFromRadio=STATE_SEND_UIDATA",
        mesh_pb2.FromRadio(
            deviceuiConfig=messages.device_ui_pb2.DeviceUIConfig(
                screen_brightness=153, screen_timeout=30
            )
        ),
    )
    yield "Send My NodeInfo", mesh_pb2.FromRadio(node_info=_own_node_info(identity, telemetry))
    yield "Send device metadata", mesh_pb2.FromRadio(metadata=_metadata())
    for index in range(CHANNEL_COUNT):
        yield f"Send channels {index + 1}", mesh_pb2.FromRadio(channel=_channel(index))
    for name, config in _configs(identity, modem):
        yield f"Send config: {name}", mesh_pb2.FromRadio(config=config)
    for name, module_config in _module_configs():
        yield f"Send module config: {name}", mesh_pb2.FromRadio(moduleConfig=module_config)
    for index, peer in enumerate(peers):
        text = f"nodeinfo: {index + 2}/{len(peers) + 1}"
        yield text, mesh_pb2.FromRadio(node_info=_node_info(peer))
    for name, size in FILES:
        yield (
            f"File: {name} ({size}) bytes",
            mesh_pb2.FromRadio(fileInfo=mesh_pb2.FileInfo(file_name=name, size_bytes=size)),
        )
    yield "Config Send Complete", mesh_pb2.FromRadio(config_complete_id=nonce)


def _my_info(identity: Identity, peers: list[Peer]) -> Message:
    return mesh_pb2.MyNodeInfo(
        my_node_num=identity.number,
        min_app_version=30200,
        pio_env="native",
        nodedb_count=len(peers) + 1,
    )


def _own_node_info(identity: Identity, telemetry: Telemetry) -> Message:
    return mesh_pb2.NodeInfo(
        num=identity.number,
        user=identity.user(),
        position=mesh_pb2.Position(),
        device_metrics=_device_metrics(telemetry),
        is_favorite=True,
    )


def _device_metrics(telemetry: Telemetry) -> Message:
    return messages.telemetry_pb2.DeviceMetrics(
        battery_level=101,
        voltage=0.0,
        channel_utilization=telemetry.channel_percent,
        air_util_tx=telemetry.transmit_percent,
        uptime_seconds=telemetry.uptime_s,
    )


def telemetry_packet(number: int, packet_id: int, telemetry: Telemetry) -> Message:
    """The own device's figures as the radio tells its client once a minute: from itself to all."""
    figures = messages.telemetry_pb2.Telemetry(device_metrics=_device_metrics(telemetry))
    data = mesh_pb2.Data(portnum=messages.TELEMETRY, payload=figures.SerializeToString())
    packet = own_packet(number, data, packet_id, messages.PRIORITY.BACKGROUND, hop_limit=3)
    packet.to = BROADCAST
    return packet


def _node_info(peer: Peer) -> Message:
    return mesh_pb2.NodeInfo(
        num=peer.number,
        user=user_message(peer.number, peer.name, peer.public_key),
        snr=7.5,
        hops_away=0,
    )


def _metadata() -> Message:
    return mesh_pb2.DeviceMetadata(
        firmware_version=FIRMWARE,
        device_state_version=24,
        hasWifi=True,
        position_flags=811,
        hw_model=HARDWARE_PORTDUINO,
        hasPKC=True,
        excluded_modules=13764,
    )


def _channel(index: int) -> Message:
    channel = mesh_pb2.FromRadio().channel.__class__(index=index)
    channel.settings.SetInParent()
    if index == 0:
        channel.role = 1
        channel.settings.psk = b"\x01"
        channel.settings.module_settings.position_precision = 13
    return channel


def _configs(identity: Identity, modem: Modem) -> Iterator[tuple[str, Message]]:
    make = config_pb2.Config
    yield "device", make(device=make.DeviceConfig(node_info_broadcast_secs=10800))
    yield (
        "position",
        make(
            position=make.PositionConfig(
                position_broadcast_secs=3600,
                position_broadcast_smart_enabled=True,
                gps_update_interval=120,
                position_flags=811,
                broadcast_smart_minimum_distance=100,
                broadcast_smart_minimum_interval_secs=300,
                gps_mode="NOT_PRESENT",
            )
        ),
    )
    yield (
        "power",
        make(
            power=make.PowerConfig(
                wait_bluetooth_secs=60, sds_secs=0xFFFF_FFFF, ls_secs=300, min_wake_secs=10
            )
        ),
    )
    yield "network", make(network=make.NetworkConfig(ntp_server="meshtastic.pool.ntp.org"))
    yield "display", make(display=make.DisplayConfig(screen_on_secs=600))
    yield "lora", make(lora=_lora(modem))
    yield (
        "bluetooth",
        make(bluetooth=make.BluetoothConfig(enabled=True, mode="FIXED_PIN", fixed_pin=123456)),
    )
    yield (
        "security",
        make(
            security=make.SecurityConfig(
                public_key=identity.public_key,
                private_key=private_key_of(identity.number) if identity.has_key else b"",
                serial_enabled=True,
            )
        ),
    )
    yield "sessionkey", make(sessionkey=make.SessionkeyConfig())
    yield "device ui", make(device_ui=messages.device_ui_pb2.DeviceUIConfig())


def _lora(modem: Modem) -> Message:
    airtime = modem.airtime
    return config_pb2.Config.LoRaConfig(
        use_preset=True,
        modem_preset=modem.preset,
        bandwidth=int(airtime.bandwidth_khz),
        spread_factor=airtime.spreading_factor,
        coding_rate=airtime.coding_rate,
        region=modem.region,
        hop_limit=3,
        tx_enabled=True,
        tx_power=27,
        sx126x_rx_boosted_gain=True,
        ignore_mqtt=True,
        fem_lna_mode="NOT_PRESENT",
    )


def _module_configs() -> Iterator[tuple[str, Message]]:
    make = module_config_pb2.ModuleConfig
    yield (
        "mqtt",
        make(
            mqtt=make.MQTTConfig(
                address="mqtt.meshtastic.org",
                username="meshdev",
                password="large4cats",  # noqa: S106  # the public broker's well-known one
                encryption_enabled=True,
                root="msh/UNSET",
            )
        ),
    )
    yield "serial", make(serial=make.SerialConfig())
    yield "ext notification", make(external_notification=make.ExternalNotificationConfig())
    yield "store forward", make(store_forward=make.StoreForwardConfig())
    yield "range test", make(range_test=make.RangeTestConfig())
    yield "telemetry", make(telemetry=make.TelemetryConfig(device_update_interval=0x7FFF_FFFF))
    yield "canned message", make(canned_message=make.CannedMessageConfig())
    yield "audio", make(audio=make.AudioConfig())
    yield "remote hardware", make(remote_hardware=make.RemoteHardwareConfig())
    yield "neighbor info", make(neighbor_info=make.NeighborInfoConfig())
    yield (
        "ambient lighting",
        make(ambient_lighting=make.AmbientLightingConfig(current=10, red=76, green=0, blue=161)),
    )
    yield (
        "detection sensor",
        make(
            detection_sensor=make.DetectionSensorConfig(
                minimum_broadcast_secs=45, detection_trigger_type="LOGIC_HIGH"
            )
        ),
    )
    yield "paxcounter", make(paxcounter=make.PaxcounterConfig())
    for index in range(EMPTY_MODULE_CONFIG_COUNT):
        yield f"type {14 + index}", make()
