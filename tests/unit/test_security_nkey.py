"""NKeys of NATS: the published example, and whatever is no seed of a user."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.errors import FieldError
from gateway.security.nkey import parse_nkey

# The example of the documentation of NATS (NKey authentication).
SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PUBLIC = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"


def test_the_published_example() -> None:
    """The seed gives the public key that stands beside it, and signs a server's nonce with it."""
    key = parse_nkey(f"# user north\n{SEED}\n")
    assert key.public == PUBLIC
    raw = base64.b32decode(PUBLIC)
    verifier = Ed25519PublicKey.from_public_bytes(raw[1:33])
    verifier.verify(base64.b64decode(key.sign("PXoWU7zWAMt75FY")), b"PXoWU7zWAMt75FY")


@pytest.mark.parametrize(
    "text",
    [
        "",
        PUBLIC,
        SEED[:-1],
        SEED[:-1] + "A",
        f"{SEED}\n{SEED}",
        "SAACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
        "SU" + "A" * 56,
    ],
)
def test_what_is_no_seed_of_a_user(text: str) -> None:
    """It is refused, and the error does not show it."""
    with pytest.raises(FieldError, match="nkey") as caught:
        parse_nkey(text)
    assert SEED[:20] not in str(caught.value)


def test_a_key_is_not_printed() -> None:
    """Neither seed nor signer stand in what a log may show."""
    assert "signer" not in repr(parse_nkey(SEED))
