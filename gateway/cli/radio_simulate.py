"""`hotline radio simulate`: simulated Meshtastic radios for any client."""

from __future__ import annotations

import asyncio
import secrets
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.number_type import FiniteRange, IntegerRange
from gateway.cli.options import Common, plain_options
from gateway.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from gateway.sim.radio.fleet import FleetOptions, FleetRadio


@click.command("simulate")
@click.option("--count", type=IntegerRange(1, 8), default=2, show_default=True, help="Radios.")
@click.option("--preset", default="LONG_FAST", show_default=True, help="Modem preset of all.")
@click.option("--region", default="EU_868", show_default=True, help="Sets the duty cycle.")
@click.option(
    "--loss",
    type=FiniteRange(0, 0.9),
    default=0.0,
    show_default=True,
    help="Share of receptions lost.",
)
@click.option("--relay", is_flag=True, help="One more radio between them: they hear only that.")
@click.option("--tcp", is_flag=True, help="On ports of loopback instead of ptys.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="For the ptys.  [default: a new one]"
)
@click.option("--seed", type=int, help="Of losses and contention.  [default: a new one]")
@plain_options
def simulate(
    common: Common,
    count: int,
    preset: str,
    region: str,
    loss: float,
    relay: bool,
    tcp: bool,
    folder: Path | None,
    seed: int | None,
) -> None:
    """Run simulated radios on one air until Ctrl-C, for any Meshtastic client.

    \b
    meshtastic --port PATH --info            on a pty
    meshtastic --host 127.0.0.1:PORT --info  with --tcp
    """  # noqa: D301 (click reads the backspace)
    from gateway.sim.radio.fleet import FleetOptions
    from gateway.sim.radio.modem import PRESETS

    preset = preset.upper().replace("-", "_")
    region = region.upper().replace("-", "_")
    if preset not in PRESETS:
        raise CommandError(
            ExitCode.USAGE, f"preset {preset!r} is unknown; use {', '.join(PRESETS)}"
        )
    _check_region(region)
    if folder is not None and not folder.is_dir():
        raise CommandError(ExitCode.NOT_FOUND, f"{folder} is no folder; make it first")
    options = FleetOptions(
        count=count,
        preset=preset,
        region=region,
        loss=loss,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        relay=relay,
        tcp=tcp,
    )
    if tcp:
        asyncio.run(_run(common, options, Path()))
        return
    if folder is not None:
        try:
            # Whole paths, which `--port` and the configuration take.
            asyncio.run(_run(common, options, folder.absolute()))
        except OSError as error:
            raise CommandError(
                ExitCode.FORBIDDEN,
                f"{folder} takes no ports ({error.strerror or error}); name a folder that you may "
                "write in",
            ) from error
        return
    with tempfile.TemporaryDirectory(prefix="hotline-radio-") as made:
        asyncio.run(_run(common, options, Path(made)))


def _check_region(region: str) -> None:
    from gateway.sim.radio.messages import config_pb2

    regions = config_pb2.Config.LoRaConfig.RegionCode.keys()
    if region not in regions:
        raise CommandError(
            ExitCode.USAGE, f"region {region!r} is unknown; use {', '.join(regions)}"
        )


async def _run(common: Common, options: FleetOptions, folder: Path) -> None:
    from gateway.sim.radio.fleet import open_fleet

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with open_fleet(options, folder) as radios:
        _show(common, options, radios)
        await stopped.wait()


def _show(common: Common, options: FleetOptions, radios: list[FleetRadio]) -> None:
    import dataclasses
    import sys

    if common.json:
        document = dataclasses.asdict(options)
        print_json({**document, "radios": [dataclasses.asdict(radio) for radio in radios]})
    else:
        rows = [(radio.name, radio.node, radio.address) for radio in radios]
        print_table(("RADIO", "NODE", "HOST" if options.tcp else "PORT"), rows, empty="No radio.")
        say(f"{options.preset}, {options.region}, seed {options.seed}. Ctrl-C ends it.")
    sys.stdout.flush()
