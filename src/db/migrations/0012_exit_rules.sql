-- Rules for internet traffic by destination, in order, of remotes, of groups for their members, and of the network for every
-- remote: JSON lists of {"destinations", "protocol", "ports", "action"}; none: none.
ALTER TABLE nodes ADD COLUMN exit_rules TEXT;
ALTER TABLE node_groups ADD COLUMN exit_rules TEXT;
ALTER TABLE networks ADD COLUMN exit_rules TEXT;
