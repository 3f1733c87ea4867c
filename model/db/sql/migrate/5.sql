-- From version 4 to 5.

DROP INDEX instance_by_image;
CREATE INDEX instance_by_image ON instance (image, uid) WHERE image IS NOT NULL;
