"""The secret file of a line: round trip, generations, revoked cards, what is refused."""

from __future__ import annotations

import pytest

from gateway.errors import FieldError
from gateway.security.secrets import (
    MEMORY_COUNT_MAX,
    LineSecrets,
    parse_secrets,
    secrets_text,
)

ONE, TWO, THREE = (bytes(range(start, start + 32)) for start in (1, 2, 3))
ALONE = LineSecrets(ONE, {1: ONE})


def test_a_file_says_what_was_written() -> None:
    """One generation or two, cards revoked, invitations taken."""
    full = ALONE.rotated(2, TWO).revoking(THREE).remembering("00ff")
    for secrets in (ALONE, full, full.finished()):
        assert parse_secrets(secrets_text(secrets)) == secrets
    assert (full.newest, full.former) == (2, (1, ONE))
    assert (full.finished().former, full.finished().first) == (None, ONE)


def test_a_file_is_plain_toml() -> None:
    """Every line of it; lists that are empty are left out."""
    head = "# Secrets of a hotline line: who reads this file may read the line, some day.\n"
    format_line = 'format = "hotline-line-1"\n'
    assert secrets_text(ALONE) == (
        f'{head}{format_line}first = "{ONE.hex()}"\n[generation]\n1 = "{ONE.hex()}"\n'
    )
    full = ALONE.rotated(255, TWO).revoking(THREE).revoking(TWO).remembering("00").remembering("01")
    assert secrets_text(full) == (
        f'{head}{format_line}first = "{ONE.hex()}"\n'
        f'revoked = ["{THREE.hex()}", "{TWO.hex()}"]\ntaken = ["00", "01"]\n'
        f'[generation]\n1 = "{ONE.hex()}"\n255 = "{TWO.hex()}"\n'
    )


def test_a_file_may_be_edited_by_hand() -> None:
    """Without its comment, with lines before it, in capitals, numbers filled up with zeros."""
    text = f'format = "hotline-line-1"\nfirst = "{ONE.hex().upper()}"\n[generation]\n'
    for before in ("", "\n \n", "# mine\n"):
        assert parse_secrets(f'{before}{text}001 = "{ONE.hex()}"') == ALONE
    for name in ("0001", "-1", "1x", "x1"):
        with pytest.raises(FieldError, match="generation: is no number"):
            parse_secrets(f'{text}{name} = "{ONE.hex()}"')


def test_of_too_many_invitations_in_a_file_the_last_count() -> None:
    """As when each was taken: the oldest are forgotten."""
    taken = [f"{number:02x}" for number in range(MEMORY_COUNT_MAX + 2)]
    listed = ", ".join(f'"{token}"' for token in taken)
    text = secrets_text(ALONE).replace("[generation]", f"taken = [{listed}]\n[generation]")
    assert parse_secrets(text).taken == tuple(taken[2:])


def test_a_plain_secret_is_one_generation() -> None:
    """One line of digits, as `hotline key secret` writes it."""
    assert parse_secrets(ONE.hex() + "\n") == ALONE
    assert parse_secrets(ONE.hex(), generation=3) == LineSecrets(ONE, {3: ONE})


def test_a_rotation_keeps_one_former_generation() -> None:
    """The newest before it, or the one that is asked for; never an older number."""
    two = ALONE.rotated(2, TWO)
    assert dict(two.rotated(3, THREE).generations) == {2: TWO, 3: THREE}
    assert dict(two.rotated(3, THREE, base=1).generations) == {1: ONE, 3: THREE}
    with pytest.raises(FieldError, match="not newer than 2"):
        two.rotated(2, THREE)


def test_what_is_remembered_is_bounded() -> None:
    """The oldest invitation is forgotten; no revoked card ever is."""
    secrets = ALONE
    for number in range(MEMORY_COUNT_MAX + 1):
        secrets = secrets.remembering(f"{number:016x}")
    assert len(secrets.taken) == MEMORY_COUNT_MAX
    for number in range(MEMORY_COUNT_MAX):
        secrets = secrets.revoking(bytes([number, 1]) * 16)
    assert secrets.revoking(bytes([0, 1]) * 16) is secrets
    with pytest.raises(FieldError, match="is full"):
        secrets.revoking(TWO)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not 64 hexadecimal digits"),
        ("00" * 32, "is one octet repeated"),
        (ONE.hex()[:-2], "is not 64 hexadecimal digits"),
        ("# x\nformat = 1", "is not the secret file of a line"),
        ("# x\nformat = ", "is not TOML"),
        (secrets_text(ALONE).replace("[generation]", "[other]"), "is not the secret file"),
        (secrets_text(ALONE).replace("\n1 = ", "\nx = "), "is no number"),
        (secrets_text(ALONE).replace("\n1 = ", "\n0 = "), "0 is out of range"),
        (secrets_text(ALONE).replace("\n1 = ", "\n256 = "), "256 is out of range"),
        (secrets_text(ALONE).replace("first =", "fist ="), "is not 64 hexadecimal digits"),
        (secrets_text(ALONE) + f'2 = "{TWO.hex()}"\n3 = "{THREE.hex()}"\n', "are 3"),
        (secrets_text(ALONE).replace("[gen", "revoked = 1\n[gen"), "is no list"),
    ],
)
def test_a_damaged_file_is_refused(text: str, words: str) -> None:
    """One sentence, and never a digit of a secret in it."""
    with pytest.raises(FieldError, match=words) as caught:
        parse_secrets(text)
    assert ONE.hex()[2:10] not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    """No repr holds an octet of one."""
    assert ONE.hex()[2:10] not in repr(ALONE)
    assert repr(ONE)[2:10] not in repr(ALONE)
