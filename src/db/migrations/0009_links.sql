-- Links that the operator makes, and which server a node belongs to.

ALTER TABLE links ADD COLUMN weight INTEGER; -- what a step over it costs; none: it carries just what its ends keep
ALTER TABLE nodes ADD COLUMN server_id INTEGER REFERENCES nodes (id); -- none: the first server
CREATE INDEX nodes_server ON nodes (server_id) WHERE server_id IS NOT NULL;
