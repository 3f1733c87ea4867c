-- From version 4 to 5.
-- Images' directories in the recycle bin are others than before.
ALTER TABLE image ADD COLUMN places INTEGER NOT NULL DEFAULT 0;

DROP INDEX instance_by_image;
CREATE INDEX instance_by_image ON instance (image, uid) WHERE image IS NOT NULL;

-- Warnings are kept apart from refusals, among which they were those without an errno.
CREATE TABLE image_warning (
        id       INTEGER PRIMARY KEY,
        image    INTEGER NOT NULL REFERENCES image ON DELETE CASCADE,
        sentence TEXT NOT NULL,
        UNIQUE (image, sentence)
) STRICT;
INSERT OR IGNORE INTO image_warning (image, sentence) SELECT object, sentence FROM refusal
        WHERE errno = 0 AND object_kind = 'image' AND object IN (SELECT id FROM image) ORDER BY id;
DELETE FROM refusal WHERE errno = 0;
CREATE INDEX image_queued ON image (updated) WHERE status = 'queued';

-- ISOs have become their tenants', and count for them; one may be in any machine's drive.
ALTER TABLE instance ADD COLUMN cdrom INTEGER REFERENCES image;
UPDATE instance SET cdrom = image WHERE image IN (SELECT id FROM image WHERE source = 'iso');
CREATE INDEX instance_by_cdrom ON instance (cdrom, uid) WHERE cdrom IS NOT NULL;
INSERT INTO usage SELECT region, uid, 'private-images', count(*) FROM image WHERE class = 'iso' AND uid <> 0
        GROUP BY region, uid ON CONFLICT DO UPDATE SET used = used + excluded.used;
DROP TRIGGER image_usage_insert;
CREATE TRIGGER image_usage_insert AFTER INSERT ON image
        WHEN new.class = 'private' OR new.class = 'iso' AND new.uid <> 0 BEGIN
        INSERT INTO usage VALUES (new.region, new.uid, 'private-images', 1)
                ON CONFLICT DO UPDATE SET used = used + 1;
END;
DROP TRIGGER image_usage_delete;
CREATE TRIGGER image_usage_delete AFTER DELETE ON image
        WHEN old.class = 'private' OR old.class = 'iso' AND old.uid <> 0 BEGIN
        UPDATE usage SET used = used - 1
                WHERE region = old.region AND uid = old.uid AND key = 'private-images';
END;
DROP TRIGGER image_usage_update;
CREATE TRIGGER image_usage_update AFTER UPDATE OF class, uid, region ON image
        WHEN old.class <> new.class OR old.uid <> new.uid OR old.region <> new.region BEGIN
        UPDATE usage SET used = used - 1
                WHERE (old.class = 'private' OR old.class = 'iso' AND old.uid <> 0)
                AND region = old.region AND uid = old.uid AND key = 'private-images';
        INSERT INTO usage SELECT new.region, new.uid, 'private-images', 1
                WHERE new.class = 'private' OR new.class = 'iso' AND new.uid <> 0
                ON CONFLICT DO UPDATE SET used = used + 1;
END;
DROP TRIGGER image_instances_delete;
CREATE TRIGGER image_instances_delete BEFORE DELETE ON image BEGIN
        UPDATE instance SET image = iif(image = old.id, NULL, image), cdrom = iif(cdrom = old.id, NULL, cdrom),
                updated = updated + 1 WHERE image = old.id OR cdrom = old.id;
END;

-- What is for everybody is always both.
UPDATE image SET type = 'both' WHERE source IN ('public', 'marketplace') AND type <> 'both';

-- Refusals are kept in memory.
DROP TABLE refusal;

-- There are lists of all regions, too.
ALTER TABLE library ADD COLUMN lists INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER region_lists_update AFTER UPDATE OF lists, handle ON region BEGIN
        UPDATE library SET lists = lists + 1;
END;
