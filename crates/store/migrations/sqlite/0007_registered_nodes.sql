-- Nodes that make themselves known. Both are set for one that did, and for none that a gateway's
-- configuration lists.

ALTER TABLE nodes ADD COLUMN seen_at INTEGER;
-- It is given nothing from then on, unless it is heard of again before.
ALTER TABLE nodes ADD COLUMN registered_until INTEGER
    CHECK ((registered_until IS NULL) = (seen_at IS NULL));

CREATE INDEX nodes_by_registration ON nodes (registered_until)
    WHERE registered_until IS NOT NULL;
