"""One driver a medium; the supervisor runs a fresh one when it fails."""
