"""What a technician can read afterwards: the local log."""
