-- Several passphrases, each with a name and a pair of keys of its own, so that rekeying needs none of them.
CREATE TABLE slots_new (
  name       TEXT PRIMARY KEY COLLATE NOCASE, -- of the passphrase; the recovery key's is 'recovery'
  kind       TEXT NOT NULL CHECK (kind IN ('passphrase', 'recovery')),
  log_n      INTEGER NOT NULL,
  r          INTEGER NOT NULL,
  p          INTEGER NOT NULL,
  salt       BLOB NOT NULL, -- passphrases of the same cost share one: a try of one of them is a try of all
  public_key BLOB,          -- X25519; the data key is sealed to it
  locked_key BLOB,          -- its private half and a token, sealed under the key that scrypt derives
  sealed_token TEXT,        -- the token, for whoever has the data key
  tag        BLOB,          -- says by the token that the one who wrapped had the data key before
  wrapped    BLOB NOT NULL, -- the data key; without a pair, sealed under the derived key itself
  checksum   BLOB NOT NULL, -- SHA-256 of all of the above but the name: tells damage from a wrong passphrase
  created    INTEGER NOT NULL,
  operator   TEXT,          -- who made it, where that is known
  used       INTEGER,       -- when it last unlocked: for people, the audit log has the proof
  CHECK ((public_key IS NULL) = (locked_key IS NULL) AND (public_key IS NULL) = (tag IS NULL)
     AND (public_key IS NULL) = (sealed_token IS NULL))
) STRICT;
INSERT INTO slots_new (name, kind, log_n, r, p, salt, wrapped, checksum, created)
  SELECT CASE kind WHEN 'passphrase' THEN 'main' ELSE kind END, kind, log_n, r, p, salt, wrapped, checksum, created
  FROM slots;
DROP TABLE slots;
ALTER TABLE slots_new RENAME TO slots;

-- What the slots are, all of them, and the audit entry that says how they became so. None in a database without encryption,
-- and until the first unlock after this step.
ALTER TABLE vault ADD COLUMN sealed_slots TEXT;
