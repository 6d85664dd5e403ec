-- Networks that were there before, and what their nodes keep of them.

ALTER TABLE interfaces ADD COLUMN kept TEXT; -- JSON; none: wg-friend made the interface

-- Links beside those that follow from the nodes' roles.
CREATE TABLE links (
  low_id  INTEGER NOT NULL REFERENCES interfaces (id) ON DELETE CASCADE,
  high_id INTEGER NOT NULL REFERENCES interfaces (id) ON DELETE CASCADE,
  PRIMARY KEY (low_id, high_id),
  CHECK (low_id < high_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_high ON links (high_id);

-- The configuration that an interface had when it was adopted, in the language of wg-quick(8).
CREATE TABLE documents (
  interface_id    INTEGER PRIMARY KEY REFERENCES interfaces (id) ON DELETE CASCADE,
  sealed_original TEXT NOT NULL, -- as it was read
  sealed_text     TEXT NOT NULL  -- what files are made from: the same, less what wg-friend has taken over since
) STRICT;

-- Where a node is known from.
CREATE TABLE provenance (
  node_id    INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
  source     TEXT NOT NULL, -- file name, or interface of a host
  host       TEXT,          -- name of the host it was read from
  format     TEXT NOT NULL,
  size       INTEGER NOT NULL, -- bytes
  sha256     TEXT NOT NULL,    -- of the whole source
  first_line INTEGER,          -- the part that speaks of the node; none: all of it
  last_line  INTEGER,
  time       INTEGER NOT NULL,
  PRIMARY KEY (node_id, source, sha256),
  CHECK ((first_line IS NULL) = (last_line IS NULL))
) STRICT, WITHOUT ROWID;
