-- Nodes that an operator wants to be given nothing more.

ALTER TABLE nodes ADD COLUMN drained BOOLEAN NOT NULL DEFAULT FALSE;
