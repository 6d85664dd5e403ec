-- How many files devices have shown to use is asked once a second, wherever the screens are open.

CREATE INDEX revisions_used ON revisions (first_used) WHERE first_used IS NOT NULL;
