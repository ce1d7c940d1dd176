"""What a hello says of the generations of the line's secret (`generations` in gateway.cddl)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import FieldError
from gateway.wire.canonical import as_array, as_octets, as_uint, dump
from gateway.wire.limits import GENERATION_MAX, PROOF_SIZE


@dataclass(frozen=True, slots=True)
class Generations:
    """Which generations a station holds; told by one that has rotated."""

    newest: int
    """1 to 255."""
    oldest: int
    """The oldest that it still takes frames of; 1 to `newest`."""
    proof: bytes
    """8 octets that only a holder of the newest can make, in this incarnation."""


def encode_generations(told: Generations) -> bytes:
    """Raises `FieldError` for a value that the format has no place for: a bug of ours."""
    if not 1 <= told.oldest <= told.newest <= GENERATION_MAX:
        raise FieldError("generations", "are out of range", "give 1 to 255, the oldest first")
    if len(told.proof) != PROOF_SIZE:
        raise FieldError("proof", f"has {len(told.proof)} octets", f"give {PROOF_SIZE}")
    return dump([told.newest, told.oldest, told.proof])


def decode_generations(value: object) -> Generations | None:
    """None stands for an absent field. Raises `DecodeError`."""
    if value is None:
        return None  # A null is not written again, so the comparison of octets refuses it.
    newest, oldest, proof = as_array(value, "generations", low=3, high=3)
    newest = as_uint(newest, GENERATION_MAX, "newest", low=1)
    oldest = as_uint(oldest, newest, "oldest", low=1)
    return Generations(newest, oldest, as_octets(proof, "proof", size=PROOF_SIZE))
