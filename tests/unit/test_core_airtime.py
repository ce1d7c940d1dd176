"""Time on air against the figures measured on real firmware (LONG_FAST: SF11, 250 kHz, 4/5)."""

from __future__ import annotations

import pytest

from gateway.core.airtime import LoraAirtime, SerialAirtime

LONG_FAST = LoraAirtime(spreading_factor=11, bandwidth_khz=250, coding_rate=5)


@pytest.mark.parametrize(
    ("size", "measured_ms"),
    [(29, 452), (47, 583), (49, 600), (50, 608), (73, 780), (85, 870), (93, 927), (255, 2131)],
)
def test_raw_packets_take_what_the_firmware_logs(size: int, measured_ms: int) -> None:
    """The radio's own "Packet TX" and "Packet RX" lines, truncated to whole milliseconds."""
    assert int(LONG_FAST.of_packet(size)) == measured_ms


def test_a_payload_is_charged_with_header_envelope_and_key_exchange_octets() -> None:
    """219 octets are the largest direct message: with 36 octets around them they fill 255."""
    assert LONG_FAST.of(219) == LONG_FAST.of_packet(255)


def test_slow_symbols_switch_the_low_data_rate_optimisation_on() -> None:
    """Above 16 ms a symbol, two bits less of each carry data (SF12 at 125 kHz: 32.768 ms)."""
    slow = LoraAirtime(spreading_factor=12, bandwidth_khz=125, coding_rate=8)
    assert slow.symbol_ms == pytest.approx(32.768)
    # ceil((8*29 - 48 + 44) * 8 / (4 * 10)) = 46 coded symbols after 16 + 4.25 + 8
    assert slow.of_packet(29) == pytest.approx((28.25 + 46) * 32.768)


def test_a_serial_line_takes_ten_bits_an_octet() -> None:
    """100 octets with COBS overhead and delimiter at 9600 bit/s."""
    assert SerialAirtime(9600).of(100) == pytest.approx(106.25)
