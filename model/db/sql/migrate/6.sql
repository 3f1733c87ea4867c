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

-- What happened, for who follows it: see core/event.c. Written by the triggers below and by nothing else, so that it is
-- in the transaction that it tells of; there is one writer, so that seq goes up in the order of commits. A row is kept
-- in the ring of its owner: her newest, as many as limits has them, of what she alone may see (reach 0), and as many of
-- what others may see, too (1). The newest of all is never removed, so that no seq is used twice.
CREATE TABLE event (
        seq     INTEGER PRIMARY KEY,
        time    INTEGER NOT NULL,
        what    TEXT NOT NULL,
        region  TEXT NOT NULL, -- as it was called; '': none
        object  TEXT NOT NULL, -- its path in the region
        ident   TEXT NOT NULL,
        -- who might see it then: modes as of its directory, without those that the region's withhold
        uid     INTEGER NOT NULL,
        gid     INTEGER NOT NULL,
        mode    INTEGER NOT NULL,
        -- and besides: ',12001,12002,', or NULL
        readers TEXT,
        reach   INTEGER NOT NULL CHECK (reach IN (0, 1)),
        -- in its ring: which it is, and the seq of the one before it, which may be gone
        n       INTEGER NOT NULL,
        prev    INTEGER NOT NULL,
        detail  TEXT NOT NULL
) STRICT;
CREATE INDEX event_ring ON event (reach, uid);
CREATE INDEX event_open ON event (seq) WHERE reach = 1;

CREATE TRIGGER event_bound AFTER INSERT ON event BEGIN
        -- two, so that a ring whose limit was lowered gets shorter
        DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE reach = new.reach AND uid = new.uid
                                        ORDER BY seq LIMIT 2)
                AND n <= new.n - max(1, ifnull((SELECT value FROM quota_limit WHERE ifnull(region, 0) = 0
                                                AND ifnull(uid, -1) = -1 AND key = 'events'), 10000));
END;

-- What triggers say of an event; image: whose shares may read it; reader: another one who may.
CREATE VIEW happening AS SELECT NULL AS what, NULL AS region, NULL AS object, NULL AS ident, NULL AS uid, NULL AS gid,
        NULL AS mode, NULL AS image, NULL AS reader, NULL AS detail;
CREATE TRIGGER happening_insert INSTEAD OF INSERT ON happening BEGIN
        INSERT INTO event (time, what, region, object, ident, uid, gid, mode, readers, reach, n, prev, detail)
        SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER), new.what, place, new.object, new.ident,
                new.uid, new.gid, seen, readers, reach,
                ifnull((SELECT n FROM event WHERE event.reach = r.reach AND uid = new.uid
                        ORDER BY seq DESC LIMIT 1), 0) + 1,
                ifnull((SELECT seq FROM event WHERE event.reach = r.reach AND uid = new.uid
                        ORDER BY seq DESC LIMIT 1), 0),
                new.detail
        FROM (SELECT place, seen, readers, readers IS NOT NULL OR seen & 9 <> 0 AS reach
              FROM (SELECT ifnull(region.handle, '') AS place,
                           new.mode & CASE WHEN region.id IS NULL OR region.mode & 1 THEN 511
                                           WHEN region.mode & 8 AND region.gid = new.gid THEN 504 ELSE 448 END AS seen,
                           CASE WHEN region.id IS NULL OR region.mode & 1 THEN
                                ',' || nullif(concat_readers, '') || ',' END AS readers
                    FROM (SELECT ifnull((SELECT group_concat(uid) FROM share WHERE share.image = new.image), '') ||
                                 ifnull(',' || new.reader, '') AS concat_readers)
                    LEFT JOIN region ON region.id = new.region)) AS r;
END;

-- Regions.
CREATE TRIGGER event_region_made AFTER INSERT ON region BEGIN
        INSERT INTO happening VALUES ('made', new.id, '', '',
                new.uid, new.gid, new.mode, NULL, NULL, '');
END;
CREATE TRIGGER event_region_removed BEFORE DELETE ON region BEGIN
        INSERT INTO happening VALUES ('removed', old.id, '', '',
                old.uid, old.gid, old.mode, NULL, NULL, '');
END;
CREATE TRIGGER event_region_moved AFTER UPDATE OF handle ON region
        WHEN old.handle <> new.handle BEGIN
        INSERT INTO happening VALUES ('moved', new.id, '', '',
                new.uid, new.gid, new.mode, NULL, NULL, old.handle);
END;
CREATE TRIGGER event_region_access AFTER UPDATE OF mode ON region
        WHEN old.mode <> new.mode BEGIN
        INSERT INTO happening VALUES ('access', new.id, '', '',
                new.uid, new.gid, new.mode, NULL, NULL, printf('%04o', new.mode));
END;
CREATE TRIGGER event_region_owner AFTER UPDATE OF uid ON region
        WHEN old.uid <> new.uid BEGIN
        INSERT INTO happening VALUES ('owner', new.id, '', '',
                new.uid, new.gid, new.mode, NULL, old.uid, old.uid);
END;

-- Images; a move is one into another class, too.
CREATE TRIGGER event_image_made AFTER INSERT ON image BEGIN
        INSERT INTO happening VALUES ('made', new.region, new.class || '/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, new.id, NULL, new.status);
END;
CREATE TRIGGER event_image_removed AFTER DELETE ON image BEGIN
        INSERT INTO happening VALUES ('removed', old.region, old.class || '/' || old.handle, old.ident,
                old.uid, old.gid, old.mode, old.id, NULL, '');
END;
CREATE TRIGGER event_image_moved AFTER UPDATE OF class, handle ON image
        WHEN old.class <> new.class OR old.handle <> new.handle BEGIN
        INSERT INTO happening VALUES ('moved', new.region, new.class || '/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, new.id, NULL, old.class || '/' || old.handle);
END;
CREATE TRIGGER event_image_access AFTER UPDATE OF mode ON image
        WHEN old.mode <> new.mode BEGIN
        INSERT INTO happening VALUES ('access', new.region, new.class || '/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, new.id, NULL, printf('%04o', new.mode));
END;
CREATE TRIGGER event_image_owner AFTER UPDATE OF uid ON image
        WHEN old.uid <> new.uid BEGIN
        INSERT INTO happening VALUES ('owner', new.region, new.class || '/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, new.id, old.uid, old.uid);
END;
CREATE TRIGGER event_image_status AFTER UPDATE OF status ON image
        WHEN old.status <> new.status BEGIN
        INSERT INTO happening VALUES ('status', new.region, new.class || '/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, new.id, NULL, new.status);
END;

-- Snapshots.
CREATE TRIGGER event_snapshot_made AFTER INSERT ON snapshot BEGIN
        INSERT INTO happening VALUES ('made', new.region, 'snapshots/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, new.status);
END;
CREATE TRIGGER event_snapshot_removed AFTER DELETE ON snapshot BEGIN
        INSERT INTO happening VALUES ('removed', old.region, 'snapshots/' || old.handle, old.ident,
                old.uid, old.gid, old.mode, NULL, NULL, '');
END;
CREATE TRIGGER event_snapshot_moved AFTER UPDATE OF handle ON snapshot
        WHEN old.handle <> new.handle BEGIN
        INSERT INTO happening VALUES ('moved', new.region, 'snapshots/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, 'snapshots/' || old.handle);
END;
CREATE TRIGGER event_snapshot_access AFTER UPDATE OF mode ON snapshot
        WHEN old.mode <> new.mode BEGIN
        INSERT INTO happening VALUES ('access', new.region, 'snapshots/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, printf('%04o', new.mode));
END;
CREATE TRIGGER event_snapshot_owner AFTER UPDATE OF uid ON snapshot
        WHEN old.uid <> new.uid BEGIN
        INSERT INTO happening VALUES ('owner', new.region, 'snapshots/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, old.uid, old.uid);
END;
CREATE TRIGGER event_snapshot_status AFTER UPDATE OF status ON snapshot
        WHEN old.status <> new.status BEGIN
        INSERT INTO happening VALUES ('status', new.region, 'snapshots/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, new.status);
END;

-- Machines.
CREATE TRIGGER event_instance_made AFTER INSERT ON instance BEGIN
        INSERT INTO happening VALUES ('made', new.region, 'instances/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, '');
END;
CREATE TRIGGER event_instance_removed AFTER DELETE ON instance BEGIN
        INSERT INTO happening VALUES ('removed', old.region, 'instances/' || old.handle, old.ident,
                old.uid, old.gid, old.mode, NULL, NULL, '');
END;
CREATE TRIGGER event_instance_moved AFTER UPDATE OF handle ON instance
        WHEN old.handle <> new.handle BEGIN
        INSERT INTO happening VALUES ('moved', new.region, 'instances/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, 'instances/' || old.handle);
END;
CREATE TRIGGER event_instance_access AFTER UPDATE OF mode ON instance
        WHEN old.mode <> new.mode BEGIN
        INSERT INTO happening VALUES ('access', new.region, 'instances/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, printf('%04o', new.mode));
END;
CREATE TRIGGER event_instance_owner AFTER UPDATE OF uid ON instance
        WHEN old.uid <> new.uid BEGIN
        INSERT INTO happening VALUES ('owner', new.region, 'instances/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, old.uid, old.uid);
END;
CREATE TRIGGER event_instance_power AFTER UPDATE OF power ON instance
        WHEN old.power <> new.power BEGIN
        INSERT INTO happening VALUES (iif(new.power, 'started', 'stopped'), new.region, 'instances/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, '');
END;

-- Disks; those that go with a machine are told of with it.
CREATE TRIGGER event_volume_made AFTER INSERT ON volume
        WHEN new.handle IS NOT NULL AND new.made_with = 0 BEGIN
        INSERT INTO happening VALUES ('made', new.region, 'disks/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, '');
END;
CREATE TRIGGER event_volume_removed AFTER DELETE ON volume
        WHEN old.handle IS NOT NULL AND old.made_with = 0 BEGIN
        INSERT INTO happening VALUES ('removed', old.region, 'disks/' || old.handle, old.ident,
                old.uid, old.gid, old.mode, NULL, NULL, '');
END;
CREATE TRIGGER event_volume_moved AFTER UPDATE OF handle ON volume
        WHEN old.handle <> new.handle
              AND new.handle IS NOT NULL AND new.made_with = 0 BEGIN
        INSERT INTO happening VALUES ('moved', new.region, 'disks/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, 'disks/' || old.handle);
END;
CREATE TRIGGER event_volume_access AFTER UPDATE OF mode ON volume
        WHEN old.mode <> new.mode
              AND new.handle IS NOT NULL AND new.made_with = 0 BEGIN
        INSERT INTO happening VALUES ('access', new.region, 'disks/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, printf('%04o', new.mode));
END;
CREATE TRIGGER event_volume_owner AFTER UPDATE OF uid ON volume
        WHEN old.uid <> new.uid
              AND new.handle IS NOT NULL AND new.made_with = 0 BEGIN
        INSERT INTO happening VALUES ('owner', new.region, 'disks/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, old.uid, old.uid);
END;
CREATE TRIGGER event_volume_size AFTER UPDATE OF size ON volume
        WHEN old.size <> new.size
              AND new.handle IS NOT NULL AND new.made_with = 0 BEGIN
        INSERT INTO happening VALUES ('resized', new.region, 'disks/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, CAST(new.size AS TEXT));
END;
CREATE TRIGGER event_volume_attached AFTER UPDATE OF instance ON volume
        WHEN old.instance IS NOT new.instance AND new.instance IS NOT NULL
              AND new.handle IS NOT NULL AND new.made_with = 0 BEGIN
        INSERT INTO happening VALUES ('attached', new.region, 'disks/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL,
                (SELECT 'instances/' || handle || '/disks/' || new.device FROM instance WHERE id = new.instance));
END;
CREATE TRIGGER event_volume_detached AFTER UPDATE OF instance ON volume
        WHEN old.instance IS NOT new.instance AND old.instance IS NOT NULL
              AND new.handle IS NOT NULL AND new.made_with = 0 BEGIN
        INSERT INTO happening VALUES ('detached', new.region, 'disks/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL,
                ifnull((SELECT 'instances/' || handle || '/disks/' || old.device FROM instance
                        WHERE id = old.instance), ''));
END;

-- Shares: both who gives and who gets hear of it.
CREATE TRIGGER event_share_shared AFTER INSERT ON share BEGIN
        INSERT INTO happening SELECT 'shared', region, class || '/' || handle, ident, uid, gid, mode, id,
                new.uid, new.uid
                FROM image WHERE id = new.image;
END;
CREATE TRIGGER event_share_unshared AFTER DELETE ON share BEGIN
        INSERT INTO happening SELECT 'unshared', region, class || '/' || handle, ident, uid, gid, mode, id,
                old.uid, old.uid
                FROM image WHERE id = old.image;
END;

-- Tasks, those that are in tasks/.
CREATE TRIGGER event_task_made AFTER INSERT ON task WHEN new.in_tasks = 1 BEGIN
        INSERT INTO happening VALUES ('made', new.region, 'tasks/' || new.ident, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, new.kind);
END;
CREATE TRIGGER event_task_ended AFTER UPDATE OF status ON task
        WHEN old.status IN ('queued', 'running') AND new.status NOT IN ('queued', 'running') AND new.in_tasks = 1 BEGIN
        INSERT INTO happening VALUES ('ended', new.region, 'tasks/' || new.ident, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, new.kind || ' ' || new.status);
END;

-- What scrubbing finds, and finds whole again: the administrator hears where, owners that it is theirs.
CREATE TRIGGER event_damage_damaged AFTER INSERT ON damage BEGIN
        INSERT INTO happening VALUES ('damaged', NULL, '', '', 0, 0, 0, NULL, NULL, new.what);
        INSERT INTO happening SELECT 'damaged', region, class || '/' || handle, ident, uid, gid, mode, id, NULL, ''
                FROM image WHERE id IN (SELECT image FROM image_disk WHERE blob = new.blob UNION
                        SELECT image FROM image_disk JOIN snapshot ON snapshot.id = snapshot
                                WHERE snapshot.blob = new.blob);
        INSERT INTO happening SELECT 'damaged', region, 'snapshots/' || handle, ident, uid, gid, mode, NULL, NULL, ''
                FROM snapshot WHERE blob = new.blob;
        INSERT INTO happening SELECT 'damaged', volume.region,
                ifnull('disks/' || volume.handle, 'instances/' || instance.handle || '/disks/' || device), volume.ident,
                volume.uid, volume.gid, volume.mode, NULL, NULL, ''
                FROM volume LEFT JOIN instance ON instance.id = volume.instance WHERE base = new.blob;
END;
CREATE TRIGGER event_damage_healed AFTER DELETE ON damage BEGIN
        INSERT INTO happening VALUES ('healed', NULL, '', '', 0, 0, 0, NULL, NULL, old.what);
        INSERT INTO happening SELECT 'healed', region, class || '/' || handle, ident, uid, gid, mode, id, NULL, ''
                FROM image WHERE id IN (SELECT image FROM image_disk WHERE blob = old.blob UNION
                        SELECT image FROM image_disk JOIN snapshot ON snapshot.id = snapshot
                                WHERE snapshot.blob = old.blob);
        INSERT INTO happening SELECT 'healed', region, 'snapshots/' || handle, ident, uid, gid, mode, NULL, NULL, ''
                FROM snapshot WHERE blob = old.blob;
        INSERT INTO happening SELECT 'healed', volume.region,
                ifnull('disks/' || volume.handle, 'instances/' || instance.handle || '/disks/' || device), volume.ident,
                volume.uid, volume.gid, volume.mode, NULL, NULL, ''
                FROM volume LEFT JOIN instance ON instance.id = volume.instance WHERE base = old.blob;
END;
