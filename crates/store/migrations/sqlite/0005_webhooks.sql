-- Telling clients that their jobs ended: one message a job, written with the job's end.

ALTER TABLE jobs ADD COLUMN webhook_url TEXT;

CREATE TABLE webhooks (
    job_id        TEXT PRIMARY KEY NOT NULL REFERENCES jobs (id),
    account_id    TEXT NOT NULL REFERENCES accounts (id),
    url           TEXT NOT NULL,
    state         TEXT NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'delivered', 'failed', 'disabled')),
    tries         INTEGER NOT NULL DEFAULT 0,
    -- Those before it was sent anew.
    earlier_tries INTEGER NOT NULL DEFAULT 0 CHECK (earlier_tries BETWEEN 0 AND tries),
    -- Set while it is to be delivered: this is the outbox.
    due_at        INTEGER,
    created_at    INTEGER NOT NULL,
    ended_at      INTEGER,
    CHECK ((state = 'pending') = (due_at IS NOT NULL)),
    CHECK ((state = 'pending') = (ended_at IS NULL))
) STRICT;

CREATE INDEX webhooks_to_deliver ON webhooks (due_at, job_id) WHERE due_at IS NOT NULL;
CREATE INDEX webhooks_to_address ON webhooks (account_id, url) WHERE due_at IS NOT NULL;
CREATE INDEX webhooks_of_account ON webhooks (account_id, created_at, job_id);
CREATE INDEX webhooks_by_end ON webhooks (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE webhook_tries (
    job_id  TEXT NOT NULL REFERENCES webhooks (job_id) ON DELETE CASCADE,
    number  INTEGER NOT NULL CHECK (number > 0),
    at      INTEGER NOT NULL,
    took_ms INTEGER NOT NULL,
    -- What the receiver answered, or why it did not.
    status  INTEGER,
    fault   TEXT,
    PRIMARY KEY (job_id, number),
    CHECK ((status IS NULL) <> (fault IS NULL))
) STRICT, WITHOUT ROWID;

-- Addresses that said that they are gone for good.
CREATE TABLE webhook_addresses_gone (
    account_id TEXT NOT NULL REFERENCES accounts (id),
    url        TEXT NOT NULL,
    since      INTEGER NOT NULL,
    PRIMARY KEY (account_id, url)
) STRICT, WITHOUT ROWID;

CREATE INDEX webhook_addresses_gone_by_age ON webhook_addresses_gone (since);
