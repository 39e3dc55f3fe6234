-- What clients called their submissions, so that one that is sent again is found.

CREATE TABLE idempotency_keys (
    account_id TEXT NOT NULL REFERENCES accounts (id),
    key        TEXT NOT NULL,
    -- The SHA-256 of what was asked for.
    request    BLOB NOT NULL CHECK (length(request) = 32),
    job_id     TEXT NOT NULL REFERENCES jobs (id),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
