-- Which idle node is expected to finish first.

-- The model's steps of the sample that it works on; 0 while it does not, or nobody knows.
ALTER TABLE nodes ADD COLUMN steps BIGINT NOT NULL DEFAULT 0;
-- How slow it is: the binary digits of the microseconds that a step takes, so that one is about
-- twice as slow as the one below it; 0 where that is not known.
ALTER TABLE nodes ADD COLUMN pace BIGINT NOT NULL DEFAULT 0;

CREATE INDEX nodes_idle ON nodes (faults, jsonb_array_length(providers), pace, assigned_at, name)
    WHERE attempt IS NULL AND state = 'ready' AND NOT drained;

-- When the next one may be given work again.
CREATE INDEX nodes_by_hold ON nodes (hold_until) WHERE hold_until > 0;
