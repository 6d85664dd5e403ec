-- Device revisions: what each device was given, and what it has shown to use.

-- One row for each thing that a device's file has said. A node that was removed keeps its rows: it may come back.
CREATE TABLE revisions (
  id              INTEGER PRIMARY KEY,
  node_id         INTEGER NOT NULL,
  number          INTEGER NOT NULL, -- counts up per node, from 1
  meaning         TEXT NOT NULL,    -- JSON, nothing secret: what the file says
  methods         TEXT NOT NULL,    -- JSON list: the ways by which it was handed out, in order, none twice
  handed_out      INTEGER NOT NULL,
  last_handed_out INTEGER NOT NULL,
  first_used      INTEGER,          -- the first handshake that only this revision or a later one explains
  last_used       INTEGER,
  sealed_content  TEXT,             -- the file; none when its private key is kept nowhere
  UNIQUE (node_id, number)
) STRICT;
