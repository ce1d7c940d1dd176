"""What two operators carry to each other by paper, screen or stick, to join or rotate a line.

An *invitation* holds a card and the line's first secret; the *reply* holds the other card and
proves that its maker has read the invitation. A *renewal* holds the secret of a newer generation,
signed by a card that is trusted already. Cards are authenticated by the words that people read to
each other; what proves nothing alone (an invitation that was exchanged on its way) ends in words or
a proof that do not fit. Shapes: `invitation`, `reply`, `renewal` in gateway.cddl. Pure: entropy and
time come in as arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import constant_time
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import DecodeError, FieldError
from gateway.model import Station, UtcTime
from gateway.security.cards import (
    PROTECTED_ED25519,
    Card,
    StationKeys,
    card_octets,
    open_card,
)
from gateway.security.paper import read_paper, write_paper
from gateway.wire.canonical import as_array, as_octets, as_uint, dump, load
from gateway.wire.limits import (
    GENERATION_MAX,
    PROTOCOL,
    SECRET_SIZE,
    SIGNATURE_SIZE,
    STATION_MAX,
    UINT32_MAX,
)

TOKEN_SIZE: Final = 8
CONFIRMATION_SIZE: Final = 16
CLOCK_SLACK_S: Final = 600
"""Two clocks that people set may differ by this much."""
_CARD_SIZE_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class Term:
    """From when to when it may be taken, by the wall clocks of both machines."""

    made: UtcTime
    expires: UtcTime

    def check(self, what: str, now: UtcTime) -> None:
        """Raises `FieldError` when it is over, or when this machine's clock cannot be right."""
        if now > self.expires:
            raise FieldError(what, "has expired", "ask for a new one")
        if now < self.made - CLOCK_SLACK_S:
            raise FieldError(
                what, "was made after what this machine's clock shows", "set the clock, then again"
            )


@dataclass(frozen=True, slots=True)
class Invitation:
    """From the first station of a line to the second."""

    card: Card
    secret: bytes = field(repr=False)
    token: bytes
    """8 octets that name it."""
    term: Term
    card_proof: bytes = field(repr=False)
    """The card's octets with its own signature, to be kept as a card file."""


@dataclass(frozen=True, slots=True)
class Reply:
    """From the second station back: its card, and that it holds the secret."""

    card: Card
    token: bytes
    confirmation: bytes
    card_proof: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Renewal:
    """The secret of a newer generation, from a station whose card is trusted."""

    sender: Station
    recipient: Station
    generation: int
    secret: bytes = field(repr=False)
    token: bytes
    term: Term


def invitation_text(card: Card, keys: StationKeys, *, entropy: bytes, term: Term) -> str:
    """A new invitation of `card`. `entropy`: 40 octets of `os.urandom`, for secret and token."""
    secret, token = entropy[:SECRET_SIZE], entropy[SECRET_SIZE:]
    fields = [card_octets(card, keys), secret, token, term.made, term.expires]
    return write_paper("invite", dump(fields))


def parse_invitation(text: str) -> Invitation:
    """Read an invitation. Raises `FieldError`, which never quotes its secret."""
    fields = _fields("invite", text, 5)
    try:
        card_proof = as_octets(fields[0], "card")
        return Invitation(
            _card("invite", card_proof),
            as_octets(fields[1], "secret", size=SECRET_SIZE),
            as_octets(fields[2], "token", size=TOKEN_SIZE),
            _term(fields[3], fields[4]),
            card_proof,
        )
    except DecodeError as error:
        raise _unreadable("invite", error) from error


def reply_text(invitation: Invitation, card: Card, keys: StationKeys) -> str:
    """The answer to an invitation; it holds no secret."""
    card_proof = card_octets(card, keys)
    confirmation = _confirmation(invitation.secret, invitation.token, card_proof)
    return write_paper("reply", dump([card_proof, invitation.token, confirmation]))


def parse_reply(text: str) -> Reply:
    """Read a reply. Raises `FieldError`."""
    fields = _fields("reply", text, 3)
    try:
        card_proof = as_octets(fields[0], "card")
        return Reply(
            _card("reply", card_proof),
            as_octets(fields[1], "token", size=TOKEN_SIZE),
            as_octets(fields[2], "confirmation", size=CONFIRMATION_SIZE),
            card_proof,
        )
    except DecodeError as error:
        raise _unreadable("reply", error) from error


def confirms(reply: Reply, invitation: Invitation) -> bool:
    """Whether the reply was made by who has read this invitation, for this very card."""
    expected = _confirmation(invitation.secret, invitation.token, reply.card_proof)
    is_same = reply.token == invitation.token  # the confirmation does not repeat it
    return is_same and constant_time.bytes_eq(reply.confirmation, expected)


def renewal_text(
    keys: StationKeys, recipient: Station, generation: int, *, entropy: bytes, term: Term
) -> str:
    """The secret of a newer generation. `entropy`: 40 octets, for secret and token."""
    secret, token = entropy[:SECRET_SIZE], entropy[SECRET_SIZE:]
    content = dump([keys.station, recipient, generation, secret, token, term.made, term.expires])
    return write_paper("renew", content + keys.signer.sign(_renewal_signed(content)))


def parse_renewal(text: str) -> tuple[Renewal, bytes, bytes]:
    """(renewal, content, signature); `verify_renewal` says whether it is its sender's.

    Raises `FieldError`, which never quotes its secret.
    """
    octets = _paper("renew", text)
    content, signature = octets[:-SIGNATURE_SIZE], octets[-SIGNATURE_SIZE:]
    try:
        fields = as_array(load(content), "renewal", low=7, high=7)
        renewal = Renewal(
            Station(as_uint(fields[0], STATION_MAX, "sender", low=1)),
            Station(as_uint(fields[1], STATION_MAX, "recipient", low=1)),
            as_uint(fields[2], GENERATION_MAX, "generation", low=2),
            as_octets(fields[3], "secret", size=SECRET_SIZE),
            as_octets(fields[4], "token", size=TOKEN_SIZE),
            _term(fields[5], fields[6]),
        )
    except DecodeError as error:
        raise _unreadable("renew", error) from error
    return renewal, content, signature


def verify_renewal(card: Card, content: bytes, signature: bytes) -> None:
    """Raises `FieldError` unless the station of this card signed it."""
    try:
        card.verifier.verify(signature, _renewal_signed(content))
    except InvalidSignature as error:
        raise FieldError(
            "renewal",
            f"is not signed by the card of {card.name} that is trusted here",
            "do not take it; ask that station by voice",
        ) from error


def _renewal_signed(content: bytes) -> bytes:
    return dump(["Signature1", PROTECTED_ED25519, dump([PROTOCOL, "renew"]), content])


def _confirmation(secret: bytes, token: bytes, card_proof: bytes) -> bytes:
    info = dump([PROTOCOL, "reply", token, card_proof])
    hkdf = HKDF(algorithm=SHA256(), length=CONFIRMATION_SIZE, salt=None, info=info)
    return hkdf.derive(secret)


def _paper(kind: str, text: str) -> bytes:
    names = {"invite": "invitation", "reply": "reply", "renew": "renewal"}
    wrong = FieldError(names[kind], "is none", "give the text or the file as it was made")
    return read_paper(kind, text, otherwise=wrong)


def _fields(kind: str, text: str, count: int) -> list[object]:
    octets = _paper(kind, text)
    try:
        return as_array(load(octets), kind, low=count, high=count)
    except DecodeError as error:
        raise _unreadable(kind, error) from error


def _card(kind: str, card_proof: bytes) -> Card:
    if len(card_proof) > _CARD_SIZE_MAX:
        raise DecodeError(f"the card of the {kind} is too long")
    return open_card(card_proof)


def _term(made: object, expires: object) -> Term:
    made_s = as_uint(made, UINT32_MAX, "made")
    return Term(UtcTime(made_s), UtcTime(as_uint(expires, UINT32_MAX, "expires", low=made_s)))


def _unreadable(kind: str, error: DecodeError) -> FieldError:
    return FieldError(kind, f"is not readable: {error}", "get it again")
