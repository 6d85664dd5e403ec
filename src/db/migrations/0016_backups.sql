-- Backups that were made, and where each copy of one is. No secret: what a backup holds stands in its file.

CREATE TABLE backups (
    id TEXT PRIMARY KEY CHECK (length(id) = 32), -- as the file's header says it, in hexadecimal
    created INTEGER NOT NULL,                    -- microseconds since 1970; the moment that it shows
    kind TEXT NOT NULL CHECK (kind IN ('full', 'config-only', 'keys-only')),
    size INTEGER NOT NULL CHECK (size >= 0),     -- of the file, in bytes
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    audit_entry INTEGER                          -- the newest entry of the audit log that it holds
) STRICT;

CREATE TABLE backup_copies (
    backup_id TEXT NOT NULL REFERENCES backups (id) ON DELETE CASCADE,
    host TEXT NOT NULL DEFAULT '',               -- '' is this machine; a name stays when its host is removed
    path TEXT NOT NULL,
    made INTEGER NOT NULL,
    verified INTEGER,                            -- when it was last found whole
    fault TEXT,                                  -- what was wrong when it was looked at last
    PRIMARY KEY (backup_id, host, path)
) STRICT;
