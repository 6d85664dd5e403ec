-- Backups that build on another one. Both tables are made anew: the list of kinds is part of one, to which the other refers,
-- and what refers to a row goes with it.

CREATE TABLE backups_new (
    id TEXT PRIMARY KEY CHECK (length(id) = 32), -- as the file's header says it, in hexadecimal
    created INTEGER NOT NULL,                    -- microseconds since 1970; the moment that it shows
    kind TEXT NOT NULL CHECK (kind IN ('full', 'incremental', 'config-only', 'keys-only')),
    size INTEGER NOT NULL CHECK (size >= 0),     -- of the file, in bytes
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    audit_entry INTEGER,                         -- the newest entry of the audit log that it holds
    base TEXT CHECK (length(base) = 32),         -- the full one that it builds on, which need not be known any more
    CHECK ((kind = 'incremental') = (base IS NOT NULL))
) STRICT;
INSERT INTO backups_new (id, created, kind, size, sha256, audit_entry)
  SELECT id, created, kind, size, sha256, audit_entry FROM backups;

CREATE TABLE backup_copies_new (
    backup_id TEXT NOT NULL REFERENCES backups_new (id) ON DELETE CASCADE,
    host TEXT NOT NULL DEFAULT '',               -- '' is this machine; a name stays when its host is removed
    path TEXT NOT NULL,
    made INTEGER NOT NULL,
    verified INTEGER,                            -- when it was last found whole
    fault TEXT,                                  -- what was wrong when it was looked at last
    PRIMARY KEY (backup_id, host, path)
) STRICT;
INSERT INTO backup_copies_new (backup_id, host, path, made, verified, fault)
  SELECT backup_id, host, path, made, verified, fault FROM backup_copies;

DROP TABLE backup_copies;
DROP TABLE backups;
ALTER TABLE backups_new RENAME TO backups;
ALTER TABLE backup_copies_new RENAME TO backup_copies;
