-- From version 3 to 4: at the start each disk of a store is looked for by its key, which read all of both tables.
CREATE INDEX volume_by_key ON volume (key) WHERE key IS NOT NULL;
CREATE INDEX trash_by_key ON trash (store, key);
