-- The history of the model: numbered states, what each of them changed, and what of removed nodes is still known.

CREATE TABLE states (
  id          INTEGER PRIMARY KEY, -- 1, 2, 3, ... without a gap
  time        INTEGER NOT NULL,
  operator    TEXT, -- none: what was there when the history began
  address     TEXT,
  source      TEXT,
  audit_id    INTEGER, -- the first entry of the audit log about the change
  description TEXT NOT NULL
) STRICT;

-- The value, from a state on, of each entity that the state changed. Nothing secret.
CREATE TABLE state_values (
  kind   TEXT NOT NULL,    -- network, node, host, link, preshared_key, document
  entity INTEGER NOT NULL, -- its row; of a pair of interfaces the lower one
  other  INTEGER NOT NULL, -- of a pair the higher one; else 0
  state  INTEGER NOT NULL REFERENCES states (id),
  value  TEXT,             -- JSON; none: it is no longer there
  PRIMARY KEY (kind, entity, other, state)
) STRICT, WITHOUT ROWID;
CREATE INDEX state_values_state ON state_values (state);

-- The content of the documents among them.
CREATE TABLE state_documents (
  id              INTEGER PRIMARY KEY,
  state           INTEGER NOT NULL REFERENCES states (id),
  interface_id    INTEGER NOT NULL, -- may be gone
  sealed_original TEXT NOT NULL,
  sealed_text     TEXT NOT NULL,
  UNIQUE (interface_id, state)
) STRICT;

-- History is added to, never rewritten.
CREATE TRIGGER states_no_update BEFORE UPDATE ON states BEGIN SELECT RAISE (ABORT, 'the history is append-only'); END;
CREATE TRIGGER states_no_delete BEFORE DELETE ON states BEGIN SELECT RAISE (ABORT, 'the history is append-only'); END;
CREATE TRIGGER state_values_no_update BEFORE UPDATE ON state_values
BEGIN
  SELECT RAISE (ABORT, 'the history is append-only');
END;
CREATE TRIGGER state_values_no_delete BEFORE DELETE ON state_values
BEGIN
  SELECT RAISE (ABORT, 'the history is append-only');
END;

-- What went with removed interfaces and nodes, and comes back with them.
CREATE TABLE removed_keys (
  public_key     TEXT PRIMARY KEY,
  interface_id   INTEGER NOT NULL,
  state          TEXT NOT NULL CHECK (state IN ('staged', 'active', 'retired')),
  created        INTEGER NOT NULL,
  retired        INTEGER,
  reason         TEXT,
  sealed_private TEXT
) STRICT;
CREATE INDEX removed_keys_interface ON removed_keys (interface_id);

CREATE TABLE removed_preshared_keys (
  low_id     INTEGER NOT NULL,
  high_id    INTEGER NOT NULL,
  created    INTEGER NOT NULL,
  sealed_key TEXT NOT NULL,
  PRIMARY KEY (low_id, high_id)
) STRICT;

CREATE TABLE removed_provenance (
  node_id    INTEGER NOT NULL,
  source     TEXT NOT NULL,
  host       TEXT,
  format     TEXT NOT NULL,
  size       INTEGER NOT NULL,
  sha256     TEXT NOT NULL,
  first_line INTEGER,
  last_line  INTEGER,
  time       INTEGER NOT NULL,
  PRIMARY KEY (node_id, source, sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE removed_handouts (
  id      INTEGER PRIMARY KEY,
  node_id INTEGER NOT NULL,
  method  TEXT NOT NULL,
  sha256  TEXT NOT NULL,
  time    INTEGER NOT NULL
) STRICT;
CREATE INDEX removed_handouts_node ON removed_handouts (node_id);
