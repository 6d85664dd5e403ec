-- What is said of preshared keys beside the network's own word in networks.psk: of a network, a group of nodes or a node.
-- What is NULL is inherited.

CREATE TABLE psk_rules (
  id          INTEGER PRIMARY KEY,
  network_id  INTEGER NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
  group_id    INTEGER REFERENCES node_groups (id) ON DELETE CASCADE,
  node_id     INTEGER REFERENCES nodes (id) ON DELETE CASCADE,
  mode        TEXT CHECK (mode IN ('none', 'optional', 'required', 'unique')), -- of a network: in networks.psk
  every_days  INTEGER CHECK (every_days > 0),
  notice_days INTEGER CHECK (notice_days >= 0),
  triggers    TEXT, -- a JSON list
  CHECK (group_id IS NULL OR node_id IS NULL),
  CHECK (mode IS NULL OR group_id IS NOT NULL OR node_id IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX psk_rules_scope ON psk_rules (network_id, coalesce(group_id, 0), coalesce(node_id, 0));
CREATE INDEX psk_rules_group ON psk_rules (group_id);
CREATE INDEX psk_rules_node ON psk_rules (node_id);

-- The preshared keys that come with a staged key of one of a link's ends: in force when that is.
CREATE TABLE next_preshared_keys (
  low_id     INTEGER NOT NULL REFERENCES interfaces (id) ON DELETE CASCADE,
  high_id    INTEGER NOT NULL REFERENCES interfaces (id) ON DELETE CASCADE,
  created    INTEGER NOT NULL,
  sealed_key TEXT NOT NULL,
  PRIMARY KEY (low_id, high_id),
  CHECK (low_id < high_id)
) STRICT; -- with row numbers: rekeying goes by them
CREATE INDEX next_preshared_keys_high ON next_preshared_keys (high_id);
