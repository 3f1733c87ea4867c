-- From version 2 to 3: libraries have a name, and note what nothing names; the kinds of tasks are no longer checked here, as they stand in the program's table of kinds alone.
-- Nothing refers to tasks, and nothing is triggered by them. The newest id stays known, so that none is used again.
CREATE TABLE library_new (
        born    INTEGER NOT NULL,
        ident   TEXT NOT NULL
) STRICT;
INSERT INTO library_new SELECT born, lower(hex(randomblob(16))) FROM library;
DROP TABLE library;
ALTER TABLE library_new RENAME TO library;

CREATE TABLE unnamed (
        store INTEGER NOT NULL REFERENCES store ON DELETE CASCADE,
        key   BLOB NOT NULL CHECK (length(key) = 16),
        since INTEGER NOT NULL,
        PRIMARY KEY (store, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE task_new (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        ident       TEXT NOT NULL UNIQUE,
        kind        TEXT NOT NULL, -- as core/task_kinds.h lists them
        status      TEXT NOT NULL CHECK (status IN ('queued', 'running', 'done', 'error', 'cancelled')),
        image       INTEGER REFERENCES image ON DELETE SET NULL,
        image_ident TEXT NOT NULL,
        region      INTEGER REFERENCES region ON DELETE SET NULL,
        region_name TEXT NOT NULL,
        result      INTEGER REFERENCES image ON DELETE SET NULL,
        instance    INTEGER REFERENCES instance ON DELETE SET NULL,
        volume      INTEGER REFERENCES volume ON DELETE SET NULL,
        snapshot    INTEGER REFERENCES snapshot ON DELETE SET NULL,
        -- what the kind needs besides, such as what makes an upload's bytes trustworthy after a restart
        detail      TEXT NOT NULL DEFAULT '',
        error       TEXT NOT NULL DEFAULT '',
        done_bytes  INTEGER NOT NULL DEFAULT 0,
        total_bytes INTEGER NOT NULL DEFAULT 0,
        -- 1: shown in /tasks; shown in the image's copies/ or convert. A row shown nowhere is removed.
        in_tasks    INTEGER NOT NULL DEFAULT 1,
        in_image    INTEGER NOT NULL DEFAULT 1,
        uid         INTEGER NOT NULL,
        gid         INTEGER NOT NULL,
        mode        INTEGER NOT NULL,
        created     INTEGER NOT NULL,
        started     INTEGER,
        finished    INTEGER
) STRICT;
INSERT INTO task_new SELECT id, ident, kind, status, image, image_ident, region, region_name, result, instance, volume,
        snapshot, detail, error, done_bytes, total_bytes, in_tasks, in_image, uid, gid, mode, created, started, finished
        FROM task;
DELETE FROM sqlite_sequence WHERE name = 'task_new';
INSERT INTO sqlite_sequence (name, seq) SELECT 'task_new', seq FROM sqlite_sequence WHERE name = 'task';
DROP TABLE task;
ALTER TABLE task_new RENAME TO task;
CREATE INDEX task_active ON task (status, id) WHERE status IN ('queued', 'running');
CREATE INDEX task_by_image ON task (image, kind);
CREATE INDEX task_by_result ON task (result);
CREATE INDEX task_by_instance ON task (instance) WHERE instance IS NOT NULL;
CREATE INDEX task_by_volume ON task (volume) WHERE volume IS NOT NULL;
CREATE INDEX task_by_snapshot ON task (snapshot) WHERE snapshot IS NOT NULL;
CREATE INDEX task_finished ON task (finished) WHERE finished IS NOT NULL;
CREATE UNIQUE INDEX task_copy ON task (image, region) WHERE kind = 'copy' AND in_image = 1;
