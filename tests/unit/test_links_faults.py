"""What is wrong with a device, as its drivers fail one after another."""

from __future__ import annotations

import pytest

from gateway.errors import DeviceSilentError, LinkClosedError, LinkLostError
from gateway.links.faults import CLOSED_WITHIN_S, DeviceFaults

FROZEN = "the radio at /dev/ttyACM0 does not answer; it is frozen"
UNKNOWN = "no Meshtastic radio answered at /dev/ttyACM0 in 15 s; check the port and the radio"
PORT = "tcp://radio:4403"


def test_a_frozen_radio_keeps_its_name_until_it_answers_or_goes_away() -> None:
    """Opened again it looks like a port without a radio, and a minute ago it was one."""
    faults = DeviceFaults()
    assert faults.of(DeviceSilentError(UNKNOWN), 0.0, was_up=False) == UNKNOWN
    faults.served()
    assert faults.of(DeviceSilentError(FROZEN), 100.0, was_up=True) == FROZEN
    told = [faults.of(DeviceSilentError(UNKNOWN), at, was_up=False) for at in (115.0, 280.0)]
    assert told == [
        f"{FROZEN}, opened once in 15 s in vain",
        f"{FROZEN}, opened 2 times in 3 min in vain",
    ]
    later = {faults.of(DeviceSilentError(UNKNOWN), 300.0, was_up=False) for _ in range(3, 1000)}
    assert len(later) == 9, "3, and each doubling from 4 to 512: each is an entry of the log book"
    gone = "/dev/ttyACM0 is not there"
    assert faults.of(LinkLostError(gone), 300.0, was_up=False) == gone
    assert faults.of(DeviceSilentError(UNKNOWN), 320.0, was_up=False) == UNKNOWN
    faults.of(DeviceSilentError(FROZEN), 400.0, was_up=True)
    faults.served()
    assert faults.of(LinkLostError("restarted"), 410.0, was_up=True) == "restarted"


@pytest.mark.parametrize(("wait_s", "is_again"), [(60.0, True), (CLOSED_WITHIN_S + 1, False)])
def test_a_connection_that_is_closed_again_is_used_by_another(
    wait_s: float, is_again: bool
) -> None:
    """One closing has many causes; a second within 15 min has one."""
    faults = DeviceFaults()
    first = f"{PORT} closed the connection; if it does so again, another program uses it"
    assert faults.of(LinkClosedError(PORT), 0.0, was_up=True) == first
    faults.served()
    second = (
        f"{PORT} closed the connection 2 times in 1 min: another program uses it; end that program"
    )
    told = faults.of(LinkClosedError(PORT), wait_s, was_up=True)
    assert told == (second if is_again else first)
