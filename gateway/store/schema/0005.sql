-- Schema 5: checksums of the rows that had none; what a removed act leaves behind of its epoch.
-- The function row_check is `rows.check`. A row of an epoch that does not match stays as it is.
ALTER TABLE epoch ADD COLUMN highest INTEGER NOT NULL DEFAULT 0;  -- serial of a removed own act
UPDATE epoch SET row_check = row_check(peer, epoch, highest)
    WHERE row_check = row_check(peer, epoch);

CREATE TABLE old_cursor AS SELECT queue, offset FROM queue_cursor ORDER BY queue;
DROP TABLE queue_cursor;
CREATE TABLE queue_cursor (
    number INTEGER PRIMARY KEY,
    queue TEXT NOT NULL UNIQUE,
    offset INTEGER NOT NULL,
    row_check BLOB NOT NULL
) STRICT;
INSERT INTO queue_cursor (queue, offset, row_check)
    SELECT queue, offset, row_check(queue, offset) FROM old_cursor;
DROP TABLE old_cursor;

CREATE TABLE old_airtime AS
    SELECT number, link, boot_id, minute, spent_ms FROM airtime ORDER BY number;
DROP TABLE airtime;
CREATE TABLE airtime (
    number INTEGER PRIMARY KEY,
    link TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    minute INTEGER NOT NULL,
    spent_ms INTEGER NOT NULL,
    row_check BLOB NOT NULL,
    UNIQUE (link, boot_id, minute)
) STRICT;
INSERT INTO airtime (number, link, boot_id, minute, spent_ms, row_check)
    SELECT number, link, boot_id, minute, spent_ms, row_check(link, boot_id, minute, spent_ms)
    FROM old_airtime;
DROP TABLE old_airtime;

CREATE TABLE old_meta AS SELECT name, value FROM meta ORDER BY name;
DROP TABLE meta;
CREATE TABLE meta (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    value INTEGER NOT NULL,
    row_check BLOB NOT NULL
) STRICT;
INSERT INTO meta (name, value, row_check) SELECT name, value, row_check(name, value) FROM old_meta;
DROP TABLE old_meta;
