"""Is the radio alive, and does it take what we write? A round trip, never "the port is open".

Sans-I/O. A heartbeat is answered with a `queueStatus`; the radio's text logs and packets prove only
that it talks. Firmware before 2.7.6 answers none (its pull requests 7506 and 7672), but tells the
status of every packet: so the second question is an empty packet to the radio itself, which it
sends to nobody; where that alone was answered, so are all that follow in the session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.errors import DeviceSilentError
from gateway.links.meshtastic.protobuf import mesh_pb2, portnums_pb2

_PROBE_COUNT_MAX: Final = 2


class Liveness:
    """Heartbeats of one session, their answers and deadlines."""

    def __init__(
        self,
        port: str,
        write: Callable[[mesh_pb2.ToRadio], None],
        *,
        own_node: int,
        new_packet_id: Callable[[], int],
        idle_ms: int,
        busy_ms: int,
        answer_ms: int,
        now_ms: int,
    ) -> None:
        """`busy_ms` is the longest time between two answers while packets are under way."""
        self._port = port
        self._write = write
        self._own_node = own_node
        self._new_packet_id = new_packet_id
        self._packet_id = 0
        """Of the last packet to the radio itself."""
        self._asks_by_packet = False
        self._idle_ms = idle_ms
        self._busy_ms = busy_ms
        self._answer_ms = answer_ms
        self._answered_at_ms = now_ms
        self._answer_due_ms: int | None = None
        self._probe_count = 0
        self._talked = False

    def ask(self, now_ms: int) -> None:
        """Ask for a `queueStatus`, unless one is asked for already."""
        if self._answer_due_ms is None:
            self._probe_count += 1
            self._answer_due_ms = now_ms + self._answer_ms
            if not self._asks_by_packet:
                self._write(mesh_pb2.ToRadio(heartbeat=mesh_pb2.Heartbeat()))
            if self._asks_by_packet or self._probe_count > 1:
                self._write(self._packet_to_itself())

    def _packet_to_itself(self) -> mesh_pb2.ToRadio:
        self._packet_id = self._new_packet_id()
        data = mesh_pb2.Data(portnum=portnums_pb2.PortNum.PRIVATE_APP)
        packet = mesh_pb2.MeshPacket(to=self._own_node, id=self._packet_id, decoded=data)
        return mesh_pb2.ToRadio(packet=packet)

    def is_answer(self, packet_id: int) -> bool:
        """Whether a `queueStatus` with this id answers a question of ours, and is of no frame."""
        return packet_id in (0, self._packet_id)

    def answered(self, packet_id: int, now_ms: int) -> None:
        """A `queueStatus` came, of this packet; 0: of none."""
        if packet_id and packet_id == self._packet_id and self._probe_count > 1:
            self._asks_by_packet = True
        self._probe_count = 0
        self._talked = False
        self._answer_due_ms = None
        self._answered_at_ms = now_ms

    def talked(self) -> None:
        """Anything else came, which no question of ours led to."""
        self._talked = self._talked or self._answer_due_ms is not None

    def next_deadline_ms(self, *, is_busy: bool) -> int:
        if self._answer_due_ms is not None:
            return self._answer_due_ms
        return self._answered_at_ms + (self._busy_ms if is_busy else self._idle_ms)

    def advance(self, now_ms: int, *, is_busy: bool) -> None:
        """Ask when it is time. Raises `DeviceSilentError` for a radio that left two unanswered."""
        if now_ms < self.next_deadline_ms(is_busy=is_busy):
            return
        if self._probe_count >= _PROBE_COUNT_MAX:
            raise DeviceSilentError(self._fault())
        self._answer_due_ms = None
        self.ask(now_ms)

    def _fault(self) -> str:
        if self._talked:
            return (
                f"the radio at {self._port} talks but answers nothing that we write;"
                " another program may hold its session"
            )
        return f"the radio at {self._port} does not answer; it is frozen"
