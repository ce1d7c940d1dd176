"""One row of the benchmark: what we measured, what was wanted, what a peer needs. Pure."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PEERS_PATH: Final = Path(__file__).with_name("peers") / "figures.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measure. `values` are its numbers for programs, with the unit last in each name."""

    name: str
    measure: str
    ours: str
    goal: str = ""
    is_met: bool | None = None
    """None: there is no goal, the figure is for comparison."""
    virtual: str = ""
    """The same in virtual time, as a cross-check."""
    values: Mapping[str, float | int | str | None] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        return "" if self.is_met is None else "met" if self.is_met else "MISSED"


@dataclass(frozen=True, slots=True)
class PeerFigures:
    """What a peer needs, by the names of our figures."""

    date: str
    source: str
    texts: Mapping[str, str]


def load_peers(path: Path = PEERS_PATH) -> PeerFigures:
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    texts = {str(name): str(text) for name, text in tables["lxmf"].items()}
    return PeerFigures(str(tables["date"]), str(tables["source"]), texts)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed; infinite for none."""
    if not values:
        return math.inf
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def document(figure: Figure, peers: str, peers_now: str) -> dict[str, object]:
    """For `--json`."""
    values = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figure.values.items()
    }
    return {
        "name": figure.name,
        "measure": figure.measure,
        "goal": figure.goal or None,
        "ours": figure.ours,
        "virtual": figure.virtual or None,
        "peers": peers or None,
        "peers_now": peers_now or None,
        "verdict": figure.verdict or None,
        "values": values,
    }
