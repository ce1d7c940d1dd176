"""The alarms: which are lit, what a person has seen to, and what of it outlives a restart.

An alarm about what is ends with it, and a start finds it again. One about what has happened
(`CLEARED_BY_HAND`) is kept: lit again at each start until a person clears it, or the rule of its
own ends it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from gateway.core.draft import Draft
from gateway.core.effects import CLEARED_BY_HAND, Alarm, AlarmCode
from gateway.core.records import AlarmKey, DropAlarm, Durability, PutAlarm, StoredAlarm
from gateway.model import ActId, Station

ALARM_COUNT_MAX: Final = 64
"""Alarms listed at once; the oldest about a single notice makes room."""
_MAKES_ROOM: Final = (AlarmCode.OVERDUE, AlarmCode.SAME_ID, AlarmCode.CROSSED)
_BY_A_PEER: Final = (AlarmCode.SAME_ID, AlarmCode.CROSSED)
"""A far station can light as many of these as it likes: they push each other out first."""

_Key = tuple[AlarmCode, Station | None, ActId | None, str]


class Alarms:
    """Raised and cleared at once; `keep_alarms` writes at the end of the step what changed."""

    def __init__(self) -> None:
        self._alarms: dict[_Key, Alarm] = {}
        self._seen_to: OrderedDict[tuple[_Key, str], None] = OrderedDict()
        """Alarms that a person cleared, with their evidence: it may come again and again."""
        self._unwritten: dict[AlarmKey, PutAlarm | DropAlarm] = {}

    def restore_alarms(self, kept: Iterable[StoredAlarm]) -> None:
        """Those of the runs before. A code that no person can clear would stay for ever."""
        for stored in kept:
            name, station, notice_id, part, cleared = stored.key
            code = AlarmCode.__members__.get(name)
            if code not in CLEARED_BY_HAND:
                continue
            key = (code, station, notice_id, part)
            if cleared is not None:
                self._remember(key, cleared)
            elif self._has_room(key):
                self._alarms[key] = Alarm(
                    code, stored.text, station, notice_id, part, stored.evidence
                )

    def keep_alarms(self, draft: Draft) -> None:
        """Write what changed since the last step."""
        for write in self._unwritten.values():
            draft.write(write)
        self._unwritten.clear()

    def raise_alarm(
        self,
        code: AlarmCode,
        text: str,
        *,
        station: Station | None = None,
        notice_id: ActId | None = None,
        part: str = "",
        evidence: str = "",
    ) -> bool:
        """Light an alarm; False if it was lit already, or cleared by hand with this `evidence`."""
        key = (code, station, notice_id, part)
        if evidence and (key, evidence) in self._seen_to:
            return False
        is_new = key not in self._alarms
        if not self._has_room(key):
            return False
        self._alarms[key] = Alarm(code, text, station, notice_id, part, evidence)
        # What is lit already of a far station is not written anew: each act of its may change it.
        if code in CLEARED_BY_HAND and (is_new or (station is None and notice_id is None)):
            stored = StoredAlarm(_stored_key(key), text, evidence)
            durability = Durability.NORMAL if code in _BY_A_PEER else Durability.FULL
            self._unwritten[stored.key] = PutAlarm(stored, durability)
        return is_new

    def find_alarm(self, name: str) -> Alarm | None:
        """The lit alarm of that name."""
        return next((alarm for alarm in self._alarms.values() if alarm.name == name), None)

    def clear_by_hand(self, alarm: Alarm) -> None:
        """A person has seen to it: the same evidence lights it no more."""
        key = (alarm.code, alarm.station, alarm.notice_id, alarm.part)
        self._put_out(key)
        if alarm.evidence:
            stored_key = _stored_key(key, cleared=alarm.evidence)
            self._unwritten[stored_key] = PutAlarm(StoredAlarm(stored_key), Durability.NORMAL)
            self._remember(key, alarm.evidence)

    def clear_alarm(
        self,
        code: AlarmCode,
        *,
        station: Station | None = None,
        notice_id: ActId | None = None,
        part: str = "",
    ) -> bool:
        return self._put_out((code, station, notice_id, part))

    def end_alarms(self, notice_id: ActId) -> None:
        """The time of the alarms of an ended notice is over."""
        self.clear_alarm(AlarmCode.OVERDUE, notice_id=notice_id)
        self.clear_alarm(AlarmCode.CROSSED, notice_id=notice_id)

    def _has_room(self, key: _Key) -> bool:
        """Whether it is lit or can be; the oldest one that may makes room for it."""
        if key in self._alarms or len(self._alarms) < ALARM_COUNT_MAX:
            return True
        order = (*_BY_A_PEER, *_MAKES_ROOM) if key[0] in _BY_A_PEER else _MAKES_ROOM
        oldest = next((k for one in order for k in self._alarms if k[0] is one), None)
        return oldest is not None and self._put_out(oldest)

    def _put_out(self, key: _Key) -> bool:
        """False: it was not lit."""
        if self._alarms.pop(key, None) is None:
            return False
        if key[0] in CLEARED_BY_HAND:
            self._drop(_stored_key(key))
        return True

    def _remember(self, key: _Key, evidence: str) -> None:
        self._seen_to[key, evidence] = None
        if len(self._seen_to) > ALARM_COUNT_MAX:
            (oldest, cleared), _ = self._seen_to.popitem(last=False)
            self._drop(_stored_key(oldest, cleared=cleared))

    def _drop(self, key: AlarmKey) -> None:
        self._unwritten[key] = DropAlarm(key)


def _stored_key(key: _Key, *, cleared: str | None = None) -> AlarmKey:
    code, station, notice_id, part = key
    return AlarmKey(code.name, station, notice_id, part, cleared)
