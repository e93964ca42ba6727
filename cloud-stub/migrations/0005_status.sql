-- Since when a camera is known: time before that counts neither as good nor as bad.
CREATE TABLE known (
    public_id TEXT PRIMARY KEY,
    known_ms BIGINT NOT NULL
);

-- What people have been told of a camera or a site, JSON, so that nothing is told twice.
CREATE TABLE alarm (
    subject TEXT PRIMARY KEY,
    state TEXT NOT NULL
);
