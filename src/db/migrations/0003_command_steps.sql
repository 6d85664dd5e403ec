-- What a script did on a host: one row a step, below the script's own.

ALTER TABLE commands ADD COLUMN parent_id INTEGER REFERENCES commands (id) ON DELETE CASCADE; -- none: a script
ALTER TABLE commands ADD COLUMN command TEXT; -- a step's command line; secrets stand in files that it names
CREATE INDEX commands_parent ON commands (parent_id, id) WHERE parent_id IS NOT NULL;
