-- Schema 6: fewer pages a commit. A history grows in a tree of rows, which SQLite appends to without
-- sharing out the three last pages anew, and an act leaves each index of open ones only once.
-- Alarms about what has happened outlive a restart.
ALTER TABLE state_entry RENAME TO old_state_entry;
CREATE TABLE state_entry (
    key INTEGER PRIMARY KEY,            -- notice_id << 16 | number
    notice_id INTEGER AS (key >> 16) VIRTUAL,
    number INTEGER AS (key & 65535) VIRTUAL,
    state TEXT NOT NULL,
    utc INTEGER,
    link TEXT,
    evidence TEXT NOT NULL,
    row_check BLOB NOT NULL
) STRICT;
INSERT INTO state_entry (key, state, utc, link, evidence, row_check)
    SELECT notice_id << 16 | number, state, utc, link, evidence, row_check FROM old_state_entry
    WHERE number BETWEEN 1 AND 65535 AND notice_id BETWEEN 0 AND (1 << 40) - 1
    ORDER BY notice_id, number;
-- What is no key was changed on the medium: it is kept for people.
INSERT INTO set_aside (origin, content)
    SELECT 'state_entry', format('(%d, %d, %Q, %Q)', notice_id, number, state, evidence)
    FROM old_state_entry
    WHERE number NOT BETWEEN 1 AND 65535 OR notice_id NOT BETWEEN 0 AND (1 << 40) - 1;
DROP TABLE old_state_entry;

DROP INDEX act_open;
CREATE INDEX act_unreceipted ON act (number) WHERE direction = 1 AND receipted IS NULL;

CREATE TABLE alarm (
    number INTEGER PRIMARY KEY,
    code TEXT NOT NULL,
    station INTEGER,
    notice_id INTEGER,
    part TEXT NOT NULL,
    cleared TEXT,                       -- the evidence with which a person cleared it; or it is lit
    text TEXT NOT NULL,
    evidence TEXT NOT NULL,
    row_check BLOB NOT NULL
) STRICT;
