-- Groups of exits, and by which way the internet traffic of nodes leaves.

CREATE TABLE exit_groups (
  id            INTEGER PRIMARY KEY AUTOINCREMENT, -- routing tables have numbers that derive from it
  network_id    INTEGER NOT NULL REFERENCES networks (id),
  name          TEXT NOT NULL,
  active_id     INTEGER REFERENCES nodes (id), -- the exit that it was told to go by; none: it is empty
  active_since  INTEGER,
  active_reason TEXT,
  UNIQUE (network_id, name),
  CHECK ((active_id IS NULL) = (active_since IS NULL) AND (active_id IS NULL) = (active_reason IS NULL))
) STRICT;

CREATE TABLE exit_members (
  group_id INTEGER NOT NULL REFERENCES exit_groups (id) ON DELETE CASCADE,
  exit_id  INTEGER NOT NULL REFERENCES nodes (id),
  priority INTEGER NOT NULL,
  enabled  INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  PRIMARY KEY (group_id, exit_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX exit_members_exit ON exit_members (exit_id);

-- A node leaves by the exit in exit_id, by the group in exit_group_id, by none where exit_none is 1, and else as its
-- network does; at most one of the three is set.
ALTER TABLE nodes ADD COLUMN exit_group_id INTEGER REFERENCES exit_groups (id);
ALTER TABLE nodes ADD COLUMN exit_none INTEGER NOT NULL DEFAULT 0 CHECK (exit_none IN (0, 1));
-- Whether nothing of it leaves while its exit can't be used; none follows the network.
ALTER TABLE nodes ADD COLUMN kill_switch INTEGER CHECK (kill_switch IN (0, 1));
-- JSON list of prefixes that the internet routes to an exit; none: none.
ALTER TABLE nodes ADD COLUMN routed TEXT;
CREATE INDEX nodes_exit_group ON nodes (exit_group_id) WHERE exit_group_id IS NOT NULL;

-- What holds for nodes that are not told; neither set: by none.
ALTER TABLE networks ADD COLUMN exit_id INTEGER REFERENCES nodes (id);
ALTER TABLE networks ADD COLUMN exit_group_id INTEGER REFERENCES exit_groups (id);
ALTER TABLE networks ADD COLUMN kill_switch INTEGER NOT NULL DEFAULT 0 CHECK (kill_switch IN (0, 1));
