-- Who signs in to the pages, what they did there, and what they look at.

CREATE TABLE users (
    id          TEXT COLLATE "C" PRIMARY KEY NOT NULL CHECK (length(id) = 24),
    -- What they sign in with, in lower case.
    login       TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(login) BETWEEN 1 AND 254),
    account_id  TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    -- Whether they look after the platform, and so after every account.
    is_operator BOOLEAN NOT NULL,
    -- Argon2 in the PHC form; none for whoever signs in elsewhere.
    password    TEXT COLLATE "C",
    created_at  BIGINT NOT NULL,
    disabled_at BIGINT
);

-- Somebody who is signed in, in one browser.
CREATE TABLE sessions (
    -- SHA-256 of what the browser's cookie holds.
    hash       BYTEA PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Who changed what: only ever appended to.
CREATE TABLE actions (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT NOT NULL,
    -- A login, or the command line.
    actor      TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" REFERENCES accounts (id),
    action     TEXT COLLATE "C" NOT NULL,
    detail     TEXT COLLATE "C" NOT NULL,
    -- What a form that is to be done once is known by.
    form       TEXT COLLATE "C" UNIQUE
);

CREATE TRIGGER actions_stay BEFORE UPDATE ON actions FOR EACH ROW
EXECUTE FUNCTION refuse('what was done is never changed');

CREATE TRIGGER actions_are_kept BEFORE DELETE ON actions FOR EACH ROW
EXECUTE FUNCTION refuse('what was done is never deleted');

CREATE TRIGGER all_actions_are_kept BEFORE TRUNCATE ON actions FOR EACH STATEMENT
EXECUTE FUNCTION refuse('what was done is never deleted');

-- What an account used on each day (of UTC, counted from 1970): the ledger, added up as it grows.
CREATE TABLE usage_days (
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    day        BIGINT NOT NULL,
    pictures   BIGINT NOT NULL DEFAULT 0 CHECK (pictures >= 0),
    completed  BIGINT NOT NULL DEFAULT 0 CHECK (completed >= 0),
    failed     BIGINT NOT NULL DEFAULT 0 CHECK (failed >= 0),
    PRIMARY KEY (account_id, day)
);

CREATE FUNCTION add_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_days (account_id, day, pictures, completed, failed)
    VALUES (NEW.account_id, NEW.created_at / 86400000, -(NEW.subscription + NEW.purchased),
        (NEW.kind = 'capture')::int, (NEW.kind = 'release')::int)
    ON CONFLICT (account_id, day) DO UPDATE SET
        pictures = usage_days.pictures + excluded.pictures,
        completed = usage_days.completed + excluded.completed,
        failed = usage_days.failed + excluded.failed;
    RETURN NULL;
END
$$;

-- Before what there is is added up: nobody writes to the ledger in between.
CREATE TRIGGER ledger_adds_up AFTER INSERT ON ledger FOR EACH ROW
WHEN (NEW.kind IN ('capture', 'release')) EXECUTE FUNCTION add_up();

INSERT INTO usage_days (account_id, day, pictures, completed, failed)
SELECT account_id, created_at / 86400000, -SUM(subscription + purchased),
    COUNT(*) FILTER (WHERE kind = 'capture'), COUNT(*) FILTER (WHERE kind = 'release')
FROM ledger WHERE kind IN ('capture', 'release') GROUP BY 1, 2;
