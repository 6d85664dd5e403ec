-- Signed checkpoints of the audit log. See docs/design/decisions/0026.

-- The Ed25519 key that signs the log's heads, once there is one. It stays when the data key changes, so that heads which
-- are kept elsewhere can still be checked.
CREATE TABLE signing_key (
  id             INTEGER PRIMARY KEY CHECK (id = 1),
  public_key     TEXT NOT NULL UNIQUE, -- base64 of 32 bytes: RFC 8032
  sealed_private TEXT NOT NULL
) STRICT;

-- One after each thousand entries, and those that were asked for. The sealed tail of the log counts them.
CREATE TABLE checkpoints (
  id        INTEGER PRIMARY KEY, -- 1, 2, 3, ... without a gap
  size      INTEGER NOT NULL UNIQUE, -- so many entries
  time      INTEGER NOT NULL,
  root      BLOB NOT NULL, -- of the Merkle tree over their hashes: RFC 6962
  signature BLOB NOT NULL -- of the text that `audit checkpoint` prints
) STRICT;

CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints
BEGIN
  SELECT RAISE (ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints
BEGIN
  SELECT RAISE (ABORT, 'the audit log is append-only');
END;
