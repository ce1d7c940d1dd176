"""What people carry from one station to the other: cards, invitations, replies, renewals."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from gateway.errors import FieldError
from gateway.model import UtcTime
from gateway.security.cards import card_octets, parse_card
from gateway.security.invitation import (
    Term,
    confirms,
    invitation_text,
    parse_invitation,
    parse_renewal,
    parse_reply,
    renewal_text,
    reply_text,
    verify_renewal,
)
from gateway.security.paper import read_paper, write_paper
from tests.fuzz.octet_targets import CBOR_PIECES
from tests.fuzz.target import Take, Target
from tests.vectors import values
from tests.vectors.values import SOUTH

_ENTROPY: Final = bytes(range(40))
_TERM: Final = Term(UtcTime(1_790_000_000), UtcTime(1_790_086_400))


def _invitation() -> str:
    return invitation_text(values.cards()[0], values.keys()[0], entropy=_ENTROPY, term=_TERM)


def _reply() -> str:
    return reply_text(parse_invitation(_invitation()), values.cards()[1], values.keys()[1])


def _renewal() -> str:
    return renewal_text(values.keys()[0], SOUTH, 2, entropy=_ENTROPY, term=_TERM)


def _read_invitation(text: str) -> None:
    invitation = parse_invitation(text)
    assert invitation.secret.hex() not in repr(invitation)
    reply = reply_text(invitation, values.cards()[1], values.keys()[1])
    assert confirms(parse_reply(reply), invitation)


def _read_reply(text: str) -> None:
    reply, invitation = parse_reply(text), parse_invitation(_invitation())
    is_ours = "".join(text.split()).upper() == _reply()
    assert confirms(reply, invitation) is is_ours, "who has not read the invitation has confirmed"


def _read_renewal(text: str) -> None:
    renewal, content, signature = parse_renewal(text)
    assert renewal.secret.hex() not in repr(renewal)
    verify_renewal(values.cards()[0], content, signature)
    assert "".join(text.split()).upper() == _renewal(), "a renewal that nobody signed verifies"


def _read_card(text: str) -> None:
    parse_card(text)


_READERS: Final[dict[str, Callable[[str], None]]] = {
    "invite": _read_invitation,
    "reply": _read_reply,
    "renew": _read_renewal,
    "card": _read_card,
}


@contextlib.contextmanager
def _paper() -> Iterator[Take]:
    """The octets as a text that was typed or scanned, and as what a text with a checksum holds."""

    def take(octets: bytes) -> None:
        text = octets.decode(errors="replace")
        for kind, read in _READERS.items():
            for given in (text, write_paper(kind, octets)):
                with contextlib.suppress(FieldError):
                    read(given)

    yield take


def _paper_seeds() -> list[bytes]:
    texts = {"invite": _invitation(), "reply": _reply(), "renew": _renewal()}
    wrong = FieldError("paper", "is none", "give one")
    return [
        *(text.encode() for text in texts.values()),
        *(read_paper(kind, text, otherwise=wrong) for kind, text in texts.items()),
        card_octets(values.cards()[0], values.keys()[0]),
    ]


PAPER_TARGETS = (
    Target(
        "paper",
        "invitations, replies, renewals and cards, as texts and as what they hold",
        _paper,
        _paper_seeds,
        pieces=(b"HOTLINE-INVITE-1.", b"HOTLINE-RENEW-2.", b".", b"\n", b"=", *CBOR_PIECES),
    ),
)
