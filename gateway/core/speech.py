"""What we say: own epochs and serials, acts made, signed, written and given to their line."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from gateway.core.draft import Draft
from gateway.core.entropy import EntropyPool
from gateway.core.life import log_act
from gateway.core.line import Line
from gateway.core.outgoing import OutAct
from gateway.core.records import Direction, PutAct, PutEpoch, StoredAct
from gateway.errors import AuthenticationError
from gateway.model import Act, ActId, Epoch, Instant, Precedence, Previous, Serial, Station
from gateway.security.keys import KeyRing
from gateway.security.signature import sign_act, verify_act
from gateway.wire.fragment import fragment_room, split_act
from gateway.wire.limits import FRAME_SIZE_MAX_RADIO, SIGNATURE_SIZE
from gateway.wire.notice import encode_act

FRAME_OVERHEAD_MAX: Final = 23
"""Octets around the items of a frame at most: long counter, incarnation, tag."""
_ITEM_OVERHEAD_MAX: Final = 1 + 5 + 2
"""Octets of an act item around map and signature at most: array, age, length of the signature."""
_FRAGMENT_ROOM: Final = fragment_room(FRAME_SIZE_MAX_RADIO - FRAME_OVERHEAD_MAX)
_SERIAL_MAX: Final = 0xFFFF


@dataclass(slots=True)
class Tongue:
    """Our numbering on one line in this run."""

    epoch: Epoch
    next_serial: int
    previous: Previous


def digest(octets: bytes) -> bytes:
    """SHA-256 of an act: what `seen` keeps.

    Without the signature: a station with new keys signs again what was not receipted, and the same
    words under the same id are the same act.
    """
    return hashlib.sha256(octets).digest()


def signed_digest(octets: bytes, signature: bytes | None) -> bytes:
    """What `seen` kept before schema 4: with the signature."""
    return hashlib.sha256(octets + (signature or b"")).digest()


class Speech:
    """Makes acts. One numbering for each line, a new epoch at each start."""

    def __init__(self, keys: KeyRing, entropy: EntropyPool) -> None:
        self.boot_id = ""
        self._keys = keys
        self._entropy = entropy
        self._tongues: dict[Station, Tongue] = {}
        self._epochs: dict[Station, dict[int, int]] = {}

    def restore_epoch(self, peer: Station, epoch: int, highest: int) -> None:
        """An epoch of an earlier run, in the order of opening."""
        self._epochs.setdefault(peer, {})[epoch] = highest

    def open_epoch(self, line: Line, draft: Draft) -> None:
        """16 random bits that we know of no line, so that an id names one act for ever.

        The caller writes it with `keep_epoch` before its first act is made.
        """
        taken = {epoch for epochs in self._epochs.values() for epoch in epochs}
        epoch = 0
        while epoch == 0 or epoch in taken:
            epoch = int.from_bytes(self._entropy.take(2, draft), "big")
        known = self._epochs.setdefault(line.peer, {})
        used = [(number, highest) for number, highest in known.items() if highest]
        previous = Previous(*used[-1]) if used else Previous(0, 0)
        known[epoch] = 0
        self._tongues[line.peer] = Tongue(Epoch(epoch), 1, previous)
        line.standing.epoch = epoch
        line.standing.previous = previous
        line.outgoing.note_epoch(epoch, 0)

    def keep_epoch(self, line: Line, draft: Draft) -> None:
        draft.write(PutEpoch(line.peer, self._tongues[line.peer].epoch))

    def next_id(self, line: Line, draft: Draft) -> tuple[ActId, Previous | None]:
        """The id for the next act on this line, and what its first act must tell."""
        if self._tongues[line.peer].next_serial > _SERIAL_MAX:
            self.open_epoch(line, draft)
            self.keep_epoch(line, draft)
        tongue = self._tongues[line.peer]
        serial = tongue.next_serial
        tongue.next_serial += 1
        self._epochs[line.peer][tongue.epoch] = serial
        previous = tongue.previous if serial == 1 else None
        return ActId(self._keys.card.station, tongue.epoch, Serial(serial)), previous

    def sign_again(self, stored: StoredAct) -> StoredAct:
        """An own act of before this station got new keys: the peer knows the new card only."""
        signature = sign_act(
            self._keys.own, stored.octets, originator=self._keys.card.station, to=stored.to
        )
        return stored._replace(signature=signature)

    def is_ours(self, stored: StoredAct) -> bool:
        """Whether the keys of now signed it."""
        if stored.signature is None:
            return False
        station, octets, signature = self._keys.card.station, stored.octets, stored.signature
        try:
            verify_act(self._keys.card, octets, signature, originator=station, to=stored.to)
        except AuthenticationError:
            return False
        return True

    def say(self, act: Act, line: Line, draft: Draft, *, event: str) -> OutAct:
        """Sign, write and log an act; the caller submits it to the line."""
        octets = encode_act(act)
        signature = sign_act(
            self._keys.own, octets, originator=self._keys.card.station, to=line.peer
        )
        stored = StoredAct(
            id=act.id,
            to=line.peer,
            direction=Direction.OUT,
            octets=octets,
            signature=signature,
            boot_id=self.boot_id,
            born=draft.now.instant,
            age_known=True,
            utc=draft.now.utc,
        )
        draft.write(PutAct(stored))
        log_act(stored, event, draft)
        return make_out_act(stored, act.precedence, born=draft.now.instant, age_known=True)


def make_out_act(
    stored: StoredAct,
    precedence: Precedence,
    *,
    born: Instant,
    age_known: bool,
) -> OutAct:
    """An act ready for its line; cut in fragments where one radio frame may not hold it."""
    size = len(stored.octets) + SIGNATURE_SIZE + _ITEM_OVERHEAD_MAX
    fragments: tuple[bytes, ...] = ()
    if size + FRAME_OVERHEAD_MAX > FRAME_SIZE_MAX_RADIO:
        fragments = split_act(stored.octets, stored.signature, room=_FRAGMENT_ROOM)
    return OutAct(
        id=stored.id,
        precedence=precedence,
        octets=stored.octets,
        signature=stored.signature,
        born=born,
        age_known=age_known,
        fragments=fragments,
    )
