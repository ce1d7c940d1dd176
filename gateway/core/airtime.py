"""Time on air of a frame: what a link's medium costs. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SerialAirtime:
    """A serial line: start, eight data and stop bit an octet, full duplex unless said."""

    bit_rate: int
    half_duplex: bool = False

    def of(self, size: int) -> float:
        """Milliseconds that a frame of `size` octets takes, COBS and delimiters included."""
        return (size + 2 + size // 254) * 10_000 / self.bit_rate


@dataclass(frozen=True, slots=True)
class LoraAirtime:
    """A Meshtastic radio's modem setting (Semtech AN1200.13), header and Data envelope included."""

    spreading_factor: int
    bandwidth_khz: float
    coding_rate: int
    """4/`coding_rate`: 5 to 8."""
    preamble_count: int = 16
    half_duplex: bool = True

    def of(self, size: int) -> float:
        """Milliseconds on air of a payload of `size` octets (16 header, 8 Data, 12 PKC octets)."""
        return self.of_packet(size + 36)

    def of_packet(self, size: int) -> float:
        """Milliseconds on air of a raw LoRa packet of `size` octets, CRC on, explicit header.

        The firmware's own arithmetic, which its timers and duty counter use: it rounds up to coded
        symbols, where AN1200.13 rounds up to whole blocks. So the figure is the radio's, and below
        the datasheet's by up to `coding_rate` - 1 symbols (33 ms at SF11, 250 kHz, 4/5).
        """
        bits = max(8 * size - 4 * self.spreading_factor + 28 + 16, 0)
        low_rate = 2 if self.symbol_ms > 16 else 0
        coded = math.ceil(bits * self.coding_rate / (4 * (self.spreading_factor - low_rate)))
        return (self.preamble_count + 4.25 + 8 + coded) * self.symbol_ms

    @property
    def symbol_ms(self) -> float:
        return (1 << self.spreading_factor) / self.bandwidth_khz


Airtime = SerialAirtime | LoraAirtime
