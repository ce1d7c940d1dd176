"""A simulated Meshtastic radio: sans-I/O (`device`), and on a pty in real time (`port`)."""

from gateway.sim.radio.device import SimulatedRadio
from gateway.sim.radio.port import RadioPort

__all__ = ["RadioPort", "SimulatedRadio"]
