"""A radio's modem setting and what the firmware (2.7) derives from it: airtimes, slots, timers.

The arithmetic is that of the firmware's RadioInterface: measured retransmission timers of 7054 and
7070 ms (LONG_FAST, 14 and 15 octets of payload) follow from it exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.airtime import LoraAirtime

CONTENTION_MIN: Final = 3
CONTENTION_MAX: Final = 8
PROCESSING_MS: Final = 4500
SNR_MIN: Final = -20
SNR_MAX: Final = 10
HEADER_SIZE: Final = 16

PRESETS: Final[dict[str, LoraAirtime]] = {
    "LONG_FAST": LoraAirtime(11, 250, 5),
    "LONG_MODERATE": LoraAirtime(11, 125, 8),
    "LONG_SLOW": LoraAirtime(12, 125, 8),
    "LONG_TURBO": LoraAirtime(11, 500, 8),
    "MEDIUM_SLOW": LoraAirtime(10, 250, 5),
    "MEDIUM_FAST": LoraAirtime(9, 250, 5),
    "SHORT_SLOW": LoraAirtime(8, 250, 5),
    "SHORT_FAST": LoraAirtime(7, 250, 5),
    "SHORT_TURBO": LoraAirtime(7, 500, 5),
    "VERY_LONG_SLOW": LoraAirtime(12, 62.5, 8),
    "LITE_FAST": LoraAirtime(9, 125, 5),
    "LITE_SLOW": LoraAirtime(10, 125, 5),
    "NARROW_FAST": LoraAirtime(7, 62.5, 6),
    "NARROW_SLOW": LoraAirtime(8, 62.5, 6),
}
"""All that the definitions know; a test holds them against what the driver takes them for."""
DUTY_PERCENT: Final[dict[str, float]] = {
    "EU_433": 10,
    "EU_868": 10,
    "EU_866": 2.5,
    "EU_N_868": 10,
    "UA_433": 10,
    "UA_868": 1,
}
"""Regions with a duty cycle; the others may always send."""
REGION_UNSET: Final = "UNSET"


def contention_size(value: float, low: float, high: float) -> int:
    """Exponent of the contention window: `value` mapped from low..high to 3..8, in integers."""
    span = CONTENTION_MAX - CONTENTION_MIN
    size = int((int(value) - low) * span / (high - low)) + CONTENTION_MIN
    return min(max(size, CONTENTION_MIN), CONTENTION_MAX)


@dataclass(frozen=True, slots=True)
class Modem:
    preset: str
    region: str

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset {self.preset}: use one of {', '.join(PRESETS)}")

    @property
    def airtime(self) -> LoraAirtime:
        return PRESETS[self.preset]

    @property
    def duty_percent(self) -> float:
        return DUTY_PERCENT.get(self.region, 100)

    @property
    def slot_ms(self) -> int:
        """Time to see that someone sends: 2.5 symbols and 7.6 ms of propagation and turn-round."""
        return int(2.5 * self.airtime.symbol_ms + 7.6)

    def packet_ms(self, size: int) -> int:
        """Time on air of a raw packet, whole ms as the firmware counts."""
        return int(self.airtime.of_packet(size))

    def retransmission_ms(self, data_size: int, channel_percent: float) -> int:
        """How long a radio waits for an ack of a packet with `data_size` octets of Data."""
        window = 1 << contention_size(channel_percent, 0, 100)
        middle = 1 << (CONTENTION_MAX + CONTENTION_MIN) // 2
        slots = window + 2 * CONTENTION_MAX + middle
        return 2 * self.packet_ms(data_size + HEADER_SIZE) + slots * self.slot_ms + PROCESSING_MS


class AirtimeLog:
    """The firmware's counters in RAM: transmit time by minute of the hour since boot, and the use
    of the channel in the last minute by periods of 10 s.
    """

    def __init__(self, boot_ms: int) -> None:
        self._boot_ms = boot_ms
        self._minutes = [0] * 60
        self._minute = 0
        self._periods = [0] * 6
        self._period = 0

    def _rotate(self, now_ms: int) -> None:
        elapsed = max(now_ms - self._boot_ms, 0)
        self._minute = self._clear(self._minutes, self._minute, elapsed // 60_000)
        self._period = self._clear(self._periods, self._period, elapsed // 10_000)

    @staticmethod
    def _clear(bins: list[int], last: int, now: int) -> int:
        for index in range(max(last + 1, now - len(bins) + 1), now + 1):
            bins[index % len(bins)] = 0
        return max(now, last)

    def add(self, now_ms: int, airtime_ms: int, *, is_own: bool) -> None:
        self._rotate(now_ms)
        self._periods[self._period % 6] += airtime_ms
        if is_own:
            self._minutes[self._minute % 60] += airtime_ms

    def transmit_percent(self, now_ms: int) -> float:
        """Own transmit time in the last 60 minutes, percent of an hour."""
        self._rotate(now_ms)
        return sum(self._minutes) / 36_000

    def channel_percent(self, now_ms: int) -> float:
        self._rotate(now_ms)
        return sum(self._periods) / 600

    def silent_minutes(self, now_ms: int, duty_percent: float) -> int:
        """What the client is told; the firmware counts the bins from 59 down, wherever it is."""
        percent = self.transmit_percent(now_ms)
        for index in range(59, -1, -1):
            percent -= self._minutes[index] / 36_000
            if percent < duty_percent:
                return 59 - index
        return 60
