-- A deleted channel stays as a tombstone: its id is never given out or accepted again.
CREATE TABLE channels (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,          -- order of creation, the cursor of listings
    id         TEXT    NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 255),
    kind       TEXT    NOT NULL CHECK (kind IN ('single', 'multistream', 'multistream_with_hls')),
    settings   TEXT    NOT NULL,                           -- JSON as it was asked for; '{}' in a tombstone
    created_at INTEGER NOT NULL,                           -- milliseconds since 1970
    deleted_at INTEGER
) STRICT;
