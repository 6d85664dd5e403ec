-- Settings of hosts and interfaces.

-- Leave to write hooks that aren't on the list: why, by whom, when (microseconds since 1970). All of it or none.
ALTER TABLE hosts ADD COLUMN unsafe_reason TEXT;
ALTER TABLE hosts ADD COLUMN unsafe_operator TEXT;
ALTER TABLE hosts ADD COLUMN unsafe_time INTEGER;

-- When changes of the model are taken there: manual, on_change or scheduled.
ALTER TABLE hosts ADD COLUMN auto_sync TEXT NOT NULL DEFAULT 'manual';
