-- Drift: what was found on hosts that nobody had deployed, and what of it somebody has acknowledged.

-- One row for each host that was looked at. Those of one time were looked at together.
CREATE TABLE drift_scans (
  id           INTEGER PRIMARY KEY,
  host_id      INTEGER REFERENCES hosts (id) ON DELETE SET NULL,
  host         TEXT NOT NULL, -- its name then
  time         INTEGER NOT NULL,
  duration     INTEGER NOT NULL, -- milliseconds
  outcome      TEXT NOT NULL CHECK (outcome IN ('clean', 'drift', 'unknown')),
  items        INTEGER NOT NULL, -- not acknowledged
  acknowledged INTEGER NOT NULL,
  note         TEXT -- why nothing is known
) STRICT;
CREATE INDEX drift_scans_host ON drift_scans (host_id, id);
CREATE INDEX drift_scans_time ON drift_scans (time);

-- One row for each difference, from the scan that found it first to the last one, without a scan between that didn't.
CREATE TABLE drift_items (
  id         INTEGER PRIMARY KEY,
  host_id    INTEGER REFERENCES hosts (id) ON DELETE SET NULL,
  host       TEXT NOT NULL,
  item       TEXT NOT NULL, -- short digest of what it is and of what was found
  interface  TEXT,
  kind       TEXT NOT NULL,
  subject    TEXT NOT NULL,
  found      TEXT,
  wanted     TEXT,
  severity   TEXT NOT NULL,
  scans      INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  last_scan  INTEGER NOT NULL -- may be gone
) STRICT;
CREATE INDEX drift_items_host ON drift_items (host_id, last_scan);
CREATE INDEX drift_items_time ON drift_items (last_seen);

CREATE TABLE drift_acks (
  host_id   INTEGER NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
  item      TEXT NOT NULL,
  interface TEXT,
  kind      TEXT NOT NULL,
  subject   TEXT NOT NULL,
  found     TEXT,
  wanted    TEXT,
  severity  TEXT NOT NULL,
  reason    TEXT NOT NULL,
  operator  TEXT NOT NULL,
  time      INTEGER NOT NULL,
  until     INTEGER, -- none: for good
  PRIMARY KEY (host_id, item)
) STRICT, WITHOUT ROWID;
