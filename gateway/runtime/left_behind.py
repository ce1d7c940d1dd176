"""The acts that this gateway accepted alone and lost with its store: told until a person saw to it.

The other gateway went on without them, so nobody sends them, waits for them or finds them overdue.
What is told is kept in a file, since a restart must not end it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.core.effects import Alarm, AlarmCode
from gateway.store.folder import write_whole

FILE_NAME: Final = "spare-left.json"
SHOWN_COUNT_MAX: Final = 8
LOSS_COUNT_MAX: Final = 3
"""As many replaced databases stay."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One replacement of the store."""

    acts: tuple[str, ...]
    database: str
    """Where the old database is kept."""
    book: str
    """Where its log book's files are; empty: there were none."""


class LeftBehind:
    """Of one state folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._losses: list[Loss] = []
        with suppress(OSError, msgspec.MsgspecError):
            self._losses = msgspec.json.decode(self._path.read_bytes(), type=list[Loss])

    def add(self, loss: Loss) -> None:
        """Raises `OSError` where it cannot be kept; it is told in this run all the same."""
        self._losses = [*self._losses, loss][-LOSS_COUNT_MAX:]
        self._save()

    def alarms(self) -> list[Alarm]:
        """One for each replacement."""
        return [_alarm(loss) for loss in self._losses]

    def clear(self, alarm: Alarm) -> None:
        """A person has seen to it. Raises `OSError` as `add`."""
        self._losses = [loss for loss in self._losses if _alarm(loss) != alarm]
        self._save()

    def _save(self) -> None:
        write_whole(self._path, msgspec.json.encode(self._losses))


def _alarm(loss: Loss) -> Alarm:
    shown, more = loss.acts[:SHOWN_COUNT_MAX], len(loss.acts) - SHOWN_COUNT_MAX
    names = ", ".join(shown) + (f" and {more} more (in the log)" if more > 0 else "")
    one = len(loss.acts) == 1
    text = (
        f"{len(loss.acts)} act{'' if one else 's'} that this gateway had accepted alone"
        f" {'is' if one else 'are'} not in the store of the other, which it follows now: {names};"
        f" nobody sends or answers {'it' if one else 'them'} any more, so see what still matters"
        f" and send that again; kept in {loss.database}"
    )
    if loss.book:
        text += f", to be read with: hotline log export {loss.book}"
    return Alarm(AlarmCode.LEFT_BEHIND, text, part=loss.database.rpartition("-")[2])
