"""`hotline bench`: two gateways on this machine, joined by a simulated cable and radios."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.number_type import FiniteRange, IntegerRange
from gateway.cli.options import Common, plain_options
from gateway.cli.output import is_terminal, print_json, print_table, say, warn

if TYPE_CHECKING:
    from gateway.sim.bench.bench import Bench, BenchOptions
    from gateway.sim.bench.record import BenchRecord, NoticeRecord
    from gateway.sim.bench.scenario import Scenario


@click.command("bench")
@click.option(
    "--scenario",
    "scenario_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML: what is sent when, what fails when.  [default: the one that ships with us]",
)
@click.option("--seed", type=int, help="Of losses and radio contention.  [default: a new one]")
@click.option("--loss", type=FiniteRange(0, 0.9), help="Share of frames lost, each way.")
@click.option("--baud", type=IntegerRange(300, 1_000_000), help="Bit rate of the cable.")
@click.option("--preset", help="Modem preset of the radios, such as SHORT_FAST or LONG_FAST.")
@click.option("--mqtt", "mqtt_url", metavar="URL", help="Submit through this MQTT broker.")
@click.option("--keep", is_flag=True, help="Leave the folder with stores, logs and frames.")
@click.option("--hold", is_flag=True, help="Send nothing; keep the line up until q or Ctrl-C.")
@plain_options
def command(
    common: Common,
    scenario_path: Path | None,
    seed: int | None,
    mqtt_url: str | None,
    keep: bool,
    hold: bool,
    **overrides: Any,  # noqa: ANN401 (loss, baud, preset)
) -> None:
    """Run two whole gateways, send notices, press buttons, cut links, and show what came of it.

    With --hold it sends nothing: use `hotline --config ...` as it prints, or the broker.

    Exit code 1: an expectation of the scenario did not hold. Keys are made for this run and thrown
    away; they never come from the seed.
    """
    from gateway.sim.bench.bench import Bench, BenchOptions
    from gateway.sim.bench.process import BenchError, BrokerAwayError

    options = BenchOptions(
        scenario=_scenario(scenario_path, overrides),
        seed=secrets.randbelow(2**31) if seed is None else seed,
        mqtt_url=mqtt_url,
        keep=keep,
        hold=hold,
    )
    bench = Bench(options)
    try:
        record = asyncio.run(_run(bench, common, options))
    except BrokerAwayError as error:
        raise CommandError(ExitCode.UNREACHABLE, str(error)) from error
    except BenchError as error:
        raise CommandError(ExitCode.FAILED, str(error)) from error
    finally:
        if bench.kept_folder is not None:
            warn(f"stores and logs are in {bench.kept_folder}")
        if bench.kept_frames is not None:
            config, frames = bench.kept_frames
            warn(f"captured frames: hotline frame --config {config} {frames}")
    if not hold:
        _report(record, common, options)
    if record.all_problems():
        click.get_current_context().exit(ExitCode.FAILED)


def _scenario(path: Path | None, overrides: dict[str, Any]) -> Scenario:
    import msgspec

    from gateway.sim.bench.scenario import DEFAULT_PATH, load_scenario

    if path is not None and not path.exists():
        raise CommandError(
            ExitCode.NOT_FOUND, f"{path} does not exist; give the path of a scenario"
        )
    scenario = load_scenario(path or DEFAULT_PATH)
    given = {name: value for name, value in overrides.items() if value is not None}
    if "preset" in given:
        from gateway.sim.radio.modem import PRESETS

        if given["preset"] not in PRESETS:
            raise CommandError(
                ExitCode.USAGE, f"preset {given['preset']!r} is unknown; use {', '.join(PRESETS)}"
            )
    return msgspec.structs.replace(scenario, **given)


async def _run(bench: Bench, common: Common, options: BenchOptions) -> BenchRecord:
    time = asyncio.get_running_loop().time
    started = time()
    with _screen(bench, common) as show:
        bench.say = lambda line: show(f"{time() - started:6.1f} s  {line}")
        bench.say(f"seed {options.seed}")
        return await bench.run()


def _screen(bench: Bench, common: Common) -> AbstractContextManager[Callable[[str], None]]:
    """Live panels on a terminal, plain lines when piped; with --json lines go to stderr."""
    if common.json:
        return nullcontext(warn if sys.stderr.isatty() else _nothing)
    if not is_terminal():
        return nullcontext(say)
    from rich.console import Console

    from gateway.sim.bench.panel import LiveBench

    return LiveBench(Console(markup=False, highlight=False, emoji=False), bench.lamps)


def _nothing(_line: str) -> None:
    return


def _report(record: BenchRecord, common: Common, options: BenchOptions) -> None:
    if common.json:
        print_json(record.document())
        return
    columns = ("NOTICE", "FROM", "KIND", "P", "BY", "RECEIPT", "ROGER", "OCTETS")
    print_table(columns, [_row(notice) for notice in record.notices], empty="Nothing was sent.")
    say(
        f"{len(record.notices)} notices, lost {len(record.lost)}, doubled {len(record.doubled)}; "
        f"{record.elapsed_s:.0f} s, seed {options.seed}. RECEIPT IS NOT CONSENT."
    )
    for problem in record.all_problems():
        say(f"FAILED: {problem}")


def _row(notice: NoticeRecord) -> tuple[str, ...]:
    """One line of the table, short enough for 80 columns; all of it is in the JSON."""
    from gateway.model import Operation
    from gateway.sim.bench.scenario import draft_of

    draft = draft_of(notice.step)
    is_real = draft.operation is Operation.OPERATION
    return (
        notice.step.name,
        notice.step.sender,
        draft.kind.name if is_real else f"{draft.kind.name} {draft.operation.name}",
        draft.precedence.letter,
        "+".join(notice.links) or "-",
        _seconds(notice.receipt_s),
        _seconds(notice.roger_s),
        str(notice.octets),
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
