-- When keys are replaced: policies, what happened that calls for it, what was done; and how much went under each key.

CREATE TABLE rotation_policies (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  network_id  INTEGER NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
  name        TEXT NOT NULL COLLATE NOCASE,
  days        INTEGER, -- a key is replaced when it is so old
  bytes       INTEGER, -- or when so much went under it
  events      TEXT,    -- or when one of these happened to its node: a JSON list
  scope       TEXT NOT NULL, -- JSON list: all, role:ROLE, group:NUMBER, node:NUMBER
  enabled     INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  auto_deploy INTEGER NOT NULL CHECK (auto_deploy IN (0, 1)),
  notice_days INTEGER NOT NULL,
  created     INTEGER NOT NULL,
  UNIQUE (network_id, name),
  CHECK ((days IS NOT NULL) + (bytes IS NOT NULL) + (events IS NOT NULL) = 1)
) STRICT;

-- What somebody said has happened. A node that was removed keeps its rows: it may come back.
CREATE TABLE rotation_events (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  node_id  INTEGER NOT NULL,
  kind     TEXT NOT NULL,
  time     INTEGER NOT NULL,
  operator TEXT NOT NULL,
  note     TEXT NOT NULL
) STRICT;
CREATE INDEX rotation_events_node ON rotation_events (node_id);

-- What policies had done. The names are those of then.
CREATE TABLE rotation_executions (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  network_id INTEGER NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
  node_id    INTEGER NOT NULL,
  node       TEXT NOT NULL,
  policy     TEXT NOT NULL,
  why        TEXT NOT NULL,
  operator   TEXT NOT NULL,
  started    INTEGER NOT NULL,
  finished   INTEGER,       -- none: under way, or interrupted
  old_key    TEXT NOT NULL, -- of the node's main interface
  new_key    TEXT,
  error      TEXT,          -- why there is no new key
  deployed   INTEGER CHECK (deployed IN (0, 1)), -- none: nobody asked for it; 0: not yet
  deploy_note TEXT          -- why not, if somebody has tried
) STRICT;
CREATE INDEX rotation_executions_node ON rotation_executions (node_id, id);

-- Bytes between two interfaces as the near one counts them, under the keys that both had. A key that is no longer in use is
-- empty here: what went under such keys is one row. Interfaces that are gone keep theirs.
CREATE TABLE traffic (
  near_id  INTEGER NOT NULL,
  near_key TEXT NOT NULL,
  far_id   INTEGER NOT NULL,
  far_key  TEXT NOT NULL,
  rx       INTEGER NOT NULL,
  tx       INTEGER NOT NULL,
  first    INTEGER NOT NULL, -- when it was looked at first
  last     INTEGER NOT NULL, -- when it was last seen to have grown
  PRIMARY KEY (near_id, far_id, near_key, far_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX traffic_far ON traffic (far_id);

-- Keys that went out of use since that was last done.
CREATE TABLE traffic_retired (
  public_key TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TRIGGER traffic_key_retired AFTER UPDATE OF state ON keys WHEN new.state = 'retired'
BEGIN
  INSERT OR IGNORE INTO traffic_retired VALUES (new.public_key);
END;
CREATE TRIGGER traffic_key_removed AFTER DELETE ON keys
BEGIN
  INSERT OR IGNORE INTO traffic_retired VALUES (old.public_key);
END;

-- The counters of the kernel as they were seen last: what they show beyond that has come since.
CREATE TABLE traffic_counters (
  near_id INTEGER NOT NULL,
  name    TEXT NOT NULL, -- of the interface in its kernel: while it goes by two keys there are two
  far_key TEXT NOT NULL, -- of the peer: another one begins to count at nought
  born    INTEGER,       -- number of the interface in its kernel; an interface that was made anew has another
  rx      INTEGER NOT NULL,
  tx      INTEGER NOT NULL,
  boot    INTEGER NOT NULL, -- when the host was booted, by its own clock, in seconds since 1970
  uptime  INTEGER NOT NULL, -- seconds since then: an answer that shows less is an older one, or comes after another boot
  seen    INTEGER NOT NULL, -- when, by the clock of this machine
  PRIMARY KEY (near_id, name, far_key)
) STRICT, WITHOUT ROWID;
