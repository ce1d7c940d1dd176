"""The duty officer's card: what each lamp says, drawn from the gateway's own rhythms."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import Circle, Rectangle

from gateway.indicators.lamps import Rhythm, level_at, next_change
from gateway.model import Instant

GREEN, RED, AMBER, BLUE, GREY = "#3a8f2c", "#c02626", "#d08a00", "#2456c8", "#555555"
SPAN_MS = 3_000
LONG_SPAN_MS = 12_000
"""Of the rhythms with pauses: one whole period of the slowest."""
LINES: tuple[tuple[str, str, Rhythm, str], ...] = (
    ("alive", GREEN, Rhythm.ALIVE, "the gateway runs. Dark for 5 s: FAULT, call the technician"),
    ("alive", GREEN, Rhythm.REFUSED, "your press did nothing: `hotline status` says why"),
    ("link", GREEN, Rhythm.STEADY, "this link works (one lamp a link, the first is the primary)"),
    ("link", GREEN, Rhythm.DEGRADED, "works, but loses much"),
    ("link", GREEN, Rhythm.PROBING, "being tested"),
    ("link", GREEN, Rhythm.OFF, "down. All dark with ALARM: nothing reaches the other party"),
    ("pending in", RED, Rhythm.FLASH, "FLASH waits for you: within 5 minutes"),
    ("pending in", RED, Rhythm.IMMEDIATE, "IMMEDIATE waits for you: within 30 minutes"),
    ("pending in", RED, Rhythm.PRIORITY, "PRIORITY waits for you: within 3 hours"),
    ("pending in", RED, Rhythm.ROUTINE, "ROUTINE waits for you: within 6 hours"),
    (
        "pending in",
        RED,
        Rhythm.FLASH_BROKEN,
        "FLASH, but doubtful: late, of unknown age, or a recording",
    ),
    ("pending in", RED, Rhythm.IMMEDIATE_BROKEN, "IMMEDIATE, but doubtful"),
    ("pending in", RED, Rhythm.PRIORITY_BROKEN, "PRIORITY, but doubtful"),
    ("pending in", RED, Rhythm.ROUTINE_BROKEN, "ROUTINE, but doubtful"),
    ("pending out", AMBER, Rhythm.WAITING, "we wait for the other watch"),
    ("pending out", AMBER, Rhythm.ROGERED, "they have it (ROGER); the answer is to come"),
    ("alarm", RED, Rhythm.ALARM, "overdue, no link, store or security: read `hotline status`"),
    ("exercise", BLUE, Rhythm.EXERCISE, "exercise, test or comm check waits: answer on screen"),
    ("exercise", BLUE, Rhythm.EXERCISE_OUT, "one of ours waits for the other watch"),
)
BUTTON = (
    "BUTTON.  The buzzer sounds: one press silences it, and says nothing to anybody.",
    "READ the notice on the screen (`hotline inbox`): before that, a press is refused.",
    "A short press then says ROGER for the notice that PENDING IN has shown for 2 s.",
    "FLASH: press twice within 5 s.   Hold 3 s: lamp test.   Flicker of ALIVE: nothing was sent.",
    "ROGER is not consent. WILCO, CANTCO, AFFIRM, NEGATIVE are said on the screen only.",
    "A machine receipt is not a ROGER: while PENDING OUT is lit, their watch has not closed it.",
)

BOLD = (1, 4)


def draw(targets: list[Path]) -> None:
    """Write the card (A5, landscape) to each file, in the format that its name ends with."""
    figure = plt.figure(figsize=(8.27, 5.83))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 70.5)
    axes.axis("off")
    axes.text(4, 66, "HOTLINE - what the lamps say", fontsize=14, weight="bold")
    axes.text(96, 66, "rhythm, 3 s", fontsize=8, ha="right", color=GREY)
    last = ""
    for number, (lamp, colour, rhythm, meaning) in enumerate(LINES):
        y = 62.3 - number * 2.5
        if lamp != last:
            axes.plot([4, 96], [y + 1.3, y + 1.3], color="#cccccc", lw=0.6)
            axes.add_patch(Circle((5.2, y), 0.9, facecolor=colour, edgecolor="black", lw=0.6))
            axes.text(7.5, y, lamp.upper(), fontsize=8.5, weight="bold", va="center")
            last = lamp
        axes.text(22, y, rhythm.value, fontsize=8, va="center", style="italic")
        axes.text(34, y, meaning, fontsize=8, va="center")
        _rhythm(axes, rhythm, colour, 78.0, y)
    for number, line in enumerate(BUTTON):
        axes.text(
            4,
            13.4 - number * 2.3,
            line,
            fontsize=8,
            va="center",
            weight="bold" if number in BOLD else "normal",
        )
    for target in targets:
        metadata = {"Date": None} if target.suffix == ".svg" else {"Software": ""}
        if target.suffix == ".pdf":
            metadata = {"CreationDate": None}
        figure.savefig(target, dpi=150, metadata=metadata)
    plt.close(figure)


def _rhythm(axes: plt.Axes, rhythm: Rhythm, colour: str, x: float, y: float) -> None:
    width = 18.0
    axes.add_patch(Rectangle((x, y - 0.75), width, 1.5, facecolor="#f0f0f0", edgecolor="none"))
    span = LONG_SPAN_MS if rhythm.name.endswith("_BROKEN") else SPAN_MS
    if span != SPAN_MS:
        axes.text(
            x - 0.4, y, f"{span // 1000} s", fontsize=6.5, va="center", ha="right", color=GREY
        )
    start, scale = 0, width / span
    while start < span:
        change = next_change(rhythm, Instant(start))
        end = span if change is None else min(int(change), span)
        if level_at(rhythm, Instant(start)):
            lit = Rectangle((x + start * scale, y - 0.75), (end - start) * scale, 1.5)
            lit.set(facecolor=colour, edgecolor="none", antialiased=False)
            axes.add_patch(lit)
        start = end
