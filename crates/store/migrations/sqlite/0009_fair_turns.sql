-- Accounts that wait for the same provider are served by turns, a sample each.

CREATE TABLE turns (
    account_id TEXT NOT NULL,
    provider   TEXT NOT NULL,
    -- The account with the lowest one is served next, which raises it by one.
    turn       INTEGER NOT NULL,
    -- The account has no sample that is due before; unset while it waits for nothing.
    due_at     INTEGER,
    PRIMARY KEY (account_id, provider)
) STRICT, WITHOUT ROWID;

CREATE INDEX turns_waiting ON turns (provider, turn, account_id) WHERE due_at IS NOT NULL;

-- The latest turn that was served, where whoever comes anew joins, and when that was.
CREATE TABLE served_turns (
    provider  TEXT PRIMARY KEY NOT NULL,
    turn      INTEGER NOT NULL,
    served_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Of its job, repeated for the queue's index.
ALTER TABLE samples ADD COLUMN account_id TEXT;

UPDATE samples SET account_id = (SELECT account_id FROM jobs WHERE id = job_id)
WHERE job_id IN (SELECT id FROM jobs WHERE ended_at IS NULL);

INSERT INTO turns (account_id, provider, turn, due_at)
SELECT account_id, provider, 0, MIN(due_at) FROM samples WHERE due_at IS NOT NULL
GROUP BY account_id, provider;

DROP INDEX samples_to_dispatch;
CREATE INDEX samples_to_dispatch ON samples (provider, account_id, created_at, job_id, idx)
    WHERE due_at IS NOT NULL;

-- However a sample comes into the queue, its account waits from then on.
CREATE TRIGGER samples_wait_for_a_turn AFTER UPDATE OF due_at ON samples
WHEN NEW.due_at IS NOT NULL
BEGIN
    INSERT INTO turns (account_id, provider, turn, due_at)
    VALUES (NEW.account_id, NEW.provider,
        COALESCE((SELECT turn FROM served_turns WHERE provider = NEW.provider), 0), NEW.due_at)
    ON CONFLICT (account_id, provider) DO UPDATE SET turn = max(turn, excluded.turn),
        due_at = min(COALESCE(due_at, excluded.due_at), excluded.due_at);
END;
