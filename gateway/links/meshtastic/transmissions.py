"""What becomes of each packet that we hand to the radio. Sans-I/O: reports in, events out.

One packet at a time is in the radio's hands until it has left the antenna (`FrameSent`), so that
the radio's own queue stays short and a FLASH never waits behind it. Those that asked for an ack
then wait for it, several at once. Facts about the firmware are from measurements of 2.7.26.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.core.effects import Transmit
from gateway.core.events import (
    FrameAcknowledged,
    FrameRefused,
    FrameRelayed,
    FrameSent,
    Refusal,
)
from gateway.links.base import LinkEvent
from gateway.links.meshtastic.air_watch import AirWatch
from gateway.links.meshtastic.identity import RadioIdentity
from gateway.links.meshtastic.key_exchange import KeyExchange
from gateway.links.meshtastic.packet_ids import PacketIds
from gateway.links.meshtastic.payload import payload_size_max
from gateway.links.meshtastic.protobuf import ProtobufError, mesh_pb2, portnums_pb2
from gateway.links.meshtastic.refusal import (
    NO_CHIP,
    RETRY_AFTER_MS,
    STATUS_FULL,
    STATUS_OK,
    obstacle_of,
    refusal_of,
    retry_after_ms,
)
from gateway.model import LinkName, Precedence
from gateway.wire.limits import FRAME_SIZE_MAX_RADIO

_Error = mesh_pb2.Routing.Error
_Priority = mesh_pb2.MeshPacket.Priority

WAITING_ACK_COUNT_MAX: Final = 64
LATE_COUNT_MAX: Final = 64

_PRIORITY: Final = {
    Precedence.FLASH: _Priority.ALERT,
    Precedence.IMMEDIATE: _Priority.HIGH,
    Precedence.PRIORITY: _Priority.RELIABLE,
    Precedence.ROUTINE: _Priority.RELIABLE,
}
"""Never below RELIABLE: such a packet pushes those of DEFAULT out of a full queue in silence."""


@dataclass(frozen=True, slots=True)
class SendTimes:
    """Deadlines of handing packets to a radio, in milliseconds."""

    status_ms: int = 2_000
    """Until a packet's `queueStatus`; then we ask, since of a burst most get lost."""
    full_retry_ms: int = 2_000
    """Between attempts while the radio's queue is full."""
    full_limit_ms: int = 20_000
    """With `queued_limit_ms` below the 50 s after which the core calls a driver silent."""
    reason_ms: int = 500
    """How long a duty cycle refusal waits for the notification that says for how long."""
    queued_limit_ms: int = 20_000
    """Longest wait for an accepted packet to go on air; a busy mesh may never let the queue run
    empty."""
    queued_ask_min_ms: int = 20
    queued_ask_max_ms: int = 250
    """Bounds of the interval at which we ask whether it is on air, a sixteenth of its airtime."""
    ack_ms: int = 60_000
    """The radio's own NAK comes after 23 s, with much traffic after 44 s; this is the guard."""


class _Stage(enum.Enum):
    OFFERED = enum.auto()
    """Written to the radio, its `queueStatus` is due."""
    ASKED = enum.auto()
    """That did not come; a heartbeat asks for a newer one."""
    FULL = enum.auto()
    """The radio had no room; offered again at the deadline."""
    DUTY = enum.auto()
    """Refused for its duty cycle; the notification is due."""
    QUEUED = enum.auto()
    """Accepted, and the radio's queue is not empty yet: the channel is busy or others go first."""
    AIRING = enum.auto()
    """It has left the radio's queue and is on air until the deadline."""


@dataclass(slots=True)
class _Slot:
    """The one packet that the radio has and that has not left yet."""

    transmit: Transmit
    packet_id: int
    stage: _Stage
    deadline_ms: int
    give_up_ms: int
    retry_after_ms: int | None = None
    """What a notification said."""


@dataclass(slots=True)
class _Waiting:
    """A packet on its way that asked for an ack."""

    transmission: int
    deadline_ms: int
    was_relayed: bool = False


class Transmissions:
    """The packets of one session with a radio."""

    def __init__(
        self,
        link: LinkName,
        identity: RadioIdentity,
        far_node: int,
        *,
        keys: KeyExchange,
        air: AirWatch,
        write: Callable[[mesh_pb2.ToRadio], None],
        ask: Callable[[int], None],
        emit: Callable[[LinkEvent], None],
        ids: PacketIds,
        times: SendTimes,
    ) -> None:
        self._link = link
        self._identity = identity
        self._far_node = far_node
        self._keys = keys
        self._air = air
        self._write = write
        self._ask = ask
        self._emit = emit
        self._ids = ids
        self._times = times
        self._slot: _Slot | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._late: dict[int, int] = {}
        self._is_pkc = True
        self._does_no_pkc = False
        self._obstacle = ""

    @property
    def is_free(self) -> bool:
        """Whether the radio can take the next packet."""
        return self._slot is None

    @property
    def is_busy(self) -> bool:
        """Whether the radio owes us word on a packet."""
        return self._slot is not None or len(self._waiting) > 0

    @property
    def does_no_pkc(self) -> bool:
        """Whether the radio refused the radios' own keys and took a packet under the channel's."""
        return self._does_no_pkc

    @property
    def obstacle(self) -> str:
        """Why the radio sends nothing, by its own last word; empty: it does, or we may not ask."""
        return self._obstacle

    def next_deadline_ms(self) -> int | None:
        deadlines = [waiting.deadline_ms for waiting in self._waiting.values()]
        if self._slot is not None:
            deadlines.append(self._slot.deadline_ms)
        return min(deadlines, default=None)

    def offer(self, transmit: Transmit, now_ms: int) -> None:
        """Hand a frame to the radio; only while `is_free`."""
        assert self._slot is None
        limit = min(FRAME_SIZE_MAX_RADIO, payload_size_max(is_pkc=self._is_pkc))
        if len(transmit.octets) > limit:
            self._refuse(transmit, Refusal.TOO_LARGE)
        elif not self._identity.can_transmit:
            self._refuse(transmit, Refusal.NOT_READY, RETRY_AFTER_MS[Refusal.NOT_READY])
        else:
            give_up_ms = now_ms + self._times.full_limit_ms
            self._slot = _Slot(transmit, 0, _Stage.OFFERED, 0, give_up_ms)
            self._offer_again(self._slot, now_ms)

    def _offer_again(self, slot: _Slot, now_ms: int) -> None:
        slot.packet_id = self._ids.draw()
        slot.stage = _Stage.OFFERED
        slot.deadline_ms = now_ms + self._times.status_ms
        self._write(self._packet(slot.transmit, slot.packet_id))

    def _packet(self, transmit: Transmit, packet_id: int) -> mesh_pb2.ToRadio:
        # Never want_response on PRIVATE_APP: the far radio would answer with a NO_RESPONSE NAK.
        # With pki_encrypted the radio refuses where it would else fall back to the channel's key,
        # so that a missing key is seen and asked for.
        packet = mesh_pb2.MeshPacket(
            to=self._far_node,
            id=packet_id,
            decoded=mesh_pb2.Data(
                portnum=portnums_pb2.PortNum.PRIVATE_APP, payload=transmit.octets
            ),
            want_ack=transmit.want_ack,
            hop_limit=self._identity.hop_limit,
            priority=_PRIORITY[transmit.precedence],
            pki_encrypted=self._is_pkc,
        )
        return mesh_pb2.ToRadio(packet=packet)

    def take_status(self, status: mesh_pb2.QueueStatus, now_ms: int) -> None:
        """A `queueStatus`: the answer to our packet, or to a heartbeat (without an id)."""
        if status.maxlen == 0:
            self._obstacle = NO_CHIP  # Without an interface there is no queue either.
        slot = self._slot
        if slot is None:
            return
        if slot.stage is _Stage.QUEUED:
            if status.free >= status.maxlen:
                self._go_on_air(slot, now_ms)
        elif status.mesh_packet_id == 0 and slot.stage is _Stage.ASKED:
            # The radio lives and its word on our packet got lost. Silence is no NAK.
            self._air.status(came=False)
            self._accept(slot, status, now_ms)
        if status.mesh_packet_id != slot.packet_id or slot.stage not in (
            _Stage.OFFERED,
            _Stage.ASKED,
        ):
            return
        self._air.status(came=True)
        if status.res == STATUS_OK:
            self._accept(slot, status, now_ms)
        elif status.res == STATUS_FULL and status.free == 0:
            self._queue_is_full(slot, status, now_ms)
        else:
            self._refused(slot, status.res, now_ms)

    def _queue_is_full(self, slot: _Slot, status: mesh_pb2.QueueStatus, now_ms: int) -> None:
        """Without want_ack the packet is lost; with it the radio sends it later by itself."""
        if slot.transmit.want_ack:
            self._accept(slot, status, now_ms)
        elif now_ms >= slot.give_up_ms:
            self._end_refused(slot, Refusal.QUEUE_FULL)
        else:
            slot.stage = _Stage.FULL
            slot.deadline_ms = now_ms + self._times.full_retry_ms

    def _accept(self, slot: _Slot, status: mesh_pb2.QueueStatus, now_ms: int) -> None:
        """The radio has it. A packet leaves the queue when its transmission starts."""
        if status.maxlen > 0:
            self._obstacle = ""
        self._does_no_pkc = not self._is_pkc
        if status.free >= status.maxlen:
            self._go_on_air(slot, now_ms)
        else:
            slot.stage = _Stage.QUEUED
            slot.give_up_ms = now_ms + self._times.queued_limit_ms
            slot.deadline_ms = now_ms + self._queued_ask_ms(slot)

    def _queued_ask_ms(self, slot: _Slot) -> int:
        share_ms = round(self._airtime_ms(slot) / 16)
        times = self._times
        return min(max(share_ms, times.queued_ask_min_ms), times.queued_ask_max_ms)

    def _airtime_ms(self, slot: _Slot) -> float:
        return self._identity.airtime.of(len(slot.transmit.octets))

    def _go_on_air(self, slot: _Slot, now_ms: int) -> None:
        slot.stage = _Stage.AIRING
        slot.deadline_ms = now_ms + round(self._airtime_ms(slot))

    def take_notification(self, notification: mesh_pb2.ClientNotification) -> None:
        """A text for people; of a duty cycle refusal it alone says for how long."""
        slot = self._slot
        if slot is None or notification.reply_id != slot.packet_id:
            return
        slot.retry_after_ms = retry_after_ms(notification.message)
        if slot.retry_after_ms is not None and slot.stage is _Stage.DUTY:
            self._end_refused(slot, Refusal.DUTY_CYCLE)

    def take_routing(self, packet: mesh_pb2.MeshPacket, now_ms: int) -> None:
        """An ack or NAK of the radio network. Ids that are not ours come too and mean nothing."""
        try:
            routing = mesh_pb2.Routing.FromString(packet.decoded.payload)
        except ProtobufError:
            return
        if routing.WhichOneof("variant") != "error_reason":
            return
        packet_id, source = packet.decoded.request_id, getattr(packet, "from")
        error = routing.error_reason
        if source not in (self._far_node, self._identity.node):
            return
        if error == _Error.NONE:
            self._acknowledged(packet_id, is_real=source == self._far_node, now_ms=now_ms)
        else:
            self._refused_by(packet_id, error, is_far=source == self._far_node, now_ms=now_ms)

    def _acknowledged(self, packet_id: int, *, is_real: bool, now_ms: int) -> None:
        self._left_the_antenna(packet_id, now_ms)
        waiting = self._waiting.get(packet_id)
        if is_real:
            late = self._late.pop(packet_id, None)
            transmission = late if waiting is None else waiting.transmission
            self._waiting.pop(packet_id, None)
            if transmission is not None:
                self._air.acknowledged()
                self._keys.settled()
                self._emit(FrameAcknowledged(self._link, transmission))
        elif waiting is not None and not waiting.was_relayed:
            # Another radio was heard repeating it; the real ack may follow.
            waiting.was_relayed = True
            self._air.relayed()
            self._emit(FrameRelayed(self._link, waiting.transmission))

    def _refused_by(self, packet_id: int, error: int, *, is_far: bool, now_ms: int) -> None:
        if is_far or error == _Error.MAX_RETRANSMIT:
            self._left_the_antenna(packet_id, now_ms)
        slot = self._slot
        if slot is not None and slot.packet_id == packet_id:
            self._refused(slot, error, now_ms)
            return
        waiting = self._waiting.pop(packet_id, None)
        if waiting is None:
            return
        # NO_CHANNEL of the far radio: it came there and could not be decrypted.
        is_undecrypted = is_far and error == _Error.NO_CHANNEL
        reason = Refusal.NO_KEY if is_undecrypted else self._reason(error)
        if reason is Refusal.NO_KEY:
            self._keys.refused(now_ms, is_far=is_far)
        self._end_unacknowledged(packet_id, waiting, reason, now_ms)

    def _refused(self, slot: _Slot, error: int, now_ms: int) -> None:
        """The radio did not take it, by `queueStatus` or NAK, whichever came first."""
        if error == _Error.PKI_FAILED and self._keys.knows_far_key:
            # It does no PKC at all (a simulated or a licensed radio, or one without a key of its
            # own), or it cannot transmit: the same packet under the channel's key tells which.
            self._is_pkc = not self._is_pkc
            if not self._is_pkc:
                self._offer_again(slot, now_ms)
                return
        reason = self._reason(error)
        if reason is Refusal.NOT_READY:
            self._obstacle = obstacle_of(error) or self._obstacle
        if reason is Refusal.NO_KEY:
            self._keys.refused(now_ms, is_far=False)
        if reason is Refusal.DUTY_CYCLE and slot.retry_after_ms is None:
            if slot.stage is not _Stage.DUTY:
                slot.stage = _Stage.DUTY
                slot.deadline_ms = now_ms + self._times.reason_ms
        else:
            self._end_refused(slot, reason)

    def _end_refused(self, slot: _Slot, reason: Refusal) -> None:
        self._slot = None
        retry_ms = (
            slot.retry_after_ms if reason is Refusal.DUTY_CYCLE else RETRY_AFTER_MS.get(reason)
        )
        self._refuse(slot.transmit, reason, retry_ms)

    def _reason(self, error: int) -> Refusal:
        return refusal_of(error, knows_far_key=self._keys.knows_far_key)

    def _left_the_antenna(self, packet_id: int, now_ms: int) -> None:
        """Its `FrameSent`, at the latest when the network speaks of it."""
        slot = self._slot
        if slot is None or slot.packet_id != packet_id:
            return
        self._slot = None
        self._emit(FrameSent(self._link, slot.transmit.transmission))
        if slot.transmit.want_ack:
            if len(self._waiting) >= WAITING_ACK_COUNT_MAX:
                oldest = next(iter(self._waiting))
                self._end_untold(oldest, now_ms)
            self._air.sent()
            self._waiting[packet_id] = _Waiting(
                slot.transmit.transmission, now_ms + self._times.ack_ms
            )

    def _end_untold(self, packet_id: int, now_ms: int) -> None:
        """The radio said nothing final of a packet, and nobody waits any longer."""
        waiting = self._waiting.pop(packet_id)
        reason = Refusal.RELAYED_ONLY if waiting.was_relayed else Refusal.UNKNOWN
        self._end_unacknowledged(packet_id, waiting, reason, now_ms)

    def _end_unacknowledged(
        self, packet_id: int, waiting: _Waiting, reason: Refusal, now_ms: int
    ) -> None:
        if reason in (Refusal.NO_ACK, Refusal.RELAYED_ONLY, Refusal.UNKNOWN):
            self._air.unacknowledged(now_ms)
            # A real ack may still follow a MAX_RETRANSMIT.
            self._late[packet_id] = waiting.transmission
            if len(self._late) > LATE_COUNT_MAX:
                del self._late[next(iter(self._late))]
        self._emit(FrameRefused(self._link, waiting.transmission, reason))

    def advance(self, now_ms: int) -> None:
        """Act on every deadline that has passed; harmless when early."""
        for packet_id, waiting in list(self._waiting.items()):
            if now_ms >= waiting.deadline_ms:
                self._end_untold(packet_id, now_ms)
        slot = self._slot
        if slot is None or now_ms < slot.deadline_ms:
            return
        match slot.stage:
            case _Stage.OFFERED | _Stage.ASKED:
                # The heartbeat's own deadline tells a dead radio.
                slot.stage = _Stage.ASKED
                slot.deadline_ms = now_ms + self._times.status_ms
                self._ask(now_ms)
            case _Stage.QUEUED if now_ms >= slot.give_up_ms:
                self._go_on_air(slot, now_ms)
            case _Stage.QUEUED:
                slot.deadline_ms = now_ms + self._queued_ask_ms(slot)
                self._ask(now_ms)
            case _Stage.FULL:
                self._offer_again(slot, now_ms)
            case _Stage.DUTY:
                self._end_refused(slot, Refusal.DUTY_CYCLE)
            case _Stage.AIRING:
                self._left_the_antenna(slot.packet_id, now_ms)

    def _refuse(
        self, transmit: Transmit, reason: Refusal, retry_after_ms: int | None = None
    ) -> None:
        self._emit(FrameRefused(self._link, transmit.transmission, reason, retry_after_ms))
