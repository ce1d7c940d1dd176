-- Schema 1. Page size 1024 and WAL are set before this runs. Few trees are touched by a commit on
-- purpose: each dirty page costs 1 KiB of a card's life (see DESIGN, store).
-- An act id is one integer: originator << 32 | epoch << 16 | serial.
-- `check` columns are the first 8 octets of a SHA-256 over the other columns that they guard.

CREATE TABLE act (
    number INTEGER PRIMARY KEY,         -- order in which we came to know it
    id INTEGER NOT NULL UNIQUE,
    -- The signed act; null while only its delivery is known.
    addressee INTEGER,
    direction INTEGER,                  -- 0 in, 1 out
    octets BLOB,
    signature BLOB,
    boot_id TEXT,
    born INTEGER,
    age_known INTEGER,
    utc INTEGER,
    act_check BLOB,
    receipted BLOB,                     -- null, or a check of the id: a stray bit cannot receipt
    -- The delivery; null for answers and voids.
    delivery_direction INTEGER,
    state TEXT,
    flags INTEGER,                      -- 1 overdue, 2 late, 4 displayed
    taken INTEGER NOT NULL DEFAULT 0,
    answers BLOB,                       -- 5 octets an id
    delivery_open INTEGER,
    delivery_check BLOB,
    notice_offset INTEGER               -- of its newest publication as a notice
) STRICT;

CREATE INDEX act_open ON act (number)
    WHERE delivery_open = 1 OR (direction = 1 AND receipted IS NULL);
CREATE INDEX act_listed ON act (delivery_direction, number) WHERE delivery_direction IS NOT NULL;
CREATE INDEX act_untaken ON act (notice_offset) WHERE notice_offset IS NOT NULL AND taken = 0;

CREATE TABLE state_entry (
    notice_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    utc INTEGER,
    link TEXT,
    evidence TEXT NOT NULL,
    row_check BLOB NOT NULL,
    PRIMARY KEY (notice_id, number)
) STRICT, WITHOUT ROWID;

-- Only ever read as a whole, newest first: no index. The newest row of an id counts.
CREATE TABLE seen (
    number INTEGER PRIMARY KEY,
    id INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    row_check BLOB NOT NULL
) STRICT;

CREATE TABLE submission (
    number INTEGER PRIMARY KEY,
    principal TEXT NOT NULL,
    request_id TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    act_id INTEGER NOT NULL,
    row_check BLOB NOT NULL
) STRICT;

CREATE TABLE epoch (
    number INTEGER PRIMARY KEY,
    peer INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    row_check BLOB NOT NULL
) STRICT;

CREATE TABLE peer (
    peer INTEGER PRIMARY KEY,
    incarnation BLOB,
    previous TEXT NOT NULL,             -- epoch:serial, separated by spaces
    row_check BLOB NOT NULL
) STRICT;

CREATE TABLE publication (
    offset INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    notice_id INTEGER NOT NULL,
    precedence INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    document BLOB NOT NULL,             -- raw deflate, with the words of `documents.py`
    row_check BLOB NOT NULL
) STRICT;

CREATE TABLE queue_cursor (
    queue TEXT PRIMARY KEY,
    offset INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE log_entry (
    number INTEGER PRIMARY KEY,
    octets BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;

CREATE TABLE airtime (
    number INTEGER PRIMARY KEY,
    link TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    minute INTEGER NOT NULL,
    spent_ms INTEGER NOT NULL,
    UNIQUE (link, boot_id, minute)
) STRICT;

-- Rows that failed their check, kept for people: the columns as text.
CREATE TABLE set_aside (
    number INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    content TEXT NOT NULL
) STRICT;

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
