-- From version 5 to 6.
-- Images know their size. That is no change of what the lists show.
ALTER TABLE image ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
DROP TRIGGER image_lists_update;
UPDATE image SET size = (SELECT ifnull(sum(blob.size), 0) FROM image_disk
        LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot
        JOIN blob ON blob.id = ifnull(snapshot.blob, image_disk.blob) WHERE image_disk.image = image.id)
        WHERE id IN (SELECT image FROM image_disk);
CREATE TRIGGER image_lists_update AFTER UPDATE ON image BEGIN
        UPDATE region SET lists = lists + 1 WHERE id IN (old.region, new.region);
END;
CREATE TRIGGER image_disk_size_insert AFTER INSERT ON image_disk BEGIN
        UPDATE image SET size = (SELECT ifnull(sum(blob.size), 0) FROM image_disk
                LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot
                JOIN blob ON blob.id = ifnull(snapshot.blob, image_disk.blob) WHERE image_disk.image = image.id)
                WHERE id = new.image;
END;
CREATE TRIGGER image_disk_size_update AFTER UPDATE OF snapshot, blob ON image_disk BEGIN
        UPDATE image SET size = (SELECT ifnull(sum(blob.size), 0) FROM image_disk
                LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot
                JOIN blob ON blob.id = ifnull(snapshot.blob, image_disk.blob) WHERE image_disk.image = image.id)
                WHERE id = new.image;
END;
CREATE TRIGGER image_disk_size_delete AFTER DELETE ON image_disk BEGIN
        UPDATE image SET size = (SELECT ifnull(sum(blob.size), 0) FROM image_disk
                LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot
                JOIN blob ON blob.id = ifnull(snapshot.blob, image_disk.blob) WHERE image_disk.image = image.id)
                WHERE id = old.image;
END;
CREATE TRIGGER snapshot_size_update AFTER UPDATE OF blob ON snapshot BEGIN
        UPDATE image SET size = (SELECT ifnull(sum(blob.size), 0) FROM image_disk
                LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot
                JOIN blob ON blob.id = ifnull(snapshot.blob, image_disk.blob) WHERE image_disk.image = image.id)
                WHERE id IN (SELECT image FROM image_disk WHERE snapshot = new.id);
END;

-- Reading blob stores through, in passes: see core/scrub_row.c. A store has a row from when it was first seen.
CREATE TABLE scrub (
        store    INTEGER PRIMARY KEY REFERENCES store ON DELETE CASCADE,
        -- when the last pass began, or the store was first seen: what the next one is due after
        since    INTEGER NOT NULL,
        -- the pass under way: when it began, or NULL; the newest blob that there was then; how far it is
        began    INTEGER,
        newest   INTEGER NOT NULL DEFAULT 0,
        stage    INTEGER NOT NULL DEFAULT 0,
        segment  INTEGER NOT NULL DEFAULT 0,
        map      BLOB CHECK (length(map) = 16),
        -- the last one that came to its end: when it began and ended, the newest blob that it read
        verified INTEGER,
        ended    INTEGER,
        covers   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What a pass found damaged, until one finds it whole. blob NULL: what is the store's own. pass: which saw it last.
CREATE TABLE damage (
        id    INTEGER PRIMARY KEY,
        store INTEGER NOT NULL REFERENCES store ON DELETE CASCADE,
        blob  INTEGER UNIQUE REFERENCES blob ON DELETE CASCADE,
        what  TEXT NOT NULL,
        found INTEGER NOT NULL,
        pass  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX damage_of_store ON damage (store, what) WHERE blob IS NULL;

-- Machines tell cloud-init more.
ALTER TABLE instance ADD COLUMN user_data TEXT NOT NULL DEFAULT '';
ALTER TABLE instance ADD COLUMN network_config TEXT NOT NULL DEFAULT '';

-- The disk of a clone is made when somebody needs it.
ALTER TABLE volume ADD COLUMN made INTEGER NOT NULL DEFAULT 1 CHECK (made IN (0, 1));
CREATE INDEX volume_unmade ON volume (id) WHERE made = 0;

-- What the library held on a day, and what that took: see work/history.c.
CREATE TABLE history (
        day           INTEGER NOT NULL, -- since 1970, in UTC
        region        TEXT NOT NULL, -- as it was called; '': the whole library
        images        INTEGER NOT NULL,
        snapshots     INTEGER NOT NULL,
        size          INTEGER NOT NULL,
        data          INTEGER NOT NULL,
        -- of the whole library, while no store is offline
        distinct_data INTEGER,
        stored        INTEGER,
        PRIMARY KEY (day, region)
) STRICT, WITHOUT ROWID;

-- How often the images changed that a user owns or is given by a share, that a group may enter, or everybody: what makes
-- the list out of date that a caller sees who is no administrator. Region 0 is all of them. Kept by the triggers below and
-- by nothing else; a number never goes down.
CREATE TABLE audience (
        region  INTEGER NOT NULL,
        kind    TEXT NOT NULL CHECK (kind IN ('everybody', 'group', 'user')),
        id      INTEGER NOT NULL, -- a uid or a gid; 0: everybody
        lists   INTEGER NOT NULL,
        PRIMARY KEY (region, kind, id)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER image_audience_insert AFTER INSERT ON image BEGIN
        INSERT INTO audience SELECT place.region, viewer.kind, viewer.id, 1
                FROM (SELECT 0 AS region UNION SELECT new.region) AS place
                JOIN (SELECT 'user' AS kind, new.uid AS id
                      UNION SELECT 'everybody', 0 WHERE new.mode & 1
                      UNION SELECT 'group', new.gid WHERE new.mode & 8) AS viewer
                WHERE true ON CONFLICT DO UPDATE SET lists = lists + 1;
END;
CREATE TRIGGER image_audience_update AFTER UPDATE ON image BEGIN
        INSERT INTO audience SELECT place.region, viewer.kind, viewer.id, 1
                FROM (SELECT 0 AS region UNION SELECT old.region UNION SELECT new.region) AS place
                JOIN (SELECT 'user' AS kind, old.uid AS id
                      UNION SELECT 'user', new.uid
                      UNION SELECT 'everybody', 0 WHERE (old.mode | new.mode) & 1
                      UNION SELECT 'group', old.gid WHERE old.mode & 8
                      UNION SELECT 'group', new.gid WHERE new.mode & 8
                      UNION SELECT 'user', uid FROM share WHERE image = new.id) AS viewer
                WHERE true ON CONFLICT DO UPDATE SET lists = lists + 1;
END;
CREATE TRIGGER image_audience_delete AFTER DELETE ON image BEGIN
        INSERT INTO audience SELECT place.region, viewer.kind, viewer.id, 1
                FROM (SELECT 0 AS region UNION SELECT old.region) AS place
                JOIN (SELECT 'user' AS kind, old.uid AS id
                      UNION SELECT 'everybody', 0 WHERE old.mode & 1
                      UNION SELECT 'group', old.gid WHERE old.mode & 8) AS viewer
                WHERE true ON CONFLICT DO UPDATE SET lists = lists + 1;
END;
CREATE TRIGGER share_audience_insert AFTER INSERT ON share BEGIN
        INSERT INTO audience VALUES (0, 'user', new.uid, 1), (new.region, 'user', new.uid, 1)
                ON CONFLICT DO UPDATE SET lists = lists + 1;
END;
CREATE TRIGGER share_audience_delete AFTER DELETE ON share BEGIN
        INSERT INTO audience VALUES (0, 'user', old.uid, 1), (old.region, 'user', old.uid, 1)
                ON CONFLICT DO UPDATE SET lists = lists + 1;
END;
CREATE TRIGGER region_audience_rename AFTER UPDATE OF handle ON region BEGIN
        INSERT INTO audience VALUES (0, 'everybody', 0, 1) ON CONFLICT DO UPDATE SET lists = lists + 1;
END;
CREATE TRIGGER region_audience_delete AFTER DELETE ON region BEGIN
        DELETE FROM audience WHERE region = old.id;
END;

-- Images are releases of something, may be kept from being removed, and come to their end.
ALTER TABLE image ADD COLUMN family TEXT NOT NULL DEFAULT '';
ALTER TABLE image ADD COLUMN protected INTEGER NOT NULL DEFAULT 0 CHECK (protected IN (0, 1));
ALTER TABLE image ADD COLUMN lifecycle TEXT NOT NULL DEFAULT 'active';
CREATE INDEX image_by_family ON image (region, family, created) WHERE family <> '';
-- The families that images are releases of, by the triggers below and nothing else: their directories have numbers.
CREATE TABLE family (
        id     INTEGER PRIMARY KEY AUTOINCREMENT,
        region INTEGER NOT NULL,
        name   TEXT NOT NULL,
        UNIQUE (region, name)
) STRICT;
CREATE TRIGGER image_family_insert AFTER INSERT ON image WHEN new.family <> '' BEGIN
        INSERT OR IGNORE INTO family (region, name) VALUES (new.region, new.family);
END;
CREATE TRIGGER image_family_update AFTER UPDATE OF family ON image WHEN new.family <> old.family BEGIN
        INSERT OR IGNORE INTO family (region, name) SELECT new.region, new.family WHERE new.family <> '';
        DELETE FROM family WHERE region = old.region AND name = old.family AND NOT EXISTS (SELECT 1 FROM image
                WHERE image.region = old.region AND image.family = old.family AND image.family <> '');
END;
CREATE TRIGGER image_family_delete AFTER DELETE ON image WHEN old.family <> '' BEGIN
        DELETE FROM family WHERE region = old.region AND name = old.family AND NOT EXISTS (SELECT 1 FROM image
                WHERE image.region = old.region AND image.family = old.family AND image.family <> '');
END;
