-- From version 3 to 4.
-- At the start each disk of a store is looked for by its key, which read all of both tables.
CREATE INDEX volume_by_key ON volume (key) WHERE key IS NOT NULL;
CREATE INDEX trash_by_key ON trash (store, key);

-- Machines and disks count for quotas, and what counts has a name of its own for each; ended tasks
-- are found by whose they are; tokens are no longer in the database, so that the addresses with those that were end
-- (they last a day). Triggers on other tables go on writing to the table of the same name.
CREATE TABLE usage_old AS SELECT * FROM usage;
DROP TABLE usage;
CREATE TABLE usage (
        region  INTEGER NOT NULL REFERENCES region ON DELETE CASCADE,
        uid     INTEGER NOT NULL,
        key     TEXT NOT NULL CHECK (key IN ('private-images', 'snapshots', 'shared-images', 'instances', 'disks',
                                             'disk-bytes')),
        used    INTEGER NOT NULL CHECK (used >= 0),
        PRIMARY KEY (region, uid, key)
) STRICT, WITHOUT ROWID;
INSERT INTO usage SELECT region, uid, key, used FROM usage_old;
DROP TABLE usage_old;
INSERT INTO usage SELECT region, uid, 'instances', count(*) FROM instance GROUP BY region, uid;
INSERT INTO usage SELECT region, uid, 'disks', count(handle) FROM volume GROUP BY region, uid;
INSERT INTO usage SELECT region, uid, 'disk-bytes', sum(size) FROM volume GROUP BY region, uid;
CREATE TRIGGER instance_usage_insert AFTER INSERT ON instance BEGIN
        INSERT INTO usage VALUES (new.region, new.uid, 'instances', 1) ON CONFLICT DO UPDATE SET used = used + 1;
END;
CREATE TRIGGER instance_usage_delete AFTER DELETE ON instance BEGIN
        UPDATE usage SET used = used - 1 WHERE region = old.region AND uid = old.uid AND key = 'instances';
END;
CREATE TRIGGER instance_usage_update AFTER UPDATE OF uid, region ON instance
        WHEN old.uid <> new.uid OR old.region <> new.region BEGIN
        UPDATE usage SET used = used - 1 WHERE region = old.region AND uid = old.uid AND key = 'instances';
        INSERT INTO usage VALUES (new.region, new.uid, 'instances', 1) ON CONFLICT DO UPDATE SET used = used + 1;
END;
-- Disks count where they are listed, bytes as guests see them: what is stored is nobody's affair.
CREATE TRIGGER volume_usage_insert AFTER INSERT ON volume BEGIN
        INSERT INTO usage VALUES (new.region, new.uid, 'disks', new.handle IS NOT NULL),
                (new.region, new.uid, 'disk-bytes', new.size)
                ON CONFLICT DO UPDATE SET used = used + excluded.used;
END;
CREATE TRIGGER volume_usage_delete AFTER DELETE ON volume BEGIN
        UPDATE usage SET used = used - iif(key = 'disks', old.handle IS NOT NULL, old.size)
                WHERE region = old.region AND uid = old.uid AND key IN ('disks', 'disk-bytes');
END;
CREATE TRIGGER volume_usage_update AFTER UPDATE OF uid, region, handle, size ON volume
        WHEN old.uid <> new.uid OR old.region <> new.region OR old.size <> new.size
        OR (old.handle IS NULL) <> (new.handle IS NULL) BEGIN
        UPDATE usage SET used = used - iif(key = 'disks', old.handle IS NOT NULL, old.size)
                WHERE region = old.region AND uid = old.uid AND key IN ('disks', 'disk-bytes');
        INSERT INTO usage VALUES (new.region, new.uid, 'disks', new.handle IS NOT NULL),
                (new.region, new.uid, 'disk-bytes', new.size)
                ON CONFLICT DO UPDATE SET used = used + excluded.used;
END;
CREATE INDEX task_ended ON task (uid, finished) WHERE finished IS NOT NULL AND in_tasks = 1;
CREATE TRIGGER image_instances_delete BEFORE DELETE ON image BEGIN
        UPDATE instance SET image = NULL, updated = updated + 1 WHERE image = old.id;
END;

CREATE TABLE download_newest AS SELECT name, seq FROM sqlite_sequence WHERE name = 'download';
DROP TABLE download;
CREATE TABLE download (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        image   INTEGER NOT NULL REFERENCES image ON DELETE CASCADE,
        device  TEXT NOT NULL,
        format  TEXT NOT NULL CHECK (format IN ('raw', 'qcow2')),
        nonce   BLOB NOT NULL CHECK (length(nonce) = 16),
        hash    BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
        created INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        UNIQUE (image, device, format)
) STRICT;
CREATE INDEX download_by_expiry ON download (expires);
INSERT INTO sqlite_sequence (name, seq) SELECT name, seq FROM download_newest;
DROP TABLE download_newest;
