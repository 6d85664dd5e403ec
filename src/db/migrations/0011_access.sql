-- Grants that end, groups of nodes, stable clients.

-- From now on a grant adds to whatever level its node has. Grants beside another level than `custom` permitted nothing so
-- far: they go, so that nobody may more than before. States up to this one are read in the same way.
CREATE TABLE grants_add (
  after_state INTEGER NOT NULL
) STRICT;
INSERT INTO grants_add SELECT coalesce(max(id), 0) FROM states;
DELETE FROM grants WHERE node_id IN (SELECT id FROM nodes WHERE access <> 'custom');

ALTER TABLE grants ADD COLUMN until INTEGER; -- none: it lasts
ALTER TABLE grants ADD COLUMN note TEXT NOT NULL DEFAULT '';

CREATE TABLE node_groups (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  network_id INTEGER NOT NULL REFERENCES networks (id),
  name       TEXT NOT NULL,
  note       TEXT NOT NULL,
  UNIQUE (network_id, name)
) STRICT;

CREATE TABLE node_group_members (
  group_id INTEGER NOT NULL REFERENCES node_groups (id) ON DELETE CASCADE,
  node_id  INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
  PRIMARY KEY (group_id, node_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX node_group_members_node ON node_group_members (node_id);

CREATE TABLE node_group_grants (
  group_id    INTEGER NOT NULL REFERENCES node_groups (id) ON DELETE CASCADE,
  position    INTEGER NOT NULL,
  destination TEXT NOT NULL, -- as in grants: a prefix, node:NUMBER or group:NUMBER
  protocol    TEXT NOT NULL,
  ports       TEXT NOT NULL,
  until       INTEGER,
  note        TEXT NOT NULL,
  PRIMARY KEY (group_id, position)
) STRICT, WITHOUT ROWID;

ALTER TABLE networks ADD COLUMN stable_clients TEXT NOT NULL DEFAULT '[]'; -- JSON list of prefixes
