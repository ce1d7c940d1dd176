"""Documents of the feed, packed: they are long and alike, and a card writes each octet twice."""

from __future__ import annotations

import zlib
from typing import Final

_WORDS: Final = (
    b'"polygon": [{"latitude": 0.0, "longitude": 0.0}], "phrase": 0, "slots": [], '
    b'"answer": {"code": "ROGER", "STANDBY", "WILCO", "HAVCO", "CANTCO", "AFFIRM", "NEGATIVE", '
    b'"CANTPRO"}, "REPORT", "WARNING", "QUERY", "REQUEST", "ASSURE", "UPDATE", "CANCEL", "CHECK", '
    b'"LINE STATE", "HANDOVER", "SERVICE", "FLASH", "PRIORITY", "SIMULATION", "TEST", "HELD", '
    b'"QUEUED", "SENT", "RELAYED", "DISPLAYED", "EXPIRED", "CANCELLED", "SUPERSEDED", "none", '
    b'"manual", "W/U", "A/N", "Y", "N", "watch_commander", "liaison_officer", "technician", null, '
    b'"response": "R", "created": "2026-01-01T00:00:00Z", "dtg": "010000Z JAN 26", '
    b'"time_quality": "synchronised", "expires": "2026-01-01T00:00:00Z", "expires_min": 240, '
    b'"released_by": "duty_officer", "text": "", "language": "en", '
    b'"reply_by": "2026-01-01T00:00:00Z", "reply_by_min": 30, "reference": "1-0000-1", '
    b'"place": {"latitude": 0.0, "longitude": 0.0, "radius_m": 500, "altitude": {"low_m": 100, '
    b'"high_m": 900}}, "window": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, '
    b'"received": "2026-01-01T00:00:00Z", "age_s": 10, "late": true, "serial": 1, '
    b'{"id": "1-0000-1", "direction": "out", "direction": "in", "from": "NORTH", "to": "SOUTH", '
    b'"kind": "NOTIFY", "precedence": "ROUTINE", "precedence": "IMMEDIATE", '
    b'"operation": "EXERCISE", "operation": "OPERATION", "state": "MACHINE RECEIPT", '
    b'"time": "2026-01-01T00:00:00Z", "link": "cable", "link": "radio", "evidence": "receipt", '
    b'"overdue": true, "late": false, "overdue": false, "note": "RECEIPT IS NOT CONSENT"}'
)
"""What documents are made of, the most frequent last. Part of schema 1: never changed."""

_WINDOW_BITS: Final = -12


def pack(document: str) -> bytes:
    """Raw deflate with the words above; a third to a quarter of the size."""
    packer = zlib.compressobj(level=6, wbits=_WINDOW_BITS, zdict=_WORDS)
    return packer.compress(document.encode()) + packer.flush()


def unpack(octets: bytes) -> str:
    """The document again. Raises `zlib.error` for octets that `pack` did not make."""
    unpacker = zlib.decompressobj(wbits=_WINDOW_BITS, zdict=_WORDS)
    return (unpacker.decompress(octets) + unpacker.flush()).decode()
