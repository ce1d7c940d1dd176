"""A simulated Meshtastic radio: sans-I/O (`device`), in real time on a pty (`port`) or `tcp`."""

from gateway.sim.radio.device import SimulatedRadio
from gateway.sim.radio.port import RadioPort
from gateway.sim.radio.tcp import RadioServer

__all__ = ["RadioPort", "RadioServer", "SimulatedRadio"]
