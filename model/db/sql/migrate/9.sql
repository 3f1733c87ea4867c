-- From version 8 to 9.

-- Directories that the library was served from. So far there was this one, which has no name yet: core/place.c gives it that.
CREATE TABLE place (
        id        INTEGER PRIMARY KEY AUTOINCREMENT,
        ident     TEXT NOT NULL UNIQUE,
        host      TEXT NOT NULL,
        directory TEXT NOT NULL
) STRICT;
INSERT INTO place (ident, host, directory) VALUES (lower(hex(randomblob(12))), '', '');

ALTER TABLE trash ADD COLUMN place INTEGER REFERENCES place;
ALTER TABLE image ADD COLUMN place INTEGER REFERENCES place;
ALTER TABLE volume ADD COLUMN place INTEGER REFERENCES place;
ALTER TABLE task ADD COLUMN place INTEGER REFERENCES place;

-- What is in no directory of a store's own is in this one.
UPDATE volume SET place = (SELECT id FROM place) WHERE key IS NOT NULL AND region IN (SELECT region.id FROM region
        JOIN store ON store.id = region.store WHERE store.path = '' OR store.path LIKE 's3://%');

DROP TRIGGER volume_trash;
CREATE TRIGGER volume_trash AFTER DELETE ON volume WHEN old.key IS NOT NULL BEGIN
        INSERT INTO trash (store, key, place) SELECT store, old.key, old.place FROM region WHERE id = old.region;
END;
