"""From the configuration to the drivers of links. Only the drivers that are used are imported."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import assert_never

from gateway.config.settings import LinkSettings, MeshtasticLinkSettings, SerialLinkSettings
from gateway.links.base import LinkDriver
from gateway.links.ladder import Rung
from gateway.links.usb import reauthorise
from gateway.model import LinkName


def served(
    link: LinkSettings, rng: Random
) -> tuple[Callable[[], LinkDriver], Mapping[Rung, Callable[[], Awaitable[None]]]]:
    """How a link's drivers are made, and what can be done for a device that does not answer.

    Only the drivers that the configuration names are imported: `meshtastic` costs 16 MB.
    """
    name = LinkName(link.name)
    match link:
        case SerialLinkSettings():
            from gateway.links.serial import SerialDriver

            remedies = {Rung.REAUTHORISE: lambda: reauthorise(link.port)}
            return lambda: SerialDriver(name, link.port, link.bit_rate), remedies
        case MeshtasticLinkSettings():
            from gateway.links.meshtastic.identity import ExpectedRadio
            from gateway.links.meshtastic.radio import MeshtasticRadio

            expected = ExpectedRadio(
                None if link.own_node is None else int(link.own_node[1:], 16),
                None if link.own_key is None else b64decode(link.own_key),
            )
            far_node = int(link.node[1:], 16)
            radio = MeshtasticRadio(name, link.port, far_node, expected=expected, rng=rng)
            return radio.make_driver, radio.remedies
        case _:
            assert_never(link)
