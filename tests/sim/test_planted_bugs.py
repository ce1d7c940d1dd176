"""Bugs planted in the engine: each is caught by a check, so the checks can be believed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

import gateway.core.recovery
from gateway.core.button import Button, Press, Refusal
from gateway.core.counter import Counter
from gateway.core.delivery import DeliveryInput
from gateway.core.dispatcher import Dispatcher
from gateway.core.duty import Duty
from gateway.core.engine import Engine
from gateway.core.entropy import EntropyPool
from gateway.core.hearing import Hearing
from gateway.core.intake import Intake
from gateway.core.lane import Lane
from gateway.core.line import Line
from gateway.core.outgoing import Outgoing
from gateway.core.reception import EpochIn, Novelty, Reception
from gateway.core.records import PutAct, PutSeen
from gateway.core.rounds import Rounds
from gateway.core.session import HelloOutcome, Session
from gateway.core.speech import Speech
from gateway.core.tidings import Tidings
from gateway.core.watch import Watch
from gateway.model import Epoch, Precedence
from gateway.security.replay import ReplayWindow
from gateway.sim.profile import LinkProfile, Profile
from gateway.sim.simulate import Options, simulate
from gateway.wire.limits import INCARNATION_SIZE

Patch = pytest.MonkeyPatch
DENSE = Profile(
    "dense",
    "much of everything in a short time",
    (
        LinkProfile("radio", bit_rate=None, loss=(0.1, 0.3), repeat=0.05, corrupt=0.03, relay=0.5),
        LinkProfile("cable", loss=(0.1, 0.3), repeat=0.05, corrupt=0.05, jitter_ms=200),
    ),
    notices=40,
    change=0.3,
    cuts=6,
    unplugs=6,
    kills=8,
    power_cuts=0.5,
    absences=2,
    full_disks=1,
    foreigns=4,
    brokers=4,
    presses=60,
    stops=4,
    inbound_notices=3,
    heal_min=30,
)
HOSTILE = dataclasses.replace(
    DENSE,
    name="dense-hostile",
    links=(LinkProfile("cable", loss=(0.1,)),),
    notices=20,
    kills=6,
    power_cuts=1.0,
    attacks=300,
)
"""One cable: whoever goes away there is missed within 30 s, whatever an attacker plays."""
ON_HOSTILE = ("no_replay_window", "hello_unchecked", "silence_not_told")
FAST = (
    "accepted_before_it_is_written",
    "answer_accepted_twice",
    "drop_the_seen_table",
    "ignore_loss_of_link",
    "incarnation_used_again",
    "never_retransmit",
    "receipt_before_commit",
    "receipt_for_what_never_came",
    "reuse_a_counter",
    "seen_table_not_restored",
)
"""Caught at once: these go with `make test`, the others with `make soak`."""
SEED_COUNT = 8
BUGS: dict[str, Callable[[Patch], None]] = {}


def bug(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
    BUGS[plant.__name__] = plant
    return plant


def nothing(*_: Any, **__: Any) -> None:
    """What a forgotten call does."""


@bug
def never_retransmit(patch: Patch) -> None:
    patch.setattr(Rounds, "handle_retransmission", nothing)
    patch.setattr(Dispatcher, "again", nothing)


@bug
def receipt_before_commit(patch: Patch) -> None:
    keep = Hearing._keep

    def forgets(self: Hearing, *args: Any) -> Any:
        kept = keep(self, *args)
        draft = args[-1]
        draft._writes = [w for w in draft._writes if not isinstance(w, PutSeen | PutAct)]
        return kept

    patch.setattr(Hearing, "_keep", forgets)


@bug
def forget_a_timer(patch: Patch) -> None:
    limits = Watch._limits

    def forgets(self: Watch, record: Any) -> Any:
        return [limit for limit in limits(self, record) if limit[1] != "answer_due"]

    patch.setattr(Watch, "_limits", forgets)


@bug
def reuse_a_counter(patch: Patch) -> None:
    seal = Session.seal

    def repeats(self: Session, items: Any) -> Any:
        sealed = seal(self, items)
        if self._counter % 50 == 49:
            self._counter -= 1
        return sealed

    patch.setattr(Session, "seal", repeats)


@bug
def drop_the_seen_table(patch: Patch) -> None:
    patch.setattr(Reception, "judge", lambda *_: Novelty.NEW)


@bug
def seen_table_not_restored(patch: Patch) -> None:
    patch.setattr(Reception, "restore", nothing)


@bug
def no_replay_window(patch: Patch) -> None:
    patch.setattr(ReplayWindow, "is_fresh", lambda *_: True)


@bug
def ignore_loss_of_link(patch: Patch) -> None:
    patch.setattr(Line, "link_down", nothing)


@bug
def epoch_not_renewed(patch: Patch) -> None:
    open_epoch = Speech.open_epoch

    def same(self: Speech, line: Any, draft: Any) -> None:
        used = self._epochs.pop(line.peer, {})
        open_epoch(self, line, draft)
        if used:
            tongue = self._tongues[line.peer]
            self._tongues[line.peer] = dataclasses.replace(tongue, epoch=Epoch(next(iter(used))))
            line.standing.epoch = next(iter(used))

    patch.setattr(Speech, "open_epoch", same)


@bug
def answer_accepted_twice(patch: Patch) -> None:
    patch.setattr(Counter, "_arbitrate", nothing)


@bug
def hello_unchecked(patch: Patch) -> None:
    receive = Session.receive_hello

    def believes(self: Session, hello: Any, opened: Any) -> HelloOutcome:
        inbound = self._inbound[opened.incarnation]
        if inbound is not self.current or not inbound.is_proven:
            inbound.is_retired = False
            self._make_current(inbound)
            return HelloOutcome.PROVEN
        return receive(self, hello, opened)

    patch.setattr(Session, "receive_hello", believes)


@bug
def cancel_lost(patch: Patch) -> None:
    patch.setattr(Hearing, "_end_earlier", nothing)


@bug
def expiry_never(patch: Patch) -> None:
    patch.setattr(Duty, "expire", nothing)


@bug
def overdue_never(patch: Patch) -> None:
    limits = Watch._limits
    patch.setattr(Watch, "_limits", lambda *given: limits(*given)[:1])


@bug
def flash_not_first(patch: Patch) -> None:
    push = Lane.push
    patch.setattr(Lane, "push", lambda self, _, order, part: push(self, 3 - _, order, part))


@bug
def first_come_first_served(patch: Patch) -> None:
    push, wait = Lane.push, Outgoing.wait
    slowest = Precedence.ROUTINE
    patch.setattr(Lane, "push", lambda self, _, order, part: push(self, slowest, order, part))

    def last(self: Outgoing, act: Any) -> None:
        wait(self, act)
        self._waiting.sort(key=lambda entry: entry[1])

    patch.setattr(Outgoing, "wait", last)


@bug
def fragments_forgotten(patch: Patch) -> None:
    add = Reception.add_fragment

    def forgets(self: Reception, item: Any) -> Any:
        return None if item.index == 1 else add(self, item)

    patch.setattr(Reception, "add_fragment", forgets)


@bug
def lost_receipts_not_repeated(patch: Patch) -> None:
    owe = Line.owe_receipt

    def once(self: Line, name: Any, epoch: int, serial: int, counter: int) -> None:
        done = self.__dict__.setdefault("done", set())
        if (epoch, serial) not in done:
            done.add((epoch, serial))
            owe(self, name, epoch, serial, counter)

    patch.setattr(Line, "owe_receipt", once)


@bug
def age_dropped(patch: Patch) -> None:
    patch.setattr(Tidings, "age_s", lambda *_: 0)


@bug
def incarnation_used_again(patch: Patch) -> None:
    take = EntropyPool.take

    def same(self: EntropyPool, size: int, draft: Any) -> bytes:
        taken = take(self, size, draft)
        return bytes(8) if size == INCARNATION_SIZE and not draft._effects else taken

    patch.setattr(EntropyPool, "take", same)


@bug
def offsets_used_again(patch: Patch) -> None:
    patch.setattr(gateway.core.recovery, "OFFSET_MARGIN", 0)


@bug
def accepted_notices_forgotten_at_a_start(patch: Patch) -> None:
    patch.setattr(gateway.core.recovery, "_restore_out_act", nothing)


@bug
def receipt_for_what_never_came(patch: Patch) -> None:
    patch.setattr(EpochIn, "bitmap", lambda *_: 0b111)


@bug
def accepted_before_it_is_written(patch: Patch) -> None:
    say = Speech.say

    def unwritten(self: Speech, *args: Any, **named: Any) -> Any:
        act = say(self, *args, **named)
        draft = args[-1]
        draft._writes = [w for w in draft._writes if not isinstance(w, PutAct)]
        return act

    patch.setattr(Speech, "say", unwritten)


@bug
def button_answers_a_flash_at_once(patch: Patch) -> None:
    release = Button.release

    def hastens(self: Button, now: Any, candidate: Any) -> Press | Refusal:
        press = release(self, now, candidate)
        return Press.ROGER if press is Press.ONCE_MORE else press

    patch.setattr(Button, "release", hastens)


@bug
def accepts_while_it_stops(patch: Patch) -> None:
    patch.setattr(Counter, "_closed", nothing)


@bug
def broker_not_missed(patch: Patch) -> None:
    patch.setattr(Duty, "queue_changed", nothing)


@bug
def taken_is_forgotten(patch: Patch) -> None:
    patch.setattr(Duty, "taken", nothing)


@bug
def relay_counts_as_receipt(patch: Patch) -> None:
    def believes(self: Tidings, act: Any, link: Any, draft: Any) -> None:
        record = self._state.ledger.get(act.id)
        if record is not None:
            self._state.ledger.move(record, DeliveryInput.RECEIPTED, draft, evidence="relayed")

    patch.setattr(Tidings, "act_relayed", believes)


@bug
def flood_let_in(patch: Patch) -> None:
    patch.setattr(Intake, "admits", lambda *_: True)


@bug
def busy_for_ever(patch: Patch) -> None:
    patch.setattr(Intake, "look", nothing)


@bug
def silence_not_told(patch: Patch) -> None:
    patch.setattr(Engine, "_judge_far", nothing)


def first_violation(profile: Profile, hours: float, seed_count: int) -> tuple[int, str] | None:
    for seed in range(1, seed_count + 1):
        result = simulate(seed, Options(profile=profile, hours=hours))
        if result.violations:
            return seed, result.violations[0]
    return None


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in FAST else pytest.mark.soak, id=name)
        for name in sorted(BUGS)
    ],
)
def test_a_planted_bug_is_caught(name: str, monkeypatch: Patch) -> None:
    """Within a few seeds some promise is broken."""
    BUGS[name](monkeypatch)
    found = first_violation(HOSTILE if name in ON_HOSTILE else DENSE, 0.5, SEED_COUNT)
    assert found is not None, f"{SEED_COUNT} histories with {name} looked well"
    print(name, *found)


@pytest.mark.soak
@pytest.mark.parametrize("profile", [DENSE, HOSTILE], ids=lambda profile: profile.name)
def test_without_a_bug_the_same_histories_hold(profile: Profile) -> None:
    """Else the checks above would prove nothing."""
    assert first_violation(profile, 0.5, SEED_COUNT) is None
