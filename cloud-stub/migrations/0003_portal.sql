-- People, what they may see, cameras without a box, and the clouds that share this database. Ids are 128 random bits in
-- 26 letters; secrets are kept as SHA-256 in base64 only, passwords as argon2id (PHC); an empty text is "none".

-- Whose boxes and cameras they are. `boxes.owner` is the tenant's name: what the check words were made from never changes.
CREATE TABLE tenant (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    made_ms BIGINT NOT NULL,
    alerts TEXT NOT NULL
);

-- `roles` is a JSON object: tenant id to role. An operator may do everything in every tenant.
CREATE TABLE person (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    password TEXT NOT NULL,
    is_operator BIGINT NOT NULL,
    roles TEXT NOT NULL,
    made_ms BIGINT NOT NULL
);

-- A link that lets a person choose a password, once.
CREATE TABLE invitation (
    secret TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    tenant TEXT NOT NULL,
    role TEXT NOT NULL,
    is_operator BIGINT NOT NULL,
    made_by TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
);

-- Browsers that are signed in.
CREATE TABLE login (
    secret TEXT PRIMARY KEY,
    person TEXT NOT NULL REFERENCES person (id),
    csrf TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    browser TEXT NOT NULL
);

CREATE TABLE site (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    time_zone TEXT NOT NULL
);

-- `node` is the cloud whose hub holds the box.
ALTER TABLE boxes ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE boxes ADD COLUMN site TEXT NOT NULL DEFAULT '';
ALTER TABLE boxes ADD COLUMN node TEXT NOT NULL DEFAULT '';

-- `title` is what the tenant calls it, over the name that the box tells. `access` is public or private.
ALTER TABLE camera ADD COLUMN title TEXT NOT NULL DEFAULT '';
ALTER TABLE camera ADD COLUMN access TEXT NOT NULL DEFAULT 'public';

-- Cameras without a box. `kind` is pull, push or peer, `settings` its JSON; `node` is the cloud that takes it in.
CREATE TABLE source (
    public_id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenant (id),
    site TEXT NOT NULL,
    title TEXT NOT NULL,
    kind TEXT NOT NULL,
    settings TEXT NOT NULL,
    is_on BIGINT NOT NULL,
    access TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    node TEXT NOT NULL,
    report TEXT NOT NULL,
    since_ms BIGINT NOT NULL
);

-- WireGuard peers that are no boxes: behind each is one camera.
CREATE TABLE peer (
    public_id TEXT PRIMARY KEY REFERENCES source (public_id),
    tunnel_key TEXT NOT NULL UNIQUE,
    address BIGINT NOT NULL UNIQUE
);

-- Links and tokens for one private camera. `kind` is link or embed.
CREATE TABLE share (
    id TEXT PRIMARY KEY,
    public_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    secret TEXT NOT NULL UNIQUE,
    made_by TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    expires_ms BIGINT
);

-- Who did what. `tenant` is empty for what concerns the whole cloud.
CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    tenant TEXT NOT NULL,
    person TEXT NOT NULL,
    address TEXT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX audit_tenant ON audit (tenant, at_ms);

-- The clouds that share this database.
CREATE TABLE node (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    seen_ms BIGINT NOT NULL
);

-- An hour of a camera's pings and figures, packed, and the sum of a day.
CREATE TABLE sample_hour (
    public_id TEXT NOT NULL,
    hour BIGINT NOT NULL,
    samples TEXT NOT NULL,
    PRIMARY KEY (public_id, hour)
);
CREATE TABLE sample_day (
    public_id TEXT NOT NULL,
    day BIGINT NOT NULL,
    hours TEXT NOT NULL,
    PRIMARY KEY (public_id, day)
);

-- Stretches without a picture; `to_ms` is null while one lasts.
CREATE TABLE outage (
    public_id TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    to_ms BIGINT,
    reason TEXT NOT NULL,
    PRIMARY KEY (public_id, from_ms)
);
