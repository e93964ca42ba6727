-- What has happened to releases on their way to boxes. Only ever added to; the fold of it is all that is known. The numbers
-- have no gaps: whoever adds one has seen all before it.
CREATE TABLE fleet_event (
    id BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    campaign TEXT NOT NULL,
    box_id TEXT NOT NULL,
    event TEXT NOT NULL
);
CREATE INDEX fleet_event_campaign ON fleet_event (campaign, id);
CREATE INDEX fleet_event_box ON fleet_event (box_id, id);

-- When the boxes of a site may restart, JSON; empty: at any time.
ALTER TABLE site ADD COLUMN update_window TEXT NOT NULL DEFAULT '';
