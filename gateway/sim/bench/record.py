"""What became of each notice of a scenario, and whether that is what it should be. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.model import AnswerCode, Kind, Response
from gateway.sim.bench.lamp_watch import ASKING
from gateway.sim.bench.scenario import BUTTON, Send, far_station

RECEIPT: Final = "MACHINE RECEIPT"
_PERSON: Final = frozenset(
    code.name for code in AnswerCode if code not in (AnswerCode.CANTPRO, AnswerCode.STANDBY)
)


@dataclass(slots=True)
class NoticeRecord:
    """One notice; times in seconds since its submission."""

    step: Send
    notice_id: str = ""
    submitted_s: float = 0.0
    """By the loop's clock."""
    receipt_s: float | None = None
    receipt_link: str | None = None
    roger_s: float | None = None
    """The first answer that implies ROGER, as the originator came to know it."""
    answers: list[str] = field(default_factory=list)
    """In the order in which the originator came to know them."""
    is_overdue: bool = False
    received_count: int = 0
    links: dict[str, int] = field(default_factory=dict)
    """By link: frames that carried it, as the taps saw them."""
    octets: int = 0

    @property
    def is_accepted(self) -> bool:
        return bool(self.notice_id)

    @property
    def awaited(self) -> list[str]:
        """The answers that shall come; a press of the button says ROGER."""
        return ["ROGER" if answer == BUTTON else answer for answer in self.step.answers]

    @property
    def is_answered(self) -> bool:
        return self.receipt_s is not None and len(self.answers) >= len(self.awaited)

    def note_state(self, state: str, link: str | None, at_s: float, *, overdue: bool) -> None:
        """Take a state that the originator's gateway published."""
        after_s = at_s - self.submitted_s
        self.is_overdue = self.is_overdue or overdue
        if state == RECEIPT and self.receipt_s is None:
            self.receipt_s, self.receipt_link = after_s, link
        if state in AnswerCode.__members__ and state not in self.answers:
            self.answers.append(state)
            if self.receipt_s is None:
                # An answer may overtake the receipt, and says more than it.
                self.receipt_s, self.receipt_link = after_s, link
            if state in _PERSON and self.roger_s is None:
                self.roger_s = after_s

    def problems(self) -> list[str]:
        """What is not as the scenario wants it; lost and doubled are said by the report."""
        name = self.step.name
        found: list[str] = []
        if not self.is_accepted:
            return [f"{name}: was not accepted"]
        if self.receipt_s is None:
            found.append(f"{name}: has no machine receipt")
        if self.answers != self.awaited:
            found.append(
                f"{name}: was answered {', '.join(self.answers) or 'not at all'} "
                f"instead of {', '.join(self.awaited) or 'not at all'}"
            )
        if self.step.link is not None and self.step.link not in self.links:
            used = ", ".join(self.links) or "no link"
            found.append(f"{name}: went by {used} instead of {self.step.link}")
        if self.is_overdue:
            found.append(f"{name}: is OVERDUE")
        return found

    def document(self) -> dict[str, object]:
        """For `--json`."""
        notice = self.step.notice
        return {
            "name": self.step.name,
            "id": self.notice_id,
            "from": self.step.sender,
            "to": far_station(self.step.sender),
            "kind": notice["kind"],
            "precedence": notice.get("precedence", "ROUTINE"),
            "operation": notice["operation"],
            "links": list(self.links),
            "receipt_s": _rounded(self.receipt_s),
            "receipt_link": self.receipt_link,
            "roger_s": _rounded(self.roger_s),
            "answers": list(self.answers),
            "octets": self.octets,
        }


@dataclass(slots=True)
class BenchRecord:
    """The outcome of a whole bench."""

    notices: list[NoticeRecord] = field(default_factory=list)
    lamps: dict[str, dict[str, object]] = field(default_factory=dict)
    """By station: `seen` (lamps that were lit in the run) and `at_end` (rhythms)."""
    problems: list[str] = field(default_factory=list)
    """Beside those of the notices."""
    links_wanted: tuple[str, ...] = ()
    """Each must have carried a notice to its receipt."""
    other_octets: int = 0
    elapsed_s: float = 0.0
    seed: int = 0

    @property
    def lost(self) -> list[str]:
        """Accepted, but never came in at the far station."""
        return [n.step.name for n in self.notices if n.is_accepted and n.received_count == 0]

    @property
    def doubled(self) -> list[str]:
        return [n.step.name for n in self.notices if n.received_count > 1]

    def all_problems(self) -> list[str]:
        found = [problem for notice in self.notices for problem in notice.problems()]
        found += [f"{name}: was lost" for name in self.lost]
        found += [f"{name}: came in more than once" for name in self.doubled]
        used = {notice.receipt_link for notice in self.notices}
        found += [f"no notice went by {link}" for link in self.links_wanted if link not in used]
        found += [problem for name in self.lamps for problem in self._lamp_problems(name)]
        return found + self.problems

    def _lamp_problems(self, station: str) -> list[str]:
        at_end = self.lamps[station].get("at_end")
        if not isinstance(at_end, Mapping):
            return [f"{station}: its lamps could not be read at the end"]
        return [
            f"{station}: lamp {lamp} is not dark at the end ({at_end[lamp]})"
            for lamp in ASKING
            if at_end.get(lamp, "off") != "off"
        ]

    def document(self) -> dict[str, object]:
        """For `--json`: one object."""
        return {
            "notices": [notice.document() for notice in self.notices],
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "lamps": self.lamps,
            "other_octets": self.other_octets,
            "elapsed_s": round(self.elapsed_s, 1),
            "seed": self.seed,
            "problems": self.all_problems(),
        }


def expects_answer(step: Send) -> bool:
    """Whether the kind of this notice takes an answer at all."""
    return Kind[str(step.notice["kind"]).upper()].response is not Response.NONE


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
