"""`make hw`: draws wiring, harness and lamp card, and writes the table of parts into README.md."""

from __future__ import annotations

import json
import os
import sys

import card
import harness
import matplotlib as mpl
import schemdraw
import wiring
from stock import HW, digests, input_milliamperes, lamp_milliamperes, read

BEGIN, END = "<!-- parts: written by make hw -->", "<!-- end of parts -->"


def main() -> int:
    """Draw everything; the same sources give the same octets."""
    os.environ["SOURCE_DATE_EPOCH"] = "0"  # no date of today in the files
    mpl.use("Agg")
    schemdraw.use("matplotlib")
    mpl.rcParams.update({"svg.hashsalt": "hotline", "svg.fonttype": "path", "pdf.fonttype": 42})
    drawings: list[str] = []
    for name, part, kinds in (
        ("wiring", wiring, ("svg", "png")),
        ("harness", harness, ("svg", "png")),
        ("lamp-card", card, ("svg", "png", "pdf")),
    ):
        drawings += [f"{name}.{kind}" for kind in kinds]
        part.draw([HW / f"{name}.{kind}" for kind in kinds])
        print(f"hw/{name}: " + ", ".join(kinds))
    _write_parts()
    (HW / "drawn.json").write_text(json.dumps(digests(drawings), indent=2) + "\n")
    return 0


def _write_parts() -> None:
    parts = read("parts.toml")
    lines = ["| | Part | Why this value |", "| --- | --- | --- |"]
    lines += [f"| {part['count']} | {part['what']} | {part['why']} |" for part in parts["part"]]
    lines += ["", "| Lamp | at 5.0 V | at 4.63 V (undervoltage) |", "| --- | --- | --- |"]
    low = parts["supply"]["lamp_volts_min"]
    for colour in parts["lamp"]:
        usual = lamp_milliamperes(parts, colour, parts["supply"]["lamp_volts"])
        lines.append(
            f"| {colour} | {usual:.1f} mA | {lamp_milliamperes(parts, colour, low):.1f} mA |"
        )
    each, count = input_milliamperes(parts), len(parts["place"])
    lines += [
        "",
        f"Each pin of the header gives {each:.2f} mA, all {count} together {each * count:.1f} mA;",
    ]
    lines += [f"the header's limit is {parts['supply']['pin_milliamperes_sum']} mA."]
    readme = HW / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    readme.write_text(before + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + after)


if __name__ == "__main__":
    sys.exit(main())
