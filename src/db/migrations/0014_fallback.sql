-- What becomes of a direct link's traffic while the link is down: it stays, or moves to the way over the servers.

ALTER TABLE links ADD COLUMN when_down TEXT NOT NULL DEFAULT 'stay' CHECK (when_down IN ('stay', 'move'));
