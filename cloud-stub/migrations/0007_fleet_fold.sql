-- The fold of the first events of `fleet_event`, up to `newest`, so that a cloud that starts reads the rest only. In a format
-- of a version of the program, in parts; whatever is not whole is not used, and everything here may be deleted.
CREATE TABLE fleet_fold (
    format BIGINT NOT NULL,
    part BIGINT NOT NULL,
    newest BIGINT NOT NULL,
    digest TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (format, part)
);
