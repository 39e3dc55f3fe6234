-- Keys that open nothing any more from some time on.

ALTER TABLE api_keys ADD COLUMN expires_at BIGINT;
