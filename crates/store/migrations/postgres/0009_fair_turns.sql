-- Accounts that wait for the same provider are served by turns, a sample each.

CREATE TABLE turns (
    account_id TEXT COLLATE "C" NOT NULL,
    provider   TEXT COLLATE "C" NOT NULL,
    -- The account with the lowest one is served next, which raises it by one.
    turn       BIGINT NOT NULL,
    -- The account has no sample that is due before; unset while it waits for nothing.
    due_at     BIGINT,
    PRIMARY KEY (account_id, provider)
);

CREATE INDEX turns_waiting ON turns (provider, turn, account_id) WHERE due_at IS NOT NULL;

-- The latest turn that was served, where whoever comes anew joins, and when that was.
CREATE TABLE served_turns (
    provider  TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    turn      BIGINT NOT NULL,
    served_at BIGINT NOT NULL
);

-- Of its job, repeated for the queue's index.
ALTER TABLE samples ADD COLUMN account_id TEXT COLLATE "C";

UPDATE samples SET account_id = (SELECT account_id FROM jobs WHERE id = job_id)
WHERE job_id IN (SELECT id FROM jobs WHERE ended_at IS NULL);

INSERT INTO turns (account_id, provider, turn, due_at)
SELECT account_id, provider, 0, MIN(due_at) FROM samples WHERE due_at IS NOT NULL
GROUP BY account_id, provider;

DROP INDEX samples_to_dispatch;
CREATE INDEX samples_to_dispatch ON samples (provider, account_id, created_at, job_id, idx)
    WHERE due_at IS NOT NULL;

-- However a sample comes into the queue, its account waits from then on: also where a gateway of an
-- older version put it there, which knows nothing of turns.
CREATE FUNCTION wait_for_a_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.account_id IS NULL THEN
        SELECT account_id INTO NEW.account_id FROM jobs WHERE id = NEW.job_id;
    END IF;
    INSERT INTO turns (account_id, provider, turn, due_at)
    VALUES (NEW.account_id, NEW.provider,
        COALESCE((SELECT turn FROM served_turns WHERE provider = NEW.provider), 0), NEW.due_at)
    ON CONFLICT (account_id, provider) DO UPDATE SET turn = GREATEST(turns.turn, excluded.turn),
        due_at = LEAST(turns.due_at, excluded.due_at);
    RETURN NEW;
END
$$;

CREATE TRIGGER samples_wait_for_a_turn BEFORE UPDATE OF due_at ON samples FOR EACH ROW
WHEN (NEW.due_at IS NOT NULL) EXECUTE FUNCTION wait_for_a_turn();
