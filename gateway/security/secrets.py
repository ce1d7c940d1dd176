"""The secrets of one line as a file holds them: its generations, and the cards that are revoked.

One file, replaced whole: a power cut leaves the old one or the new one. Pure: entropy and text come
in as arguments.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.errors import FieldError
from gateway.wire.limits import GENERATION_MAX, KEY_SIZE, SECRET_SIZE

_FORMAT: Final = "hotline-line-1"
_HEAD: Final = "# Secrets of a hotline line: who reads this file may read the line, some day."
HELD_COUNT_MAX: Final = 2
"""Generations in a file: the newest, and the one before while the far station may use it."""
MEMORY_COUNT_MAX: Final = 32
"""Invitations remembered as taken, and cards revoked; the oldest invitation is forgotten."""


@dataclass(frozen=True, slots=True)
class LineSecrets:
    """Values that check themselves. Never shown, logged or compared."""

    first: bytes = field(repr=False)
    """32 octets: hellos stay under it for ever."""
    generations: Mapping[int, bytes] = field(repr=False)
    """One or two, by their numbers."""
    revoked: tuple[bytes, ...] = ()
    """Ed25519 keys of the far station's cards from which nothing is taken any more."""
    taken: tuple[str, ...] = ()
    """Tokens of invitations that were accepted here, in hexadecimal."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.generations) <= HELD_COUNT_MAX:
            raise FieldError("generations", f"are {len(self.generations)}", "give one or two")
        for number, secret in self.generations.items():
            if not 1 <= number <= GENERATION_MAX:
                raise FieldError("generation", f"{number} is out of range", "give 1 to 255")
            _check_secret(secret)
        _check_secret(self.first)
        if any(len(key) != KEY_SIZE for key in self.revoked):
            raise FieldError("revoked", "holds no key", f"give {KEY_SIZE} octets each")

    @property
    def newest(self) -> int:
        return max(self.generations)

    @property
    def former(self) -> tuple[int, bytes] | None:
        """The generation before the newest with its secret, while it lasts."""
        number = min(self.generations)
        return None if number == self.newest else (number, self.generations[number])

    def rotated(self, number: int, secret: bytes, *, base: int | None = None) -> LineSecrets:
        """With a newer generation beside `base`, by default the newest one before it."""
        base = self.newest if base is None else base
        if number <= base:
            raise FieldError(
                "generation",
                f"{number} is not newer than {base}, which this station holds",
                "ask the far station for a new rotation",
            )
        return replace(self, generations={base: self.generations[base], number: secret})

    def finished(self) -> LineSecrets:
        """Without the former generation."""
        return replace(self, generations={self.newest: self.generations[self.newest]})

    def remembering(self, token: str) -> LineSecrets:
        """With an invitation that was taken."""
        return replace(self, taken=(*self.taken, token)[-MEMORY_COUNT_MAX:])

    def revoking(self, sign_public: bytes) -> LineSecrets:
        """With a card that is revoked. Raises `FieldError` when the list is full."""
        if sign_public in self.revoked:
            return self
        if len(self.revoked) >= MEMORY_COUNT_MAX:
            raise FieldError("revoked", "is full", "make a new line with new secrets")
        return replace(self, revoked=(*self.revoked, sign_public))


def secrets_text(secrets: LineSecrets) -> str:
    """The file (TOML)."""
    lists = {"revoked": [key.hex() for key in secrets.revoked], "taken": list(secrets.taken)}
    lines = [_HEAD, f'format = "{_FORMAT}"', f'first = "{secrets.first.hex()}"']
    for name, values in lists.items():
        if values:
            quoted = ", ".join([f'"{value}"' for value in values])
            lines.append(f"{name} = [{quoted}]")
    lines.append("[generation]")
    lines += [f'{number} = "{secret.hex()}"' for number, secret in secrets.generations.items()]
    return "\n".join([*lines, ""])


def parse_secrets(text: str, *, generation: int = 1) -> LineSecrets:
    """Read the file, or a plain secret: one line of hexadecimal digits, which is `generation`.

    Raises `FieldError`, which never quotes a secret.
    """
    if not text.lstrip().startswith(("#", "format")):
        secret = _octets("secret", "".join(text.split()))
        return LineSecrets(secret, {generation: secret})
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FieldError("secret_file", "is not TOML", "restore it, or invite again") from error
    numbered = fields.get("generation")
    if fields.get("format") != _FORMAT or not isinstance(numbered, dict):
        raise FieldError("secret_file", "is not the secret file of a line", "name the right file")
    numbers = {name: int(name) for name in numbered if re.fullmatch(r"[0-9]{1,3}", name)}
    if len(numbers) != len(numbered):
        raise FieldError("generation", "is no number", "restore the file, or invite again")
    return LineSecrets(
        _octets("first", fields.get("first")),
        {numbers[name]: _octets("generation", secret) for name, secret in numbered.items()},
        tuple(_octets("revoked", key) for key in _list(fields, "revoked")),
        tuple(str(token) for token in _list(fields, "taken"))[-MEMORY_COUNT_MAX:],
    )


def _list(fields: Mapping[str, object], name: str) -> list[object]:
    value = fields.get(name, [])
    if not isinstance(value, list):
        raise FieldError(name, "is no list", "restore the file, or invite again")
    return value


def _octets(name: str, value: object) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise FieldError(name, "is not 64 hexadecimal digits", "copy the file again, whole")
    return bytes.fromhex(value)


def _check_secret(secret: bytes) -> None:
    if len(secret) != SECRET_SIZE:
        raise FieldError("secret", f"has {len(secret)} octets", f"give {SECRET_SIZE}")
    if len(set(secret)) == 1:
        raise FieldError("secret", "is one octet repeated", "make one with: hotline key secret")
