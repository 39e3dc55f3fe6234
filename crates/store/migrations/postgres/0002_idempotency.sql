-- What clients called their submissions, so that one that is sent again is found.

CREATE TABLE idempotency_keys (
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    key        TEXT COLLATE "C" NOT NULL,
    -- The SHA-256 of what was asked for.
    request    BYTEA NOT NULL CHECK (length(request) = 32),
    job_id     TEXT COLLATE "C" NOT NULL REFERENCES jobs (id),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, key)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
