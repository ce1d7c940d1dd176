"""`hotline benchmark`: every budget measured on this machine, beside the peers' figures."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.options import Common, plain_options
from gateway.cli.output import print_json, print_table, say, warn

if TYPE_CHECKING:
    from gateway.sim.benchmark.bed import Options
    from gateway.sim.benchmark.figures import Figure, PeerFigures

PARTS = (
    "footprint",
    "octets",
    "fallback",
    "speed",
    "step",
    "store",
    "hold",
    "writing",
    "stations",
    "idle",
    "radio",
    "delivery",
    "noise",
    "kills",
)


@click.command("benchmark")
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="A part; may be given again.")
@click.option("--quick", is_flag=True, help="Fewer notices and rounds: a first idea in 12 min.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of losses and noise.")
@click.option(
    "--with-peers", is_flag=True, help="Measure LXMF too (pip installs it in a throw-away folder)."
)
@plain_options
def command(
    common: Common, only: tuple[str, ...], quick: bool, seed: int, with_peers: bool
) -> None:
    """Measure every budget on this machine and show it beside the goal and the peers' figure.

    Real gateways as processes on ptys with a bit rate, in real time: about 65 min, 12 with --quick.
    Other work on the machine makes times longer. Exit code 1: a goal was missed.
    """
    from gateway.sim.benchmark.bed import Options
    from gateway.sim.benchmark.figures import load_peers

    options = Options(seed=seed, quick=quick, with_peers=with_peers)
    peers = load_peers()
    load = os.getloadavg()[0]
    try:
        figures, peers_now = asyncio.run(_run(options, only))
    except asyncio.CancelledError as error:
        raise CommandError(
            ExitCode.INTERRUPTED, "stopped; nothing of it runs or is left"
        ) from error
    _report(common, options, figures, peers, peers_now, load)
    if any(figure.is_met is False for figure in figures):
        click.get_current_context().exit(ExitCode.FAILED)


async def _run(options: Options, only: tuple[str, ...]) -> tuple[list[Figure], Mapping[str, str]]:
    from gateway.sim.benchmark.benchmark import run_parts

    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    # Else it would end at once, and leave its gateways running and its folders behind.
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    time = loop.time
    begun_s = time()

    def tell(line: str) -> None:
        warn(f"{time() - begun_s:7.1f} s  {line}")

    async with asyncio.TaskGroup() as group:
        ours = group.create_task(run_parts(options, only, tell))
        peers: asyncio.Task[Mapping[str, str]] | None = None
        if options.with_peers:
            from gateway.sim.benchmark.peers.lxmf import measure_lxmf

            peers = group.create_task(measure_lxmf(options, tell))
    return ours.result(), {} if peers is None else peers.result()


def _report(
    common: Common,
    options: Options,
    figures: list[Figure],
    peers: PeerFigures,
    peers_now: Mapping[str, str],
    load: float,
) -> None:
    if common.json:
        from gateway.sim.benchmark.figures import document

        rows = [
            document(one, peers.texts.get(one.name, ""), peers_now.get(one.name, ""))
            for one in figures
        ]
        machine = {"cores": os.cpu_count(), "machine": platform.machine(), "load": round(load, 2)}
        source = {"date": peers.date, "source": peers.source}
        print_json(
            {
                "figures": rows,
                "quick": options.quick,
                "seed": options.seed,
                "python": sys.version.split()[0],
                "platform": machine,
                "peers": source,
            }
        )
        return
    columns = ["MEASURE", "GOAL", "OURS", "VIRTUAL", "LXMF", "VERDICT"]
    if peers_now:
        columns.insert(5, "LXMF NOW")
    rows_shown = []
    for one in figures:
        cells = [one.measure, one.goal, one.ours, one.virtual, peers.texts.get(one.name, "")]
        if peers_now:
            cells.append(peers_now.get(one.name, ""))
        rows_shown.append([*cells, one.verdict])
    print_table(columns, rows_shown, empty="Nothing was measured.")
    say(f"LXMF: measured {peers.date}: {peers.source}")
    missed = [one.name for one in figures if one.is_met is False]
    how = " (--quick: fewer notices at shorter intervals)" if options.quick else ""
    say(f"{len(figures)} figures, missed: {', '.join(missed) or 'none'}{how}")
    from gateway.sim.benchmark.benchmark import load_text

    say(f"at the start: {load_text(load)}")
