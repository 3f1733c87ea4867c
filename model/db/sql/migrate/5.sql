-- From version 4 to 5.
CREATE INDEX image_queued ON image (updated) WHERE status = 'queued';
