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
