"""All decisions, without I/O: events in, `Step` out."""
