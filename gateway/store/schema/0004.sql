-- Schema 4: which generation of its line's secret a peer is known to use. No key.
CREATE TABLE line_keys (
    peer INTEGER PRIMARY KEY,
    confirmed BLOB NOT NULL,            -- 8 octets that name the generation
    row_check BLOB NOT NULL
) STRICT;
