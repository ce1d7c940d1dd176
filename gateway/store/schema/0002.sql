-- Schema 2: what the wall clock showed in each boot, so that ages outlive a power cut.
CREATE TABLE boot (
    number INTEGER PRIMARY KEY,         -- order in which they began
    boot_id TEXT NOT NULL UNIQUE,
    began INTEGER NOT NULL,
    zero_first_ms INTEGER,              -- UTC at instant 0; null: its wall clock was never trusted
    zero_last_ms INTEGER,
    row_check BLOB NOT NULL
) STRICT;
