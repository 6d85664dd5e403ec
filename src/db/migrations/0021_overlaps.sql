-- Interfaces that are dialled by their present key at one port, and by their staged key at another.
CREATE TABLE key_overlaps (
  interface_id INTEGER PRIMARY KEY REFERENCES interfaces (id) ON DELETE CASCADE,
  port         INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535), -- of the staged key
  until        INTEGER, -- when the present key ends; none: when nobody goes by it any more
  over         INTEGER NOT NULL DEFAULT 0 CHECK (over IN (0, 1)) -- 1: the staged key takes its place
) STRICT;
