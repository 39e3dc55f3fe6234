-- What the platform remembers. Times are milliseconds since 1970; ids are as they print.
--
-- The rules that money and state depend on are written here as well as in code, so that a mistake
-- in code is refused by the database instead of being stored.

CREATE TABLE accounts (
    id                 TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 24),
    name               TEXT NOT NULL,
    subscription       INTEGER NOT NULL DEFAULT 0 CHECK (subscription >= 0),
    purchased          INTEGER NOT NULL DEFAULT 0 CHECK (purchased >= 0),
    reserved           INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    open_jobs          INTEGER NOT NULL DEFAULT 0 CHECK (open_jobs >= 0),
    tryon_per_minute   INTEGER NOT NULL CHECK (tryon_per_minute >= 0),
    status_per_minute  INTEGER NOT NULL CHECK (status_per_minute >= 0),
    credits_per_minute INTEGER NOT NULL CHECK (credits_per_minute >= 0),
    concurrent_jobs    INTEGER NOT NULL CHECK (concurrent_jobs >= 0),
    created_at         INTEGER NOT NULL,
    CONSTRAINT not_overdrawn CHECK (subscription + purchased - reserved >= 0)
) STRICT;

CREATE TABLE api_keys (
    id         TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 24),
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name       TEXT NOT NULL,
    prefix     TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE INDEX api_keys_of_account ON api_keys (account_id, created_at, id);

CREATE TABLE jobs (
    id                TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 24),
    account_id        TEXT NOT NULL REFERENCES accounts (id),
    state             TEXT NOT NULL
        CHECK (state IN ('accepted', 'prepared', 'running', 'completed', 'failed')),
    request           TEXT NOT NULL CHECK (json_valid(request)),
    plan              TEXT NOT NULL CHECK (json_valid(plan)),
    sources           TEXT NOT NULL CHECK (json_valid(sources)),
    inputs            TEXT CHECK (json_valid(inputs)),
    -- Credits it reserved: one a sample.
    price             INTEGER NOT NULL CHECK (price BETWEEN 1 AND 255),
    error_name        TEXT,
    error_message     TEXT,
    created_at        INTEGER NOT NULL,
    deadline          INTEGER NOT NULL,
    -- Nobody else is given the job to prepare before then.
    preparation_lease INTEGER NOT NULL DEFAULT 0,
    ended_at          INTEGER,
    inputs_erased_at  INTEGER,
    outputs_erased_at INTEGER,
    CHECK ((state IN ('completed', 'failed')) = (ended_at IS NOT NULL)),
    CHECK ((state = 'failed') = (error_name IS NOT NULL)),
    CHECK ((error_name IS NULL) = (error_message IS NULL)),
    CHECK (state NOT IN ('prepared', 'running', 'completed') OR inputs IS NOT NULL),
    CHECK (inputs_erased_at IS NULL OR ended_at IS NOT NULL),
    CHECK (outputs_erased_at IS NULL OR ended_at IS NOT NULL)
) STRICT;

CREATE INDEX jobs_of_account ON jobs (account_id, created_at, id);
CREATE INDEX jobs_to_prepare ON jobs (created_at, id) WHERE state = 'accepted';
CREATE INDEX jobs_in_preparation ON jobs (preparation_lease) WHERE state = 'accepted';
CREATE INDEX jobs_by_deadline ON jobs (deadline, id) WHERE ended_at IS NULL;
CREATE INDEX jobs_with_inputs ON jobs (ended_at)
    WHERE ended_at IS NOT NULL AND inputs_erased_at IS NULL;
CREATE INDEX jobs_with_outputs ON jobs (ended_at)
    WHERE state = 'completed' AND outputs_erased_at IS NULL;

CREATE TABLE samples (
    job_id        TEXT NOT NULL REFERENCES jobs (id),
    idx           INTEGER NOT NULL CHECK (idx BETWEEN 0 AND 254),
    state         TEXT NOT NULL
        CHECK (state IN ('queued', 'dispatched', 'running', 'succeeded', 'failed')),
    -- Of its job, repeated so that the queue's index holds them.
    provider      TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    -- The 64 bits of an unsigned number.
    seed          INTEGER NOT NULL,
    attempt       INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    lost          INTEGER NOT NULL DEFAULT 0 CHECK (lost BETWEEN 0 AND attempt),
    -- Set while it may be dispatched: this is the queue.
    due_at        INTEGER,
    -- Both set while an attempt is under way.
    lease_until   INTEGER,
    node          TEXT,
    output        TEXT CHECK (json_valid(output)),
    error_name    TEXT,
    error_message TEXT,
    PRIMARY KEY (job_id, idx),
    CHECK (due_at IS NULL OR state = 'queued'),
    CHECK ((state IN ('dispatched', 'running')) = (lease_until IS NOT NULL)),
    CHECK ((lease_until IS NULL) = (node IS NULL)),
    CHECK ((state = 'succeeded') = (output IS NOT NULL)),
    CHECK ((state = 'failed') = (error_name IS NOT NULL)),
    CHECK ((error_name IS NULL) = (error_message IS NULL)),
    CHECK (state NOT IN ('dispatched', 'running', 'succeeded') OR attempt > 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX samples_to_dispatch ON samples (provider, created_at, job_id, idx)
    WHERE due_at IS NOT NULL;
CREATE INDEX samples_by_due ON samples (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX samples_by_lease ON samples (lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE ledger (
    id           INTEGER PRIMARY KEY,
    account_id   TEXT NOT NULL REFERENCES accounts (id),
    job_id       TEXT REFERENCES jobs (id),
    kind         TEXT NOT NULL,
    subscription INTEGER NOT NULL,
    purchased    INTEGER NOT NULL,
    reserved     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    CHECK ((kind = 'grant') = (job_id IS NULL)),
    CONSTRAINT kind_moves_what_it_says CHECK (CASE kind
        WHEN 'grant' THEN subscription >= 0 AND purchased >= 0 AND reserved = 0
        WHEN 'reserve' THEN subscription = 0 AND purchased = 0 AND reserved > 0
        WHEN 'capture' THEN subscription <= 0 AND purchased <= 0
            AND subscription + purchased < 0 AND reserved <= subscription + purchased
        WHEN 'release' THEN subscription = 0 AND purchased = 0 AND reserved < 0
        ELSE 0
    END)
) STRICT;

CREATE INDEX ledger_of_account ON ledger (account_id, id);
CREATE UNIQUE INDEX ledger_one_reservation ON ledger (job_id) WHERE kind = 'reserve';
CREATE UNIQUE INDEX ledger_one_settlement ON ledger (job_id)
    WHERE kind IN ('capture', 'release');

CREATE TABLE nodes (
    name        TEXT PRIMARY KEY NOT NULL,
    url         TEXT NOT NULL,
    state       TEXT NOT NULL DEFAULT 'unknown'
        CHECK (state IN ('unknown', 'ready', 'not-ready', 'unreachable', 'quarantined')),
    providers   TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(providers)),
    attempt     TEXT,
    hold_until  INTEGER NOT NULL DEFAULT 0,
    faults      INTEGER NOT NULL DEFAULT 0 CHECK (faults >= 0),
    -- When it was last given work, so that the longest idle one is next.
    assigned_at INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX nodes_by_attempt ON nodes (attempt) WHERE attempt IS NOT NULL;

-- A terminal state is never left, and the ledger is only ever appended to.

CREATE TRIGGER jobs_stay_ended BEFORE UPDATE OF state ON jobs
WHEN OLD.state IN ('completed', 'failed') AND NEW.state <> OLD.state
BEGIN
    SELECT RAISE(ABORT, 'a job that ended stays as it ended');
END;

CREATE TRIGGER samples_stay_ended BEFORE UPDATE OF state ON samples
WHEN OLD.state IN ('succeeded', 'failed') AND NEW.state <> OLD.state
BEGIN
    SELECT RAISE(ABORT, 'a sample that ended stays as it ended');
END;

CREATE TRIGGER ledger_rows_stay BEFORE UPDATE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'ledger rows are never changed');
END;

CREATE TRIGGER ledger_rows_are_kept BEFORE DELETE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'ledger rows are never deleted');
END;
