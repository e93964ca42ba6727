-- What people are to be told and have not been: a row for each reader, until it was delivered or given up. `way` is mail or
-- hook, `reader` the address of a mail or the SHA-256 of a webhook's, `notice` JSON. `holder` is the cloud that delivers it,
-- empty where clouds share no database; `tries` are those that were begun, and the next one is not before `due_ms`.
CREATE TABLE message (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    way TEXT NOT NULL,
    reader TEXT NOT NULL,
    notice TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    holder TEXT NOT NULL,
    tries BIGINT NOT NULL,
    due_ms BIGINT NOT NULL
);
CREATE INDEX message_due ON message (due_ms);
