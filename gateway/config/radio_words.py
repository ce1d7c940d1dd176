"""Meshtastic's words for regions and presets, as the configuration takes them.

Written out, so that reading a configuration imports no protobuf; a test holds them against the
definitions.
"""

from __future__ import annotations

from typing import Literal

RegionWord = Literal[
    "US",
    "EU_433",
    "EU_868",
    "CN",
    "JP",
    "ANZ",
    "KR",
    "TW",
    "RU",
    "IN",
    "NZ_865",
    "TH",
    "LORA_24",
    "UA_433",
    "UA_868",
    "MY_433",
    "MY_919",
    "SG_923",
    "PH_433",
    "PH_868",
    "PH_915",
    "ANZ_433",
    "KZ_433",
    "KZ_863",
    "NP_865",
    "BR_902",
    "ITU1_2M",
    "ITU2_2M",
    "EU_866",
    "EU_874",
    "EU_917",
    "EU_N_868",
    "ITU3_2M",
]
PresetWord = Literal[
    "LONG_FAST",
    "LONG_SLOW",
    "VERY_LONG_SLOW",
    "MEDIUM_SLOW",
    "MEDIUM_FAST",
    "SHORT_SLOW",
    "SHORT_FAST",
    "LONG_MODERATE",
    "SHORT_TURBO",
    "LONG_TURBO",
    "LITE_FAST",
    "LITE_SLOW",
    "NARROW_FAST",
    "NARROW_SLOW",
]
