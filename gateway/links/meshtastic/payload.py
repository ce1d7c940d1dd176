"""How many octets of ours fit one packet of a radio, case by case. Pure arithmetic.

A LoRa frame has 255 octets. The firmware puts its header before the `Data` message, PKC a nonce and
a tag behind it; of `Data` each field costs its own octets (measured on firmware 2.7.26).
"""

from __future__ import annotations

from typing import Final

LORA_FRAME_SIZE: Final = 255
_HEADER_SIZE: Final = 16
_PORTNUM_SIZE: Final = 3
"""256 and up are two octets behind their tag."""
_PAYLOAD_LABEL_SIZE: Final = 3
"""Its tag and its length, which has two octets from 128 up."""
_BITFIELD_SIZE: Final = 2
"""Every firmware since 2.5 adds it to what a client sends."""
_PKC_SIZE: Final = 12
_REPLY_ID_SIZE: Final = 5
_WANT_RESPONSE_SIZE: Final = 2
_SIGNATURE_SIZE: Final = 66
"""Firmware 2.8 signs what goes to everyone."""


def payload_size_max(
    *,
    is_pkc: bool,
    has_reply_id: bool = False,
    wants_response: bool = False,
    is_signed: bool = False,
) -> int:
    """Octets of a PRIVATE_APP payload. Our frames have at most 200 (`FRAME_SIZE_MAX_RADIO`).

    200 is right in every case that the driver makes: a direct message with PKC takes 219, under the
    channel's key 231. It sends no broadcast (signed: 165), no reply id, and asks for no response.
    What is left serves a field that later firmware may add; longer notices gain nothing, since
    a full one with 60 octets of text fits 200 and a longer one is fragmented in any case.
    """
    return (
        LORA_FRAME_SIZE
        - _HEADER_SIZE
        - _PORTNUM_SIZE
        - _PAYLOAD_LABEL_SIZE
        - _BITFIELD_SIZE
        - is_pkc * _PKC_SIZE
        - has_reply_id * _REPLY_ID_SIZE
        - wants_response * _WANT_RESPONSE_SIZE
        - is_signed * _SIGNATURE_SIZE
    )
