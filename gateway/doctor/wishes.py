"""What the configuration says that a radio of ours shall be set to."""

from __future__ import annotations

from gateway.config.settings import MeshtasticLinkSettings
from gateway.links.meshtastic.setup_plan import Wanted


def wanted_of(link: MeshtasticLinkSettings, channel_key: bytes | None = None) -> Wanted:
    """The settings of a link; the key is in a file of its own, which the caller reads."""
    return Wanted(
        region=link.region,
        preset=link.preset,
        role=link.role,
        hop_limit=link.hop_limit,
        channel_name=link.channel,
        channel_key=channel_key,
        long_name=link.long_name,
        short_name=link.short_name,
    )
