-- The same text for SQLite and PostgreSQL: TEXT and BIGINT only. Times are milliseconds since 1970, keys are base64,
-- addresses are the number of an IPv4 address, truths are 0 and 1.

-- Single values: the hub's key, the ACME account and certificate.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- Numbers that only grow. Every writer takes the row `change` first, so that writers come one after the other and
-- changes become visible in the order of their numbers.
CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counter (name, value) VALUES ('change', 0);
INSERT INTO counter (name, value) VALUES ('wrong_claims', 0);
INSERT INTO counter (name, value) VALUES ('wrong_claims_since', 0);

-- What has changed, for the processes that keep a picture in memory.
CREATE TABLE change (
    id BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT NOT NULL
);

CREATE TABLE boxes (
    id TEXT PRIMARY KEY,
    identity TEXT NOT NULL,
    tunnel_key TEXT NOT NULL UNIQUE,
    address BIGINT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    enrolled_ms BIGINT NOT NULL,
    version TEXT NOT NULL,
    last_report_ms BIGINT NOT NULL,
    session TEXT NOT NULL
);

CREATE TABLE camera (
    public_id TEXT PRIMARY KEY,
    box_id TEXT NOT NULL REFERENCES boxes (id),
    camera_id TEXT NOT NULL,
    name TEXT NOT NULL,
    is_on BIGINT NOT NULL,
    report TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    UNIQUE (box_id, camera_id)
);

-- Attempts to enrol. The code is kept as a keyed hash only; `code_head` is that of its first four letters.
CREATE TABLE session (
    id TEXT PRIMARY KEY,
    box_id TEXT NOT NULL,
    identity TEXT NOT NULL,
    version TEXT NOT NULL,
    nonce TEXT NOT NULL,
    code_hash TEXT NOT NULL,
    code_head TEXT NOT NULL,
    wrong_claims BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    owner TEXT,
    joined_ms BIGINT,
    UNIQUE (box_id, nonce)
);
CREATE INDEX session_code ON session (code_head);

-- The tunnel keys that a session has brought: an old yes is not a new one.
CREATE TABLE session_key (
    session TEXT NOT NULL REFERENCES session (id),
    tunnel_key TEXT NOT NULL,
    PRIMARY KEY (session, tunnel_key)
);
