"""The second gateway of a station: its copy of the store, and the claim by which one is active."""
