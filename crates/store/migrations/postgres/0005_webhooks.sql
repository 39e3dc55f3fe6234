-- Telling clients that their jobs ended: one message a job, written with the job's end.

ALTER TABLE jobs ADD COLUMN webhook_url TEXT COLLATE "C";

CREATE TABLE webhooks (
    job_id        TEXT COLLATE "C" PRIMARY KEY NOT NULL REFERENCES jobs (id),
    account_id    TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    url           TEXT COLLATE "C" NOT NULL,
    state         TEXT COLLATE "C" NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'delivered', 'failed', 'disabled')),
    tries         BIGINT NOT NULL DEFAULT 0,
    -- Those before it was sent anew.
    earlier_tries BIGINT NOT NULL DEFAULT 0 CHECK (earlier_tries BETWEEN 0 AND tries),
    -- Set while it is to be delivered: this is the outbox.
    due_at        BIGINT,
    created_at    BIGINT NOT NULL,
    ended_at      BIGINT,
    CHECK ((state = 'pending') = (due_at IS NOT NULL)),
    CHECK ((state = 'pending') = (ended_at IS NULL))
);

CREATE INDEX webhooks_to_deliver ON webhooks (due_at, job_id) WHERE due_at IS NOT NULL;
CREATE INDEX webhooks_to_address ON webhooks (account_id, url) WHERE due_at IS NOT NULL;
CREATE INDEX webhooks_of_account ON webhooks (account_id, created_at, job_id);
CREATE INDEX webhooks_by_end ON webhooks (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE webhook_tries (
    job_id  TEXT COLLATE "C" NOT NULL REFERENCES webhooks (job_id) ON DELETE CASCADE,
    number  BIGINT NOT NULL CHECK (number > 0),
    at      BIGINT NOT NULL,
    took_ms BIGINT NOT NULL,
    -- What the receiver answered, or why it did not.
    status  BIGINT,
    fault   TEXT COLLATE "C",
    PRIMARY KEY (job_id, number),
    CHECK ((status IS NULL) <> (fault IS NULL))
);

-- Addresses that said that they are gone for good.
CREATE TABLE webhook_addresses_gone (
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    url        TEXT COLLATE "C" NOT NULL,
    since      BIGINT NOT NULL,
    PRIMARY KEY (account_id, url)
);

CREATE INDEX webhook_addresses_gone_by_age ON webhook_addresses_gone (since);

-- Its rows change from their first day on: see `samples`.
ALTER TABLE webhooks SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);
