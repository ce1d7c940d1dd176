"""One port of a simulated radio, USB or TCP: the stream protocol and the session of its client.

After the firmware's StreamAPI and PhoneAPI. A port is polled: every 5 ms while its client wrote in
the last 2 s, else every quarter of a second. On USB what comes from the mesh wakes the port at
once; on TCP it waits for the next poll. (Each captured answer lies on this grid, to the lab
machine's few ms.) What waits for a client is the radio's, not the port's: whichever port asks first
gets it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from gateway.links.meshtastic.stream import SIZE_MAX, StreamParser, encode_frame
from gateway.sim.air import Air
from gateway.sim.radio import messages
from gateway.sim.radio.messages import Message, mesh_pb2

IDLE_MS_MAX: Final = 900_000
"""A client that says nothing for 15 minutes is taken for gone."""
QUICK_POLL_MS: Final = 5
SLOW_POLL_MS: Final = 251
"""250 ms and what the loop takes on top: 250.1 to 250.9 over 83 polls of `ack_timeout`."""
RECENT_MS: Final = 2_000
"""So long after the client's last octet the port is polled quickly."""
ACCEPT_MS: Final = 100
"""A new TCP client waits up to this long until it is taken."""
WAKE_MS: Final = 2
"""From a packet at the radio to octets on USB."""
QUEUE_STATUS_COUNT_MAX: Final = 2
PACKET_COUNT_MAX: Final = 32
SEEN_COUNT_MAX: Final = 20
PAYLOAD_SIZE_MAX: Final = 235
"""A larger payload does not decode in the radio: dropped without any answer."""
INPUT_SIZE_MAX: Final = 65_536
OUTPUT_SIZE_MAX: Final = 65_536
"""More waits for no client: text logs go first, then everything."""
QUIET_MS: Final = {
    messages.TEXT: 2_000,
    messages.POSITION: 10_000,
    messages.TELEMETRY: 10_000,
}
"""Least time between two packets of a port number; what comes sooner is dropped silently."""


def _statuses() -> deque[Message]:
    return deque(maxlen=QUEUE_STATUS_COUNT_MAX)


def _packets() -> deque[Message]:
    return deque(maxlen=PACKET_COUNT_MAX)


@dataclass(slots=True)
class Waiting:
    """What the radio has for its clients; the oldest gives way, which is how statuses get lost."""

    queue_statuses: deque[Message] = field(default_factory=_statuses)
    notifications: deque[Message] = field(default_factory=_statuses)
    packets: deque[Message] = field(default_factory=_packets)


class Owner(Protocol):
    """The radio, as one of its ports sees it."""

    air: Air
    is_frozen: bool
    waiting: Waiting

    def handshake(self, nonce: int) -> Iterator[tuple[str, Message]]:
        """The messages of the configuration, each with the line of log that precedes it."""
        ...

    def new_packet_id(self) -> int: ...

    def take_packet(self, packet: Message, packet_id: int) -> None:
        """A packet of the client that is new and not refused by the port."""
        ...

    def queue_status(self, result: int, packet_id: int) -> Message: ...

    def log(self, level: str, thread: str, text: str) -> None: ...


def _to_radio_parser() -> StreamParser[Message]:
    return StreamParser(lambda octets: messages.parse(mesh_pb2.ToRadio, octets))


class Phone:
    """Octets in by `feed`, octets out by `take_output`."""

    def __init__(self, owner: Owner, *, is_tcp: bool) -> None:
        self.drop_count = 0
        """How often the radio ended the connection: on TCP, where it can tell the client so."""
        self._owner = owner
        self._air = owner.air
        self._is_tcp = is_tcp
        self._output = bytearray()
        self._session_count = 0
        self.restart()

    def restart(self) -> None:
        """The radio booted: nobody is connected, nothing was seen. What was written stays so."""
        now_ms = self._air.now_ms
        self._forget_client()
        self._recent_until_ms = now_ms
        self._slow_from_ms = now_ms
        self._last_contact_ms = now_ms
        self._poll_due_ms: int | None = None
        self.drop_count += self._is_tcp

    def _forget_client(self) -> None:
        self._session_count += 1
        self._is_open = False
        self._heartbeat_count = 0
        self._input = bytearray()
        self._parser = _to_radio_parser()
        self._seen_ids: deque[int] = deque(maxlen=SEEN_COUNT_MAX)
        self._port_last_ms: dict[int, int] = {}

    # --- the client's side

    def connect(self) -> None:
        """A new TCP client: the radio takes it when it looks for one the next time."""
        self._forget_client()
        self.take_output()
        self._slow_from_ms = -(-self._air.now_ms // ACCEPT_MS) * ACCEPT_MS
        self._recent_until_ms = self._slow_from_ms

    def hang_up(self) -> None:
        """The client is gone: packets wait for the next one, half a frame of it does not."""
        self._forget_client()

    def feed(self, octets: bytes) -> None:
        """Take what the client wrote; it is read, and answered, at the next poll."""
        if self._owner.is_frozen:
            return
        room = INPUT_SIZE_MAX - len(self._input)
        self._input += octets[:room]
        self._plan(self.next_poll_ms())
        self._air.changed()

    def take_output(self) -> bytes:
        """What the radio wrote since the last call."""
        octets = bytes(self._output)
        self._output.clear()
        return octets

    # --- the radio's side

    def wake(self) -> None:
        """Something waits for a client."""
        if not self._is_open:
            return
        if self._is_tcp:
            self._plan(self.next_poll_ms())
        else:
            self._slow_from_ms = self._air.now_ms + WAKE_MS
            self._plan(self._slow_from_ms)

    def write_message(self, message: Message) -> None:
        octets = message.SerializeToString()
        assert len(octets) <= SIZE_MAX
        self._write(encode_frame(octets))

    def write_text(self, text: str) -> None:
        """A line of log; there is none where a client does not read."""
        if len(self._output) <= OUTPUT_SIZE_MAX // 2:
            self._write(text.encode())

    def _write(self, octets: bytes) -> None:
        if len(self._output) + len(octets) <= OUTPUT_SIZE_MAX:
            self._output += octets

    # --- polls

    def next_poll_ms(self) -> int:
        """When the port is looked at next, now included."""
        now_ms = self._air.now_ms
        if now_ms < self._recent_until_ms:
            return now_ms + (self._recent_until_ms - now_ms) % QUICK_POLL_MS
        start_ms = max(self._recent_until_ms, self._slow_from_ms)
        return max(now_ms + (start_ms - now_ms) % SLOW_POLL_MS, start_ms)

    def _plan(self, due_ms: int) -> None:
        if self._poll_due_ms is None or due_ms < self._poll_due_ms:
            self._poll_due_ms = due_ms
            self._air.timetable.at(due_ms, lambda: self._poll(due_ms))

    def _poll(self, due_ms: int) -> None:
        if due_ms != self._poll_due_ms:
            return
        self._poll_due_ms = None
        if self._owner.is_frozen:
            return
        octets, self._input = bytes(self._input), bytearray()
        if octets:
            self._recent_until_ms = self._air.now_ms + RECENT_MS
            for message in self._parser.feed(octets):
                self._last_contact_ms = self._air.now_ms
                self._read(message)
        if self._is_open:
            self._write_waiting()

    def _write_waiting(self) -> None:
        """Write out what waits for a client, in the firmware's order of kinds."""
        waiting = self._owner.waiting
        while waiting.queue_statuses:
            status = waiting.queue_statuses.popleft()
            self.write_message(mesh_pb2.FromRadio(queueStatus=status))
        for _ in range(self._heartbeat_count):
            status = self._owner.queue_status(0, 0)
            self.write_message(mesh_pb2.FromRadio(queueStatus=status))
        self._heartbeat_count = 0
        while waiting.notifications:
            notification = waiting.notifications.popleft()
            self.write_message(mesh_pb2.FromRadio(clientNotification=notification))
        while waiting.packets:
            self.write_message(mesh_pb2.FromRadio(packet=waiting.packets.popleft()))

    # --- what the client says

    def _read(self, message: Message) -> None:
        match message.WhichOneof("payload_variant"):
            case "want_config_id":
                self._configure(message.want_config_id)
            case "packet":
                self._read_packet(message.packet)
            case "heartbeat":
                self._log("Got client heartbeat")
                self._heartbeat_count += 1
            case "disconnect":
                self._log("PhoneAPI::close()")
                self._is_open = False
            case _:
                pass

    def _configure(self, nonce: int) -> None:
        for text, message in self._owner.handshake(nonce):
            self._log(text)
            self.write_message(message)
        if not self._is_open:
            self._is_open = True
            self._watch_idle(self._last_contact_ms + IDLE_MS_MAX)

    def _read_packet(self, packet: Message) -> None:
        data = packet.decoded
        if len(data.payload) > PAYLOAD_SIZE_MAX or self._is_too_soon(data.portnum):
            return
        if packet.id in self._seen_ids:
            self._log("Ignore packet from phone, already seen recently")
            return
        packet_id = packet.id or self._owner.new_packet_id()
        self._seen_ids.append(packet_id)
        self._log(
            f"PACKET FROM PHONE (id=0x{packet_id:08x} fr=0x00000000 to=0x{packet.to:08x}, "
            f"transport = 0, WantAck={int(packet.want_ack)}, HopLim={packet.hop_limit} "
            f"Ch=0x{packet.channel:x} Portnum={data.portnum} priority={packet.priority})"
        )
        self._owner.take_packet(packet, packet_id)

    def _is_too_soon(self, portnum: int) -> bool:
        if portnum not in QUIET_MS:
            return False
        last_ms = self._port_last_ms.get(portnum)
        if last_ms is not None and self._air.now_ms - last_ms < QUIET_MS[portnum]:
            return True
        self._port_last_ms[portnum] = self._air.now_ms
        return False

    def _log(self, text: str) -> None:
        self._owner.log("DEBUG", "SerialConsole", text)

    # --- a client that is silent

    def _watch_idle(self, due_ms: int) -> None:
        session = self._session_count
        self._air.timetable.at(due_ms, lambda: self._end_idle(session))

    def _end_idle(self, session: int) -> None:
        if session != self._session_count or self._owner.is_frozen or not self._is_open:
            return
        due_ms = self._last_contact_ms + IDLE_MS_MAX
        if due_ms > self._air.now_ms:
            self._watch_idle(due_ms)
            return
        self._is_open = False
        self.drop_count += self._is_tcp
