-- Exits one after another by which internet traffic leaves, of remotes and of the network: a JSON list of their numbers.
ALTER TABLE nodes ADD COLUMN exit_via TEXT;
ALTER TABLE networks ADD COLUMN exit_via TEXT;
