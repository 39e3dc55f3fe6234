-- What the platform remembers. Times are milliseconds since 1970; ids are as they print.
--
-- The rules that money and state depend on are written here as well as in code, so that a mistake
-- in code is refused by the database instead of being stored.
--
-- Texts compare byte by byte, as in the other backend and in the code.

CREATE TABLE accounts (
    id                 TEXT COLLATE "C" PRIMARY KEY NOT NULL CHECK (length(id) = 24),
    name               TEXT COLLATE "C" NOT NULL,
    subscription       BIGINT NOT NULL DEFAULT 0 CHECK (subscription >= 0),
    purchased          BIGINT NOT NULL DEFAULT 0 CHECK (purchased >= 0),
    reserved           BIGINT NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    open_jobs          BIGINT NOT NULL DEFAULT 0 CHECK (open_jobs >= 0),
    tryon_per_minute   BIGINT NOT NULL CHECK (tryon_per_minute >= 0),
    status_per_minute  BIGINT NOT NULL CHECK (status_per_minute >= 0),
    credits_per_minute BIGINT NOT NULL CHECK (credits_per_minute >= 0),
    concurrent_jobs    BIGINT NOT NULL CHECK (concurrent_jobs >= 0),
    created_at         BIGINT NOT NULL,
    CONSTRAINT not_overdrawn CHECK (subscription + purchased - reserved >= 0)
);

-- Every job changes its account's row several times: room on its page spares its index.
ALTER TABLE accounts SET (fillfactor = 50);

CREATE TABLE api_keys (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL CHECK (length(id) = 24),
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    name       TEXT COLLATE "C" NOT NULL,
    prefix     TEXT COLLATE "C" NOT NULL,
    hash       BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE INDEX api_keys_of_account ON api_keys (account_id, created_at, id);

CREATE TABLE jobs (
    id                TEXT COLLATE "C" PRIMARY KEY NOT NULL CHECK (length(id) = 24),
    account_id        TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    state             TEXT COLLATE "C" NOT NULL
        CHECK (state IN ('accepted', 'prepared', 'running', 'completed', 'failed')),
    request           JSONB NOT NULL,
    plan              JSONB NOT NULL,
    sources           JSONB NOT NULL,
    inputs            JSONB,
    -- Credits it reserved: one a sample.
    price             BIGINT NOT NULL CHECK (price BETWEEN 1 AND 255),
    error_name        TEXT COLLATE "C",
    error_message     TEXT COLLATE "C",
    created_at        BIGINT NOT NULL,
    deadline          BIGINT NOT NULL,
    -- Nobody else is given the job to prepare before then.
    preparation_lease BIGINT NOT NULL DEFAULT 0,
    ended_at          BIGINT,
    inputs_erased_at  BIGINT,
    outputs_erased_at BIGINT,
    CHECK ((state IN ('completed', 'failed')) = (ended_at IS NOT NULL)),
    CHECK ((state = 'failed') = (error_name IS NOT NULL)),
    CHECK ((error_name IS NULL) = (error_message IS NULL)),
    CHECK (state NOT IN ('prepared', 'running', 'completed') OR inputs IS NOT NULL),
    CHECK (inputs_erased_at IS NULL OR ended_at IS NOT NULL),
    CHECK (outputs_erased_at IS NULL OR ended_at IS NOT NULL)
);

CREATE INDEX jobs_of_account ON jobs (account_id, created_at, id);
CREATE INDEX jobs_to_prepare ON jobs (created_at, id) WHERE state = 'accepted';
CREATE INDEX jobs_in_preparation ON jobs (preparation_lease) WHERE state = 'accepted';
CREATE INDEX jobs_by_deadline ON jobs (deadline, id) WHERE ended_at IS NULL;
CREATE INDEX jobs_with_inputs ON jobs (ended_at)
    WHERE ended_at IS NOT NULL AND inputs_erased_at IS NULL;
CREATE INDEX jobs_with_outputs ON jobs (ended_at)
    WHERE state = 'completed' AND outputs_erased_at IS NULL;

CREATE TABLE samples (
    job_id        TEXT COLLATE "C" NOT NULL REFERENCES jobs (id),
    idx           BIGINT NOT NULL CHECK (idx BETWEEN 0 AND 254),
    state         TEXT COLLATE "C" NOT NULL
        CHECK (state IN ('queued', 'dispatched', 'running', 'succeeded', 'failed')),
    -- Of its job, repeated so that the queue's index holds them.
    provider      TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT NOT NULL,
    -- Of its job, repeated so that the next sample is found without a join.
    deadline      BIGINT NOT NULL,
    -- The 64 bits of an unsigned number.
    seed          BIGINT NOT NULL,
    attempt       BIGINT NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    lost          BIGINT NOT NULL DEFAULT 0 CHECK (lost BETWEEN 0 AND attempt),
    -- Set while it may be dispatched: this is the queue.
    due_at        BIGINT,
    -- Both set while an attempt is under way.
    lease_until   BIGINT,
    node          TEXT COLLATE "C",
    output        JSONB,
    error_name    TEXT COLLATE "C",
    error_message TEXT COLLATE "C",
    PRIMARY KEY (job_id, idx),
    CHECK (due_at IS NULL OR state = 'queued'),
    CHECK ((state IN ('dispatched', 'running')) = (lease_until IS NOT NULL)),
    CHECK ((lease_until IS NULL) = (node IS NULL)),
    CHECK ((state = 'succeeded') = (output IS NOT NULL)),
    CHECK ((state = 'failed') = (error_name IS NOT NULL)),
    CHECK ((error_name IS NULL) = (error_message IS NULL)),
    CHECK (state NOT IN ('dispatched', 'running', 'succeeded') OR attempt > 0)
);

-- A queue leaves dead rows where its next one is looked for, and its length changes quickly. Both
-- are looked after by the number of changes and not by their share of a history that only grows.
ALTER TABLE jobs SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);
ALTER TABLE samples SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);

CREATE INDEX samples_to_dispatch ON samples (provider, created_at, job_id, idx)
    WHERE due_at IS NOT NULL;
CREATE INDEX samples_by_due ON samples (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX samples_by_lease ON samples (lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE ledger (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    job_id       TEXT COLLATE "C" REFERENCES jobs (id),
    kind         TEXT COLLATE "C" NOT NULL,
    subscription BIGINT NOT NULL,
    purchased    BIGINT NOT NULL,
    reserved     BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    CHECK ((kind = 'grant') = (job_id IS NULL)),
    CONSTRAINT kind_moves_what_it_says CHECK (CASE kind
        WHEN 'grant' THEN subscription >= 0 AND purchased >= 0 AND reserved = 0
        WHEN 'reserve' THEN subscription = 0 AND purchased = 0 AND reserved > 0
        WHEN 'capture' THEN subscription <= 0 AND purchased <= 0
            AND subscription + purchased < 0 AND reserved <= subscription + purchased
        WHEN 'release' THEN subscription = 0 AND purchased = 0 AND reserved < 0
        ELSE FALSE
    END)
);

CREATE INDEX ledger_of_account ON ledger (account_id, id);
CREATE UNIQUE INDEX ledger_one_reservation ON ledger (job_id) WHERE kind = 'reserve';
CREATE UNIQUE INDEX ledger_one_settlement ON ledger (job_id)
    WHERE kind IN ('capture', 'release');

CREATE TABLE nodes (
    name        TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    url         TEXT COLLATE "C" NOT NULL,
    state       TEXT COLLATE "C" NOT NULL DEFAULT 'unknown'
        CHECK (state IN ('unknown', 'ready', 'not-ready', 'unreachable', 'quarantined')),
    providers   JSONB NOT NULL DEFAULT '[]',
    attempt     TEXT COLLATE "C",
    hold_until  BIGINT NOT NULL DEFAULT 0,
    faults      BIGINT NOT NULL DEFAULT 0 CHECK (faults >= 0),
    -- When it was last given work, so that the longest idle one is next.
    assigned_at BIGINT NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX nodes_by_attempt ON nodes (attempt) WHERE attempt IS NOT NULL;

-- A terminal state is never left, and the ledger is only ever appended to.

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER jobs_stay_ended BEFORE UPDATE OF state ON jobs FOR EACH ROW
WHEN (OLD.state IN ('completed', 'failed') AND NEW.state <> OLD.state)
EXECUTE FUNCTION refuse('a job that ended stays as it ended');

CREATE TRIGGER samples_stay_ended BEFORE UPDATE OF state ON samples FOR EACH ROW
WHEN (OLD.state IN ('succeeded', 'failed') AND NEW.state <> OLD.state)
EXECUTE FUNCTION refuse('a sample that ended stays as it ended');

CREATE TRIGGER ledger_rows_stay BEFORE UPDATE ON ledger FOR EACH ROW
EXECUTE FUNCTION refuse('ledger rows are never changed');

CREATE TRIGGER ledger_rows_are_kept BEFORE DELETE ON ledger FOR EACH ROW
EXECUTE FUNCTION refuse('ledger rows are never deleted');

CREATE TRIGGER ledger_is_kept BEFORE TRUNCATE ON ledger FOR EACH STATEMENT
EXECUTE FUNCTION refuse('ledger rows are never deleted');
