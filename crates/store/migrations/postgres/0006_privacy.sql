-- What it takes to forget: whose jobs they are, how long their pictures stay, and what was erased.

-- Receipts. They name no person: an end user is named only until the erasure has finished.
CREATE TABLE erasures (
    id           TEXT COLLATE "C" PRIMARY KEY NOT NULL CHECK (length(id) = 24),
    account_id   TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    -- One job, or what there is of an end user.
    job_id       TEXT COLLATE "C" REFERENCES jobs (id),
    end_user     BYTEA CHECK (length(end_user) = 32),
    requested_at BIGINT NOT NULL,
    finished_at  BIGINT,
    -- When the sweep goes on with it, or looks again; unset once nothing is left to do.
    due_at       BIGINT,
    -- What was erased: jobs, and pictures by the first part of their keys.
    jobs         BIGINT NOT NULL DEFAULT 0 CHECK (jobs >= 0),
    pictures     JSONB NOT NULL DEFAULT '{}',
    CHECK (job_id IS NULL OR end_user IS NULL),
    CHECK (finished_at IS NULL OR end_user IS NULL),
    CHECK (finished_at IS NOT NULL OR due_at IS NOT NULL)
);

CREATE INDEX erasures_by_due ON erasures (due_at, id) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX erasures_of_end_user ON erasures (account_id, end_user)
    WHERE end_user IS NOT NULL;

ALTER TABLE jobs ADD COLUMN end_user BYTEA CHECK (length(end_user) = 32);
ALTER TABLE jobs ADD COLUMN erasure_id TEXT COLLATE "C" REFERENCES erasures (id);
-- The keys of the pictures that its erasure found.
ALTER TABLE jobs ADD COLUMN pictures JSONB;
ALTER TABLE jobs ADD COLUMN erased_at BIGINT;

CREATE INDEX jobs_of_end_user ON jobs (account_id, end_user, id) WHERE end_user IS NOT NULL;
CREATE INDEX jobs_of_erasure ON jobs (erasure_id, id) WHERE erasure_id IS NOT NULL;
CREATE INDEX jobs_to_erase ON jobs (erasure_id, id)
    WHERE erasure_id IS NOT NULL AND erased_at IS NULL;
CREATE INDEX idempotency_keys_of_job ON idempotency_keys (job_id);

-- Milliseconds; where absent, what the gateway's configuration says.
ALTER TABLE accounts ADD COLUMN output_retention BIGINT CHECK (output_retention >= 0);
-- Decided at submission. Those that are there have 72 hours, which is the default.
ALTER TABLE jobs ADD COLUMN output_retention BIGINT NOT NULL DEFAULT 259200000
    CHECK (output_retention >= 0);
ALTER TABLE jobs ADD COLUMN outputs_once BOOLEAN NOT NULL DEFAULT FALSE;

DROP INDEX jobs_with_outputs;
CREATE INDEX jobs_with_outputs ON jobs ((ended_at + output_retention))
    WHERE state = 'completed' AND outputs_erased_at IS NULL;
