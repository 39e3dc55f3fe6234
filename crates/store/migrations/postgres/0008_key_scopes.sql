-- What a key may be used for: names with a space between each two, or nothing for everything.

ALTER TABLE api_keys ADD COLUMN scopes TEXT;
