"""`hotline simulate`: drawn histories of faults in virtual time, judged by what must hold."""

from __future__ import annotations

import dataclasses
import secrets
import shlex
from typing import TYPE_CHECKING, Final

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.histories import Order, run_histories
from gateway.cli.number_type import FiniteRange, IntegerRange
from gateway.cli.options import Common, plain_options
from gateway.cli.output import print_json, say, warn

if TYPE_CHECKING:
    from gateway.sim.simulate import Result

HOURS_DEFAULT: Final = 24.0
SEED_COUNT_MAX: Final = 1_000_000
_SHOWN_COUNT: Final = 12


@click.command("simulate")
@click.option("--seed", type=IntegerRange(0), help="One history.  [default: a new one]")
@click.option("--seeds", metavar="A-B", help="All histories from A to B, on every processor.")
@click.option(
    "--hours",
    type=FiniteRange(0.01, 10_000),
    default=HOURS_DEFAULT,
    show_default=True,
    help="Virtual time with faults; the healing comes on top.",
)
@click.option("--loss", type=FiniteRange(0, 0.9), help="Share of frames lost on every link.")
@click.option(
    "--duty-share",
    type=FiniteRange(0.001, 1),
    help="Duty cycle of every radio's region (0.01: 1 %), instead of the profile's.",
)
@click.option(
    "--profile",
    metavar="NAME",
    default="everything",
    show_default=True,
    help="Links and faults; `--profile list` tells all.",
)
@click.option(
    "--only", metavar="PLACES", help="Perform these actions of the plan only (0-3,7), with --seed."
)
@click.option("--plan", "show_plan", is_flag=True, help="Print the plan, and run nothing.")
@click.option("--no-shrink", is_flag=True, help="Do not look for a smaller plan that fails.")
@plain_options
def command(
    common: Common,
    seed: int | None,
    seeds: str | None,
    profile: str,
    hours: float,
    loss: float | None,
    duty_share: float | None,
    only: str | None,
    show_plan: bool,
    no_shrink: bool,
) -> None:
    """Run the real engine, codec and crypto against drawn faults, in virtual time.

    Safety is checked at every step, liveness after the faults stop. The same seed gives the same
    trace in any process. Exit code 1: something did not hold; the command that repeats it is told.
    """
    from gateway.sim.profile import PROFILES

    if profile == "list":
        for known in PROFILES.values():
            say(f"{known.name:<16}{known.about}")
        return
    if profile not in PROFILES:
        names = ", ".join(PROFILES)
        raise click.BadParameter(f"{profile!r} is none of {names}", param_hint="--profile")
    chosen = _seeds(seed, seeds)
    order = Order(profile, hours, loss, duty_share=duty_share)
    if only is not None:
        order = dataclasses.replace(order, only=_places(only, chosen, seed is not None, order))
    if show_plan:
        for one in chosen:
            _print_plan(common, one, order, is_alone=len(chosen) == 1)
        return
    failed = _run(common, chosen, order, shrinks=not no_shrink)
    if len(chosen) > 1:
        warn(f"{len(chosen)} seeds, {failed} with violations")
    if failed:
        raise CommandError(ExitCode.FAILED, f"{failed} of {len(chosen)} histories broke a promise")


def _run(common: Common, chosen: range, order: Order, *, shrinks: bool) -> int:
    """Print each history's outcome in the order of seeds; how many broke a promise."""
    from gateway.cli.progress import progress

    count = failed = 0

    def tell(share: float, hours: str) -> None:
        seeds = f"{count} of {len(chosen)} seeds told, {failed} with violations; "
        bar.tell(share, (seeds if len(chosen) > 1 else "") + hours)

    name = f"seed {chosen[0]}" if len(chosen) == 1 else f"seeds {chosen[0]}-{chosen[-1]}"
    with progress(f"{name}, {order.profile}") as bar:
        for result in run_histories(chosen, order, tell):
            count += 1
            failed += bool(result.violations)
            with bar.aside():
                _report(common, result, order, shrinks=shrinks)
    return failed


def _places(only: str, chosen: range, is_given: bool, order: Order) -> tuple[int, ...]:
    """The places of `--only` in the plan of the one seed. A place is of one plan and no other."""
    from gateway.sim.shrink import parse_ranges
    from gateway.sim.speed import plan_of

    if not is_given:
        raise click.UsageError("--only names places in the plan of one seed; give its --seed")
    plan = plan_of(chosen[0], order.profile, order.hours)
    try:
        return parse_ranges(only, len(plan))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--only") from error


def _seeds(seed: int | None, seeds: str | None) -> range:
    if seed is not None and seeds is not None:
        raise click.UsageError("--seed and --seeds exclude each other")
    if seeds is None:
        first = secrets.randbelow(2**31) if seed is None else seed
        return range(first, first + 1)
    low, dash, high = seeds.partition("-")
    if not (dash and low.isdecimal() and high.isdecimal() and int(low) <= int(high)):
        raise click.BadParameter("give a range such as 1-1000", param_hint="--seeds")
    chosen = range(int(low), int(high) + 1)
    if len(chosen) > SEED_COUNT_MAX:
        raise click.BadParameter(f"at most {SEED_COUNT_MAX} seeds", param_hint="--seeds")
    return chosen


# Telling


def _report(common: Common, result: Result, order: Order, *, shrinks: bool) -> None:
    if common.json:
        print_json(
            {
                "seed": result.seed,
                "profile": result.profile,
                "hours": result.hours,
                "notices": result.notices,
                "frames": result.frames,
                "violations": result.violations,
                "heal_s": result.heal_s,
                "trace": result.trace,
                "speed": result.speed,
            }
        )
    else:
        outcome = f"{len(result.violations)} VIOLATIONS" if result.violations else "holds"
        say(
            f"seed {result.seed}: {outcome}; {result.profile}, {result.hours:.2f} h,"
            f" {result.notices} notices, {result.frames} frames, healed in"
            f" {'never' if result.heal_s is None else f'{result.heal_s:.0f} s'},"
            f" {result.speed or 0:,.0f} x real time, trace {result.trace[:16]}"
        )
    if not result.violations:
        return
    for violation in result.violations[:_SHOWN_COUNT]:
        warn(f"  {violation}")
    warn(f"  repeat it: {_repeat(result.seed, order)}")
    if shrinks:
        _shrink(result, order)


def _repeat(seed: int, order: Order) -> str:
    from gateway.sim.shrink import as_ranges

    words = ["hotline", "simulate", "--seed", str(seed), "--profile", order.profile]
    words += ["--hours", f"{order.hours:g}"]
    if order.loss is not None:
        words += ["--loss", f"{order.loss:g}"]
    if order.duty_share is not None:
        words += ["--duty-share", f"{order.duty_share:g}"]
    if order.only is not None:
        words += ["--only", as_ranges(order.only)]
    return shlex.join(words)


def _shrink(result: Result, order: Order) -> None:
    """Leave actions out while it still fails in the same way, within a budget."""
    from gateway.sim.plan import sentence
    from gateway.sim.shrink import RUN_COUNT_MAX
    from gateway.sim.speed import SHRINK_S_MAX, plan_of, shrink_timed

    plan = plan_of(result.seed, order.profile, order.hours)
    places = tuple(range(len(plan))) if order.only is None else order.only
    warn(f"  looking for a smaller plan: {RUN_COUNT_MAX} runs or {SHRINK_S_MAX:.0f} s at most")
    small = shrink_timed(
        result.seed,
        order.profile,
        order.hours,
        order.loss,
        places,
        result.violations[0],
        lambda progress: warn(f"  {progress}"),
        order.duty_share,
    )
    warn(f"  {len(small)} of {len(places)} actions are enough:")
    for place in small[:_SHOWN_COUNT]:
        warn(f"    {place:>4} {sentence(plan[place])}")
    warn(f"  repeat it: {_repeat(result.seed, dataclasses.replace(order, only=small))}")


def _print_plan(common: Common, seed: int, order: Order, *, is_alone: bool) -> None:
    from gateway.sim.plan import sentence
    from gateway.sim.speed import plan_of

    actions = [
        (place, sentence(action))
        for place, action in enumerate(plan_of(seed, order.profile, order.hours))
        if order.only is None or place in order.only
    ]
    if common.json:
        rows = [{"place": place, "action": told.strip()} for place, told in actions]
        print_json({"seed": seed, "profile": order.profile, "actions": rows})
        return
    if not is_alone:
        say(f"seed {seed}: {len(actions)} actions")
    for place, told in actions:
        say(f"{place:>4} {told}")
