"""Meshtastic radios: framing, the conversation (sans-I/O) and the driver that gives it a port."""
