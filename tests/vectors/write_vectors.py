"""Add vectors that `values.py` names and that have no file: `python -m tests.vectors.write_vectors`

It never changes or removes one. To change the format, delete the files of the vectors it changes
and their lines in the manifest by hand, and say in the commit why.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from pathlib import Path
from typing import Final

from gateway.security.cards import card_text
from gateway.security.expand import expand_act, expand_frame
from gateway.security.seal import seal_frame
from gateway.wire.byte_stream import encode_stream
from gateway.wire.canonical import load
from gateway.wire.diagnostic import diagnose
from gateway.wire.items import encode_items
from gateway.wire.notice import encode_act
from tests.vectors import values

FOLDER: Final = Path(__file__).parent
MANIFEST: Final = FOLDER / "manifest.json"


def every_vector() -> dict[str, tuple[str | None, bytes, str | None]]:
    """Name -> (rule of gateway.cddl, octets, diagnostic notation) as the gateway makes them now."""
    found: dict[str, tuple[str | None, bytes, str | None]] = {}
    for name, act in values.ACTS.items():
        octets = encode_act(act)
        rule = type(act).__name__.lower()
        found[name] = (rule, octets, diagnose(load(octets)))
    for name, item in values.ITEMS.items():
        octets = encode_items([item])
        found[f"item-{name}"] = (values.ITEM_RULES[type(item)], octets, diagnose(load(octets)))
    key_ring = values.rings()[0]
    line = key_ring.lines[values.SOUTH]
    for name, (header, names) in values.FRAMES.items():
        key = line.keys.outbound(header.generation == 0, values.INCARNATION)
        items = encode_items(values.frame_items(names))
        octets = seal_frame(key, header, items, recipient=values.SOUTH)
        expanded = expand_frame(octets)
        found[name] = (None, octets, None)
        found[f"cose-{name}"] = ("cose-encrypt0", expanded.cose, expanded.diagnostic)
    for name in ("act-full", "act-answer"):
        act_octets, signature = encode_act(values.ACTS[name]), values.signature_of(name)
        signed = expand_act(act_octets, signature, originator=values.NORTH, to=values.SOUTH)
        found[f"cose-{name}"] = ("cose-sign1", signed.cose, signed.diagnostic)
    for station_keys, card in zip(values.keys(), values.cards(), strict=True):
        text = card_text(card, station_keys)
        found[f"card-{card.name.lower()}"] = (None, text.encode(), None)
    for name, frames in values.STREAMS.items():
        found[name] = (None, b"".join(map(encode_stream, frames)), None)
    return found


def main() -> None:
    """Write what is missing, and say what was written."""
    entries = json.loads(MANIFEST.read_text()) if MANIFEST.exists() else []
    known = {entry["name"] for entry in entries}
    for name, (rule, octets, notation) in every_vector().items():
        if name in known:
            continue
        (FOLDER / f"{name}.hex").write_text("\n".join(textwrap.wrap(octets.hex(), 96)) + "\n")
        if notation is not None:
            (FOLDER / f"{name}.diag").write_text(notation + "\n")
        digest = hashlib.sha256(octets).hexdigest()
        entries.append({"name": name, "rule": rule, "size": len(octets), "sha256": digest})
        print(f"wrote {name}, {len(octets)} octets")
    lines = ",\n".join("  " + json.dumps(entry) for entry in entries)
    MANIFEST.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
