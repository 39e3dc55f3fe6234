-- What a provider of OpenID Connect calls those who sign in there.

CREATE TABLE identities (
    -- The provider, as it calls itself.
    issuer     TEXT COLLATE "C" NOT NULL CHECK (length(issuer) BETWEEN 1 AND 2048),
    -- What it calls somebody, and never calls anybody else.
    subject    TEXT COLLATE "C" NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject),
    -- Whoever takes over an address of mail does not take over its login.
    UNIQUE (user_id, issuer)
);
