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

-- Refusals are kept in memory.
DROP TABLE refusal;
