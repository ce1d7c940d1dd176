"""Ages over power cuts: by the wall clock where both boots trusted it, else a lower bound."""

from __future__ import annotations

from gateway.core.boots import BOOT_COUNT_MAX, Boots
from gateway.core.records import Direction, PutBoot, StoredAct
from gateway.model import ActId, Epoch, Instant, Now, Serial, Station, UtcTime

SECOND = 1_000
YEAR_S = 31_536_000
ID = ActId(Station(1), Epoch(7), Serial(1))


def act(boot_id: str, born: int, *, age_known: bool = True, utc: int | None = None) -> StoredAct:
    return StoredAct(
        id=ID,
        to=Station(2),
        direction=Direction.OUT,
        octets=b"",
        signature=None,
        boot_id=boot_id,
        born=Instant(born),
        age_known=age_known,
        utc=None if utc is None else UtcTime(utc),
    )


def now(instant: int, utc: int | None) -> Now:
    return Now(Instant(instant), None if utc is None else UtcTime(utc))


class Station1:
    """Its boots one after the other, as the store keeps them."""

    def __init__(self) -> None:
        self.kept: dict[str, PutBoot] = {}

    def start(self, boot_id: str, at: Now) -> Boots:
        boots = Boots()
        boots.start(tuple(self.kept.values()), boot_id, at)
        return self.keep(boots)

    def keep(self, boots: Boots) -> Boots:
        self.kept[boots.current.boot_id] = boots.current
        return boots


def test_in_one_boot_the_boot_clock_is_the_truth() -> None:
    """A restart of the gateway changes no age, known or not."""
    station = Station1()
    station.start("a", now(8_000, None))
    again = station.start("a", now(99_000, 5_000))
    assert again.born(act("a", 9_000), now(99_000, 5_000)) == (9_000, True)
    assert again.born(act("a", 9_000, age_known=False), now(99_000, 5_000)) == (9_000, False)


def test_a_clock_that_came_after_the_act_bounds_it() -> None:
    """Made without a clock, which came later in the same boot: a power cut costs no age."""
    station = Station1()
    boots = station.start("a", now(8_000, None))
    boots.look(now(60_000, 10_060))  # zero at 10 000 s
    station.keep(boots)
    after = station.start("b", now(8_000, 20_008))  # zero at 20 000 s
    born, age_known = after.born(act("a", 9_000), now(8_000, 20_008))
    assert (born, age_known) == (9_000 - 10_000 * SECOND, True)


def test_a_clock_wrong_by_a_year_changes_no_age() -> None:
    """Set right within a boot: what was measured with it is compared with nothing else."""
    station = Station1()
    boots = station.start("a", now(8_000, YEAR_S + 8))
    made = act("a", 10_000, utc=YEAR_S + 10)
    boots.look(now(20_000, 20))  # set right: zero at 0 s
    station.keep(boots)
    after = station.start("b", now(8_000, 108))  # zero at 100 s
    assert after.born(made, now(8_000, 108)) == (10_000 - 100 * SECOND, True)
    boots = after
    boots.look(now(50_000, YEAR_S))
    station.keep(boots)
    last = station.start("c", now(8_000, YEAR_S + 100))
    zero_b, zero_c = (YEAR_S - 50) * SECOND, (YEAR_S + 92) * SECOND
    wanted = 10_000 - 100 * SECOND + zero_b - zero_c
    assert last.born(made, now(8_000, YEAR_S + 100)) == (wanted, True)


def test_without_a_clock_the_age_is_counted_from_the_next_boot_not_from_each_start() -> None:
    """A lower bound that grows: a gateway that crashes often still sees its limits pass."""
    station = Station1()
    station.start("a", now(8_000, None))
    station.start("b", now(8_000, None))
    crashed = station.start("b", now(500_000, None))
    assert crashed.born(act("a", 9_000), now(500_000, None)) == (8_000, False)


def test_a_boot_without_a_clock_between_two_with_one_is_passed_over() -> None:
    """The wall clocks on both sides of it bound the whole time."""
    station = Station1()
    station.start("a", now(8_000, 1_008))
    station.start("b", now(8_000, None))
    boots = station.start("c", now(8_000, None))
    assert boots.born(act("a", 9_000), now(8_000, None)) == (8_000, False)
    later = boots.look(now(60_000, 4_060))
    assert later == {ID: (9_000 - 3_000 * SECOND, True)}
    assert boots.look(now(70_000, 4_070)) == {}, "told once"


def test_a_wall_clock_that_went_back_makes_nothing_younger_than_the_boot() -> None:
    """It was made before this boot began, whatever the clock says."""
    station = Station1()
    station.start("a", now(8_000, YEAR_S))
    boots = station.start("b", now(8_000, 100))
    assert boots.born(act("a", 9_000), now(8_000, 100)) == (8_000, True)


def test_acts_of_boots_that_are_forgotten_go_by_their_own_clock() -> None:
    """Also those of a database of schema 1."""
    station = Station1()
    boots = Boots()
    for number in range(BOOT_COUNT_MAX + 2):
        boots = station.start(f"boot {number}", now(8_000, 1_000 * number))
    at = now(8_000, 90_000)
    assert boots.born(act("boot 0", 9_000, utc=89_000), at) == (8_000 - 1_000 * SECOND, True)
    assert boots.born(act("boot 0", 9_000), at) == (8_000, False)
