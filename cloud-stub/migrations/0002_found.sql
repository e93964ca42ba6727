-- Where a box's page is on its own network, for whoever has the code on its label. The label is kept as a keyed hash of
-- the hash that the box tells; `pages` is a JSON list.
CREATE TABLE found (
    box_id TEXT PRIMARY KEY,
    label TEXT NOT NULL UNIQUE,
    pages TEXT NOT NULL,
    seen_ms BIGINT NOT NULL
);
