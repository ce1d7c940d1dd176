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
        """Milliseconds on air of a payload of `size` octets (16 header + 8 Data + 12 PKC octets)."""
        return self.of_packet(size + 36)

    def of_packet(self, size: int) -> float:
        """Milliseconds on air of a raw LoRa packet of `size` octets, CRC on, explicit header."""
        symbol_ms = 2**self.spreading_factor / self.bandwidth_khz
        low_rate = 2 if symbol_ms > 16 else 0
        bits = 8 * size - 4 * self.spreading_factor + 28 + 16
        blocks = math.ceil(max(bits, 0) / (4 * (self.spreading_factor - low_rate)))
        return (self.preamble_count + 4.25 + 8 + blocks * self.coding_rate) * symbol_ms


Airtime = SerialAirtime | LoraAirtime
