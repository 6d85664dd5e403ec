-- Databases without encryption.

-- The data key of a database that was made without encryption, as it is: whoever has the file has the key. Everything is
-- sealed with it all the same, so that there is one kind of database. `vault encrypt` replaces it by a key that only the
-- slots hold, and then there is no row.
CREATE TABLE plain_key (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  data_key BLOB NOT NULL,
  created  INTEGER NOT NULL
) STRICT;

-- A row: pages from before the database was encrypted may still lie in the file. Whoever opens it next writes it anew.
CREATE TABLE old_pages (id INTEGER PRIMARY KEY CHECK (id = 1)) STRICT;
