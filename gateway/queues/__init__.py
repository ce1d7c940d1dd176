"""One adapter a queue: programs hand notices in and take notices out."""
