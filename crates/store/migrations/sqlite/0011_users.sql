-- Who signs in to the pages, what they did there, and what they look at.

CREATE TABLE users (
    id          TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 24),
    -- What they sign in with, in lower case.
    login       TEXT NOT NULL UNIQUE CHECK (length(login) BETWEEN 1 AND 254),
    account_id  TEXT NOT NULL REFERENCES accounts (id),
    -- Whether they look after the platform, and so after every account.
    is_operator INTEGER NOT NULL CHECK (is_operator IN (0, 1)),
    -- Argon2 in the PHC form; none for whoever signs in elsewhere.
    password    TEXT,
    created_at  INTEGER NOT NULL,
    disabled_at INTEGER
) STRICT;

-- Somebody who is signed in, in one browser.
CREATE TABLE sessions (
    -- SHA-256 of what the browser's cookie holds.
    hash       BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
    user_id    TEXT NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Who changed what: only ever appended to.
CREATE TABLE actions (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    -- A login, or the command line.
    actor      TEXT NOT NULL,
    account_id TEXT REFERENCES accounts (id),
    action     TEXT NOT NULL,
    detail     TEXT NOT NULL,
    -- What a form that is to be done once is known by.
    form       TEXT UNIQUE
) STRICT;

CREATE TRIGGER actions_stay BEFORE UPDATE ON actions
BEGIN
    SELECT RAISE(ABORT, 'what was done is never changed');
END;

CREATE TRIGGER actions_are_kept BEFORE DELETE ON actions
BEGIN
    SELECT RAISE(ABORT, 'what was done is never deleted');
END;

-- What an account used on each day (of UTC, counted from 1970): the ledger, added up as it grows.
CREATE TABLE usage_days (
    account_id TEXT NOT NULL REFERENCES accounts (id),
    day        INTEGER NOT NULL,
    pictures   INTEGER NOT NULL DEFAULT 0 CHECK (pictures >= 0),
    completed  INTEGER NOT NULL DEFAULT 0 CHECK (completed >= 0),
    failed     INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    PRIMARY KEY (account_id, day)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER ledger_adds_up AFTER INSERT ON ledger
WHEN NEW.kind IN ('capture', 'release')
BEGIN
    INSERT INTO usage_days (account_id, day, pictures, completed, failed)
    VALUES (NEW.account_id, NEW.created_at / 86400000, -(NEW.subscription + NEW.purchased),
        NEW.kind = 'capture', NEW.kind = 'release')
    ON CONFLICT (account_id, day) DO UPDATE SET pictures = pictures + excluded.pictures,
        completed = completed + excluded.completed, failed = failed + excluded.failed;
END;

INSERT INTO usage_days (account_id, day, pictures, completed, failed)
SELECT account_id, created_at / 86400000, -SUM(subscription + purchased),
    SUM(kind = 'capture'), SUM(kind = 'release')
FROM ledger WHERE kind IN ('capture', 'release') GROUP BY 1, 2;
