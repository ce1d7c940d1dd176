"""Invitations, replies and renewals: what they hold, what proves them, what is refused and how."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import pytest

from gateway.errors import FieldError
from gateway.model import UtcTime
from gateway.security.cards import card_octets
from gateway.security.invitation import (
    CLOCK_SLACK_S,
    Invitation,
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
from gateway.security.paper import ENCODED_SIZE_MAX, read_paper, write_paper
from gateway.wire.canonical import dump, load
from tests.vectors import values
from tests.vectors.values import NORTH, SOUTH

MADE, EXPIRES = 1_790_000_000, 1_790_086_400
TERM = Term(UtcTime(MADE), UtcTime(EXPIRES))
ENTROPY = bytes(range(40))
SECRET, TOKEN = ENTROPY[:32], ENTROPY[32:]
NORTH_KEYS, SOUTH_KEYS = values.keys()
NORTH_CARD, SOUTH_CARD = values.cards()
NORTH_PROOF, SOUTH_PROOF = card_octets(NORTH_CARD, NORTH_KEYS), card_octets(SOUTH_CARD, SOUTH_KEYS)
NONE = FieldError("letter", "is none", "look again")
READERS: dict[str, Callable[[str], object]] = {
    "invite": parse_invitation,
    "reply": parse_reply,
    "renew": parse_renewal,
}


def invited() -> Invitation:
    return parse_invitation(invitation_text(NORTH_CARD, NORTH_KEYS, entropy=ENTROPY, term=TERM))


def renewal() -> str:
    return renewal_text(NORTH_KEYS, SOUTH, 2, entropy=ENTROPY, term=TERM)


def sentence(read: Callable[[], object]) -> str:
    with pytest.raises(FieldError) as caught:
        read()
    return str(caught.value)


def confirmation(secret: bytes, token: bytes, card_proof: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) by the standard library alone, 16 octets."""
    info = dump(["hotline/1", "reply", token, card_proof])
    pseudorandom = hmac.digest(bytes(32), secret, hashlib.sha256)
    return hmac.digest(pseudorandom, info + b"\x01", hashlib.sha256)[:16]


def test_an_invitation_holds_card_secret_and_term() -> None:
    """`invitation` in gateway.cddl, part by part."""
    text = invitation_text(NORTH_CARD, NORTH_KEYS, entropy=ENTROPY, term=TERM)
    assert load(read_paper("invite", text, otherwise=NONE)) == [
        NORTH_PROOF, SECRET, TOKEN, MADE, EXPIRES,
    ]  # fmt: skip
    assert parse_invitation(text) == Invitation(NORTH_CARD, SECRET, TOKEN, TERM, NORTH_PROOF)
    assert SECRET.hex() not in repr(invited())


def test_a_reply_is_confirmed_by_the_secret_for_its_card() -> None:
    """`reply` in gateway.cddl; its confirmation is HKDF of the secret, token and card."""
    text = reply_text(invited(), SOUTH_CARD, SOUTH_KEYS)
    expected = confirmation(SECRET, TOKEN, SOUTH_PROOF)
    assert load(read_paper("reply", text, otherwise=NONE)) == [SOUTH_PROOF, TOKEN, expected]
    reply = parse_reply(text)
    assert (reply.card, reply.token, reply.card_proof) == (SOUTH_CARD, TOKEN, SOUTH_PROOF)
    assert confirms(reply, invited())


@pytest.mark.parametrize(
    ("token", "proof"),
    [
        (TOKEN, confirmation(bytes(32), TOKEN, SOUTH_PROOF)),  # another secret
        (TOKEN, confirmation(SECRET, TOKEN, NORTH_PROOF)),  # another card
        (bytes(8), confirmation(SECRET, bytes(8), SOUTH_PROOF)),  # another invitation
        (bytes(8), confirmation(SECRET, TOKEN, SOUTH_PROOF)),  # a token that was exchanged
    ],
)
def test_another_reply_does_not_confirm(token: bytes, proof: bytes) -> None:
    """Secret, card and token each count."""
    reply = parse_reply(write_paper("reply", dump([SOUTH_PROOF, token, proof])))
    assert not confirms(reply, invited())


def test_a_renewal_is_signed_by_the_card() -> None:
    """`renewal` in gateway.cddl; a COSE_Sign1 with implied headers, of a use of its own."""
    parsed, content, signature = parse_renewal(renewal())
    assert load(content) == [NORTH, SOUTH, 2, SECRET, TOKEN, MADE, EXPIRES]
    assert (parsed.sender, parsed.recipient, parsed.generation) == (NORTH, SOUTH, 2)
    assert (parsed.secret, parsed.token, parsed.term) == (SECRET, TOKEN, TERM)
    assert SECRET.hex() not in repr(parsed)
    external = dump(["hotline/1", "renew"])
    signed = dump(["Signature1", b"\xa1\x01\x32", external, content])
    assert signature == NORTH_KEYS.signer.sign(signed)
    verify_renewal(NORTH_CARD, content, signature)
    other = dump([NORTH, SOUTH, 3, SECRET, TOKEN, MADE, EXPIRES])
    for card, octets in ((SOUTH_CARD, content), (NORTH_CARD, other)):
        assert sentence(lambda: verify_renewal(card, octets, signature)) == (  # noqa: B023
            f"renewal: is not signed by the card of {card.name} that is trusted here; "
            "do not take it; ask that station by voice"
        )


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (EXPIRES, None),
        (EXPIRES + 1, "invitation: has expired; ask for a new one"),
        (MADE - CLOCK_SLACK_S, None),
        (
            MADE - CLOCK_SLACK_S - 1,
            "invitation: was made after what this machine's clock shows; set the clock, then again",
        ),
    ],
)
def test_a_term_is_from_ten_minutes_before_to_its_end(now: int, words: str | None) -> None:
    """By the clock of the machine that takes it; both ends of the term are within."""
    if words is None:
        TERM.check("invitation", UtcTime(now))
    else:
        assert sentence(lambda: TERM.check("invitation", UtcTime(now))) == words


@pytest.mark.parametrize(
    ("kind", "fields", "problem"),
    [
        ("invite", [NORTH_PROOF, SECRET, TOKEN, MADE], "invite is not an array of 5 to 5"),
        (
            "invite",
            [NORTH_PROOF, SECRET, TOKEN, MADE, EXPIRES, 0],
            "invite is not an array of 5 to 5",
        ),
        ("invite", ["card", SECRET, TOKEN, MADE, EXPIRES], "card is not a byte string"),
        (
            "invite",
            [bytes(301), SECRET, TOKEN, MADE, EXPIRES],
            "the card of the invite is too long",
        ),
        (
            "invite",
            [NORTH_PROOF, SECRET[1:], TOKEN, MADE, EXPIRES],
            "secret is not a byte string of 32",
        ),
        (
            "invite",
            [NORTH_PROOF, SECRET, TOKEN[1:], MADE, EXPIRES],
            "token is not a byte string of 8",
        ),
        (
            "invite",
            [NORTH_PROOF, SECRET, TOKEN, 2**32, 2**32],
            "made is not an integer from 0 to 4294967295",
        ),
        (
            "invite",
            [NORTH_PROOF, SECRET, TOKEN, MADE, 2**32],
            f"expires is not an integer from {MADE} to 4294967295",
        ),
        (
            "invite",
            [NORTH_PROOF, SECRET, TOKEN, MADE, MADE - 1],
            f"expires is not an integer from {MADE} to 4294967295",
        ),
        ("reply", [SOUTH_PROOF, TOKEN], "reply is not an array of 3 to 3"),
        ("reply", [SOUTH_PROOF, TOKEN, bytes(16), 0], "reply is not an array of 3 to 3"),
        ("reply", [1, TOKEN, bytes(16)], "card is not a byte string"),
        ("reply", [bytes(301), TOKEN, bytes(16)], "the card of the reply is too long"),
        ("reply", [SOUTH_PROOF, TOKEN + b"0", bytes(16)], "token is not a byte string of 8"),
        ("reply", [SOUTH_PROOF, TOKEN, bytes(15)], "confirmation is not a byte string of 16"),
        ("renew", [NORTH, SOUTH, 2, SECRET, TOKEN, MADE], "renewal is not an array of 7 to 7"),
        (
            "renew",
            [NORTH, SOUTH, 2, SECRET, TOKEN, MADE, EXPIRES, 0],
            "renewal is not an array of 7 to 7",
        ),
        (
            "renew",
            [0, SOUTH, 2, SECRET, TOKEN, MADE, EXPIRES],
            "sender is not an integer from 1 to 255",
        ),
        (
            "renew",
            [256, SOUTH, 2, SECRET, TOKEN, MADE, EXPIRES],
            "sender is not an integer from 1 to 255",
        ),
        (
            "renew",
            [NORTH, 0, 2, SECRET, TOKEN, MADE, EXPIRES],
            "recipient is not an integer from 1 to 255",
        ),
        (
            "renew",
            [NORTH, 256, 2, SECRET, TOKEN, MADE, EXPIRES],
            "recipient is not an integer from 1 to 255",
        ),
        (
            "renew",
            [NORTH, SOUTH, 1, SECRET, TOKEN, MADE, EXPIRES],
            "generation is not an integer from 2 to 255",
        ),
        (
            "renew",
            [NORTH, SOUTH, 256, SECRET, TOKEN, MADE, EXPIRES],
            "generation is not an integer from 2 to 255",
        ),
        (
            "renew",
            [NORTH, SOUTH, 2, bytes(33), TOKEN, MADE, EXPIRES],
            "secret is not a byte string of 32",
        ),
        ("renew", [NORTH, SOUTH, 2, SECRET, b"", MADE, EXPIRES], "token is not a byte string of 8"),
        (
            "renew",
            [NORTH, SOUTH, 2, SECRET, TOKEN, MADE, MADE - 1],
            f"expires is not an integer from {MADE} to 4294967295",
        ),
    ],
)
def test_another_content_is_not_readable(kind: str, fields: list[object], problem: str) -> None:
    """Each part has its type and its bounds, and the sentence says which part is wrong."""
    octets = dump(fields) + (bytes(64) if kind == "renew" else b"")
    text = write_paper(kind, octets)
    assert sentence(lambda: READERS[kind](text)) == (
        f"{kind}: is not readable: {problem}; get it again"
    )


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("invite", [NORTH_PROOF, SECRET, TOKEN, MADE, MADE]),
        ("invite", [NORTH_PROOF, SECRET, TOKEN, 2**32 - 1, 2**32 - 1]),
        ("renew", [1, 255, 255, SECRET, TOKEN, MADE, MADE]),
        ("renew", [255, 1, 2, SECRET, TOKEN, MADE, MADE]),
    ],
)
def test_the_bounds_of_each_part_are_within(kind: str, fields: list[object]) -> None:
    """The last value of each part that is still one."""
    octets = dump(fields) + (bytes(64) if kind == "renew" else b"")
    READERS[kind](write_paper(kind, octets))


@pytest.mark.parametrize(
    ("kind", "name"), [("invite", "invitation"), ("reply", "reply"), ("renew", "renewal")]
)
def test_another_text_is_none(kind: str, name: str) -> None:
    """A text of another kind, and no such text at all; content that is no CBOR is not readable."""
    for text in ("", "hello", write_paper("card", b"x"), f"HOTLINE-{kind.upper()}-1"):
        assert sentence(lambda: READERS[kind](text)) == (  # noqa: B023
            f"{name}: is none; give the text or the file as it was made"
        )
    words = sentence(lambda: READERS[kind](write_paper(kind, b"\xff" + bytes(64))))
    assert words.startswith(f"{kind}: is not readable: ")


def test_paper_is_capitals_of_octets_and_checksum() -> None:
    """RFC 4648 base32 without its padding, behind kind and version; CRC-32 at the end."""
    assert write_paper("letter", b"123456789") == "HOTLINE-LETTER-1.GEZDGNBVGY3TQOOL6Q4SM"
    for size in range(12):
        octets = bytes(range(size))
        assert read_paper("letter", write_paper("letter", octets), otherwise=NONE) == octets


def test_damaged_paper_says_so() -> None:
    """Another version, a wrong character, a bit that base32 leaves over, too long."""
    whole = write_paper("letter", b"123456789")
    newer = "letter: is of another version of the format; get one of version 1"
    assert (
        sentence(lambda: read_paper("letter", whole.replace("1.", "2."), otherwise=NONE)) == newer
    )
    long = write_paper("letter", bytes((ENCODED_SIZE_MAX + 8) * 5 // 8 - 4))
    for text in (
        whole[:-1] + "N",
        whole[:-1],
        whole + "A",
        whole + "=",
        whole + "é",
        whole[:-8],
        long,
    ):
        assert sentence(lambda: read_paper("letter", text, otherwise=NONE)) == (  # noqa: B023
            "letter: was damaged on its way; copy it again, whole"
        )
    longest = bytes(ENCODED_SIZE_MAX * 5 // 8 - 4)
    text = write_paper("letter", longest)
    assert len(text.partition(".")[2]) == ENCODED_SIZE_MAX
    assert read_paper("letter", text, otherwise=NONE) == longest
