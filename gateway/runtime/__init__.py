"""The shell's middle: clock, event loop, daemon. Reads events, steps the engine, performs."""
