"""Asking for the far radio's NodeInfo where a key is missing, so that PKC works again. Sans-I/O.

The keys are the radios' own and prove nothing to us: who speaks is proven by our frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.links.meshtastic.protobuf import ProtobufError, mesh_pb2, portnums_pb2

PUBLIC_KEY_SIZE: Final = 32
ASK_FIRST_MS: Final = 60_000
"""Firmware answers no second NodeInfo request of a node within a minute."""
ASK_MAX_MS: Final = 900_000
"""Each request costs both radios about a second of airtime, so that they get rarer."""

_NOBODY: Final = (0, 0xFFFF_FFFF)
"""No far radio is meant (a technician's session), or every one."""


class KeyExchange:
    """What this session knows of the keys between our radio and the far one."""

    def __init__(
        self,
        far_node: int,
        own_user: bytes,
        *,
        far_key: bytes,
        write: Callable[[mesh_pb2.ToRadio], None],
        new_packet_id: Callable[[], int],
    ) -> None:
        """`own_user` is our radio's own `User` message; without it nothing can be asked for."""
        self._far_node = far_node
        self._own_user = own_user
        self._far_key = far_key
        self._write = write
        self._new_packet_id = new_packet_id
        self._is_refused = False
        self._shows_other_key = False
        self._interval_ms = ASK_FIRST_MS
        self._ask_ms: int | None = None

    @property
    def is_stale(self) -> bool:
        """Whether our radio keeps a key that the far one has no longer: it reads nothing of ours.

        The firmware (NodeDB::updateUser) drops a NodeInfo with another key than it keeps, so that
        this never heals: a person says whether the far radio was reset, or someone speaks for it.
        """
        return self._is_refused and self._shows_other_key

    @property
    def knows_far_key(self) -> bool:
        """Whether our radio can encrypt to the far one."""
        return len(self._far_key) == PUBLIC_KEY_SIZE

    @property
    def is_missing(self) -> bool:
        """Whether a direct message is known to fail now for want of a key, here or there."""
        return self._is_refused or not self.knows_far_key

    def begin(self, now_ms: int) -> None:
        """After the handshake: ask at once where the key is not there."""
        if not self.knows_far_key and self._far_node not in _NOBODY:
            self._ask_ms = now_ms

    def refused(self, now_ms: int, *, is_far: bool) -> None:
        """A packet failed for want of a key: of theirs at our radio, or of ours at theirs."""
        if not is_far:
            self._far_key = b""
        self._is_refused = is_far
        if self._ask_ms is None and self._far_node not in _NOBODY:
            self._ask_ms = now_ms

    def settled(self) -> None:
        """A direct message was acknowledged, or the key has come: nothing is missing."""
        self._is_refused = self._shows_other_key = False
        self._ask_ms = None
        self._interval_ms = ASK_FIRST_MS

    def take_user(self, octets: bytes) -> None:
        """The far radio's NodeInfo."""
        try:
            key = mesh_pb2.User.FromString(octets).public_key
        except ProtobufError:
            return
        # An empty key takes nothing away from us: whether the radio forgot it shows when we send.
        if len(key) != PUBLIC_KEY_SIZE:
            return
        if self.knows_far_key and key != self._far_key:
            self._shows_other_key = True
            return
        self._far_key = key
        self.settled()

    def next_deadline_ms(self) -> int | None:
        return self._ask_ms

    def advance(self, now_ms: int) -> None:
        """Ask when it is time; harmless when early."""
        if self._ask_ms is None or now_ms < self._ask_ms:
            return
        self._ask_ms = now_ms + self._interval_ms
        self._interval_ms = min(self._interval_ms * 2, ASK_MAX_MS)
        if self._own_user:
            self._write(mesh_pb2.ToRadio(packet=self._request()))

    def _request(self) -> mesh_pb2.MeshPacket:
        return mesh_pb2.MeshPacket(
            to=self._far_node,
            id=self._new_packet_id(),
            decoded=mesh_pb2.Data(
                portnum=portnums_pb2.PortNum.NODEINFO_APP,
                payload=self._own_user,
                want_response=True,
            ),
            priority=mesh_pb2.MeshPacket.Priority.BACKGROUND,
        )
