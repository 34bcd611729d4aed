-- What belongs to no run: `journal/store.py`. AUTOINCREMENT: the number of a removed item is not used again.
CREATE TABLE items (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    UNIQUE (kind, key)
) STRICT;
