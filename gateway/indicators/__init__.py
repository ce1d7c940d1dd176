"""Lamps, buzzer and button: what they mean is pure; who drives them is chosen by name."""
