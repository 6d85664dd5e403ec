-- The first schema. Never edited once released: a change is a further file.
--
-- Times are microseconds since 1970, UTC. Keys are the base64 of wg(8). Columns whose name begins with `sealed_` hold
-- `enc:v1:` values that open only in their own table, column and row; `db/vault.rs` lists them for rekeying.

CREATE TABLE vault (
  id                INTEGER PRIMARY KEY CHECK (id = 1),
  database_id       TEXT NOT NULL, -- random; names the database in the kernel's keyring
  created           INTEGER NOT NULL,
  sealed_canary     TEXT NOT NULL, -- opens with the right data key, so that a wrong one is told from a damaged file
  sealed_audit_tail TEXT NOT NULL  -- number and hash of the newest audit entry, so that cutting off the tail shows
) STRICT;

-- Ways to the data key.
CREATE TABLE slots (
  kind     TEXT PRIMARY KEY CHECK (kind IN ('passphrase', 'recovery')),
  log_n    INTEGER NOT NULL,
  r        INTEGER NOT NULL,
  p        INTEGER NOT NULL,
  salt     BLOB NOT NULL,
  wrapped  BLOB NOT NULL, -- the data key, sealed under the key that scrypt derives
  checksum BLOB NOT NULL, -- SHA-256 of all of the above: tells damage from a wrong passphrase
  created  INTEGER NOT NULL
) STRICT;

-- Written without a key, hence without proof; each goes into the audit log at the next unlock.
CREATE TABLE failed_unlocks (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  time     INTEGER NOT NULL,
  operator TEXT NOT NULL,
  address  TEXT,
  source   TEXT NOT NULL
) STRICT;

CREATE TABLE networks (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  name      TEXT NOT NULL UNIQUE,
  interface TEXT NOT NULL,
  cidr4     TEXT,
  cidr6     TEXT,
  port      INTEGER NOT NULL,
  dns       TEXT NOT NULL, -- JSON list
  mtu       INTEGER NOT NULL,
  keepalive INTEGER NOT NULL,
  psk       TEXT NOT NULL
) STRICT;

CREATE TABLE hosts (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  name        TEXT NOT NULL UNIQUE,
  destination TEXT, -- none: the machine wg-friend runs on
  user        TEXT,
  port        INTEGER,
  jump        TEXT,
  identity    TEXT,
  become      TEXT NOT NULL
) STRICT;

CREATE TABLE nodes (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  network_id      INTEGER NOT NULL REFERENCES networks (id),
  guid            TEXT NOT NULL UNIQUE,
  name            TEXT NOT NULL,
  role            TEXT NOT NULL,
  device          TEXT,
  enabled         INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  custody         TEXT NOT NULL,
  provisional     INTEGER NOT NULL CHECK (provisional IN (0, 1)),
  address4        TEXT,
  address6        TEXT,
  endpoint        TEXT,
  keepalive       INTEGER,
  mtu             INTEGER,
  dns             TEXT, -- JSON list; none follows the network
  outer_interface TEXT,
  nat             INTEGER NOT NULL CHECK (nat IN (0, 1)),
  access          TEXT NOT NULL,
  exit_id         INTEGER REFERENCES nodes (id),
  host_id         INTEGER REFERENCES hosts (id),
  notes           TEXT NOT NULL,
  origin          TEXT NOT NULL,
  created         INTEGER NOT NULL,
  UNIQUE (network_id, name),
  UNIQUE (network_id, address4),
  UNIQUE (network_id, address6)
) STRICT;
CREATE INDEX nodes_exit ON nodes (exit_id) WHERE exit_id IS NOT NULL;
CREATE INDEX nodes_host ON nodes (host_id) WHERE host_id IS NOT NULL;

CREATE TABLE lans (
  node_id     INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
  position    INTEGER NOT NULL,
  cidr        TEXT NOT NULL,
  description TEXT NOT NULL,
  PRIMARY KEY (node_id, position)
) STRICT, WITHOUT ROWID;

-- The LANs of a node with access `lan_only`.
CREATE TABLE lan_selection (
  node_id INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
  cidr    TEXT NOT NULL,
  PRIMARY KEY (node_id, cidr)
) STRICT, WITHOUT ROWID;

-- What a node with access `custom` may reach.
CREATE TABLE grants (
  node_id     INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
  position    INTEGER NOT NULL,
  destination TEXT NOT NULL,
  protocol    TEXT NOT NULL,
  ports       TEXT NOT NULL, -- 22,8000-8999; empty means all
  PRIMARY KEY (node_id, position)
) STRICT, WITHOUT ROWID;

-- Addresses that a removed or re-addressed node had, and since when they have been free.
CREATE TABLE released_addresses (
  address  TEXT PRIMARY KEY,
  released INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE interfaces (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  node_id     INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
  name        TEXT NOT NULL,
  exit_id     INTEGER REFERENCES nodes (id), -- none: the node's main interface; else a server's uplink to this exit
  listen_port INTEGER,
  UNIQUE (node_id, name),
  UNIQUE (node_id, exit_id)
) STRICT;
CREATE UNIQUE INDEX interfaces_main ON interfaces (node_id) WHERE exit_id IS NULL;
CREATE INDEX interfaces_exit ON interfaces (exit_id) WHERE exit_id IS NOT NULL;

CREATE TABLE keys (
  public_key     TEXT PRIMARY KEY,
  interface_id   INTEGER NOT NULL REFERENCES interfaces (id) ON DELETE CASCADE,
  state          TEXT NOT NULL CHECK (state IN ('staged', 'active', 'retired')),
  created        INTEGER NOT NULL,
  retired        INTEGER,
  reason         TEXT, -- why it was retired
  sealed_private TEXT,
  CHECK ((state = 'retired') = (retired IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX keys_active ON keys (interface_id) WHERE state = 'active';
CREATE UNIQUE INDEX keys_staged ON keys (interface_id) WHERE state = 'staged';
CREATE INDEX keys_interface ON keys (interface_id);

CREATE TABLE preshared_keys (
  low_id     INTEGER NOT NULL REFERENCES interfaces (id) ON DELETE CASCADE,
  high_id    INTEGER NOT NULL REFERENCES interfaces (id) ON DELETE CASCADE,
  created    INTEGER NOT NULL,
  sealed_key TEXT NOT NULL,
  PRIMARY KEY (low_id, high_id),
  CHECK (low_id < high_id)
) STRICT;
CREATE INDEX preshared_keys_high ON preshared_keys (high_id);

-- The newest file made for an interface, by file name.
CREATE TABLE generated (
  interface_id   INTEGER NOT NULL REFERENCES interfaces (id) ON DELETE CASCADE,
  file           TEXT NOT NULL,
  time           INTEGER NOT NULL,
  sha256         TEXT NOT NULL,
  sealed_content TEXT NOT NULL,
  PRIMARY KEY (interface_id, file)
) STRICT;

-- Which file a node's owner was given, and how.
CREATE TABLE handouts (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  node_id INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
  method  TEXT NOT NULL,
  sha256  TEXT NOT NULL,
  time    INTEGER NOT NULL
) STRICT;
CREATE INDEX handouts_node ON handouts (node_id, id);

-- A removed host leaves its history under the name it had; a new host of that name begins with none.
CREATE TABLE deployments (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  host_id         INTEGER REFERENCES hosts (id) ON DELETE SET NULL,
  host            TEXT NOT NULL,
  version         INTEGER NOT NULL, -- counts up per host
  token           TEXT NOT NULL UNIQUE, -- names the watchdog on the host; no secret, only root there can use it
  state           TEXT NOT NULL,
  operator        TEXT NOT NULL,
  started         INTEGER NOT NULL,
  finished        INTEGER,
  note            TEXT,
  sha256          TEXT NOT NULL, -- of the content
  sealed_content  TEXT NOT NULL,
  sealed_observed TEXT           -- what the host looked like when it was confirmed
) STRICT;
CREATE INDEX deployments_host ON deployments (host_id, id);
CREATE INDEX deployments_open ON deployments (id) WHERE state = 'started';

CREATE TABLE commands (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  host_id       INTEGER REFERENCES hosts (id) ON DELETE SET NULL,
  host          TEXT NOT NULL,
  deployment_id INTEGER REFERENCES deployments (id),
  kind          TEXT NOT NULL,
  parameters    TEXT NOT NULL,
  state         TEXT NOT NULL,
  output        TEXT NOT NULL,
  started       INTEGER NOT NULL,
  duration      INTEGER -- milliseconds
) STRICT;
CREATE INDEX commands_host ON commands (host_id, id);
CREATE INDEX commands_pending ON commands (host_id) WHERE state = 'pending';
CREATE INDEX commands_deployment ON commands (deployment_id);

CREATE TABLE audit (
  id            INTEGER PRIMARY KEY, -- 1, 2, 3, ... without a gap
  time          INTEGER NOT NULL,
  action        TEXT NOT NULL,
  category      TEXT NOT NULL,
  severity      TEXT NOT NULL,
  entity_type   TEXT NOT NULL,
  entity_guid   TEXT,
  operator      TEXT NOT NULL,
  address       TEXT,
  source        TEXT NOT NULL,
  details       TEXT NOT NULL, -- JSON
  version       TEXT NOT NULL, -- of the program
  previous_hash BLOB NOT NULL,
  entry_hash    BLOB NOT NULL, -- SHA-256 of previous_hash and everything above
  mac           BLOB NOT NULL  -- HMAC-SHA-256 of entry_hash; renewed by rekeying
) STRICT;
CREATE INDEX audit_entity ON audit (entity_guid) WHERE entity_guid IS NOT NULL;
CREATE INDEX audit_time ON audit (time);

-- Against accidents; against intent there are the hashes.
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN
  SELECT RAISE (ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_no_update BEFORE UPDATE OF id, time, action, category, severity, entity_type, entity_guid,
  operator, address, source, details, version, previous_hash, entry_hash ON audit
BEGIN
  SELECT RAISE (ABORT, 'the audit log is append-only');
END;
