-- Several networks in one database.

-- An address that was given up rests in its own network: another one may have the same.
CREATE TABLE released (
  network_id INTEGER NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
  address    TEXT NOT NULL,
  released   INTEGER NOT NULL,
  PRIMARY KEY (network_id, address)
) STRICT, WITHOUT ROWID;
INSERT INTO released SELECT (SELECT min(id) FROM networks), address, released FROM released_addresses;
DROP TABLE released_addresses;
ALTER TABLE released RENAME TO released_addresses;

-- Whose interfaces were that are gone: what a host still runs of one network isn't for another to take down. One that isn't
-- here either belonged to the network that the database was made with, number 1.
CREATE TABLE removed_interfaces (
  interface_id INTEGER PRIMARY KEY,
  network_id   INTEGER NOT NULL -- may be gone
) STRICT;

-- A look at a host is about what one network has there. The network may be gone.
ALTER TABLE drift_scans ADD COLUMN network_id INTEGER NOT NULL DEFAULT 1;
ALTER TABLE drift_items ADD COLUMN network_id INTEGER NOT NULL DEFAULT 1;
ALTER TABLE drift_acks ADD COLUMN network_id INTEGER NOT NULL DEFAULT 1;
