"""The protobuf definitions that the simulated radio speaks, and the messages it makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.links.meshtastic.protobuf import _load

(
    admin_pb2,
    config_pb2,
    device_ui_pb2,
    mesh_pb2,
    module_config_pb2,
    portnums_pb2,
    telemetry_pb2,
) = _load(
    "admin_pb2",
    "config_pb2",
    "device_ui_pb2",
    "mesh_pb2",
    "module_config_pb2",
    "portnums_pb2",
    "telemetry_pb2",
)

Message = Any
"""A protobuf message: the generated classes carry no types."""

ROUTING: Final[int] = portnums_pb2.ROUTING_APP
ADMIN: Final[int] = portnums_pb2.ADMIN_APP
NODEINFO: Final[int] = portnums_pb2.NODEINFO_APP
PRIVATE: Final[int] = portnums_pb2.PRIVATE_APP
TEXT: Final[int] = portnums_pb2.TEXT_MESSAGE_APP
POSITION: Final[int] = portnums_pb2.POSITION_APP
TELEMETRY: Final[int] = portnums_pb2.TELEMETRY_APP
TRACEROUTE: Final[int] = portnums_pb2.TRACEROUTE_APP

ERROR: Final = mesh_pb2.Routing.Error
PRIORITY: Final = mesh_pb2.MeshPacket.Priority
TRANSPORT_LORA: Final[int] = mesh_pb2.MeshPacket.TransportMechanism.TRANSPORT_LORA

__all__ = [
    "ADMIN",
    "ERROR",
    "NODEINFO",
    "POSITION",
    "PRIORITY",
    "PRIVATE",
    "ROUTING",
    "TELEMETRY",
    "TEXT",
    "TRACEROUTE",
    "TRANSPORT_LORA",
    "Message",
    "admin_pb2",
    "config_pb2",
    "data_message",
    "device_ui_pb2",
    "mesh_pb2",
    "module_config_pb2",
    "parse",
    "routing_data",
    "telemetry_pb2",
]


def data_message(
    portnum: int, payload: bytes, *, request_id: int = 0, want_response: bool = False
) -> Message:
    """A Data message as the firmware puts it on the air: with its bitfield."""
    data = mesh_pb2.Data(portnum=portnum, payload=payload, bitfield=2 if want_response else 0)
    if request_id:
        data.request_id = request_id
    if want_response:
        data.want_response = True
    return data


def routing_data(error: int, request_id: int) -> Message:
    """The body of an ack (error NONE) or a NAK; NONE is written out, as the firmware does."""
    return mesh_pb2.Data(
        portnum=ROUTING,
        payload=mesh_pb2.Routing(error_reason=error).SerializeToString(),
        request_id=request_id,
    )


def parse(kind: Callable[[], Message], octets: bytes) -> Message | None:
    """The message in these octets, or None when they are none."""
    message = kind()
    try:
        message.ParseFromString(octets)
    except Exception:  # noqa: BLE001  # the C parser raises its own class, named differently by version
        return None
    return message
