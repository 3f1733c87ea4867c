-- From version 6 to 7.
-- Upstreams that are followed: where a file is looked for, and how often. url and sums are sealed ('': not written yet); the
-- two beside them: may it come from this machine and the networks of the site? etag and modified are the version of what
-- was looked at last, of sums where that is set, and '' after a failure, so that it is looked at again; signed is the
-- newest time at which a list that was believed was signed, in seconds. While it is running there is a task, and then an
-- image that is being fetched.
CREATE TABLE follow (
        id           INTEGER PRIMARY KEY AUTOINCREMENT,
        ident        TEXT NOT NULL UNIQUE,
        region       INTEGER NOT NULL REFERENCES region,
        handle       TEXT NOT NULL,
        uid          INTEGER NOT NULL,
        gid          INTEGER NOT NULL,
        mode         INTEGER NOT NULL,
        created      INTEGER NOT NULL,
        updated      INTEGER NOT NULL,
        url          TEXT NOT NULL DEFAULT '',
        url_private  INTEGER NOT NULL DEFAULT 0 CHECK (url_private IN (0, 1)),
        sums         TEXT NOT NULL DEFAULT '',
        sums_private INTEGER NOT NULL DEFAULT 0 CHECK (sums_private IN (0, 1)),
        -- OpenPGP, armoured; '': none
        keyring      TEXT NOT NULL DEFAULT '',
        every        INTEGER NOT NULL DEFAULT 86400000000 CHECK (every > 0),
        keep         INTEGER NOT NULL DEFAULT 3 CHECK (keep > 0),
        family       TEXT NOT NULL DEFAULT '',
        status       TEXT NOT NULL DEFAULT 'idle' CHECK (status IN ('idle', 'running', 'error', 'paused')),
        -- what the last run has to say, and when it ended
        error        TEXT NOT NULL DEFAULT '',
        ended        INTEGER NOT NULL DEFAULT 0,
        last_run     INTEGER NOT NULL DEFAULT 0,
        -- 0: not until there is an address
        next_run     INTEGER NOT NULL DEFAULT 0,
        etag         TEXT NOT NULL DEFAULT '',
        modified     TEXT NOT NULL DEFAULT '',
        signed       INTEGER NOT NULL DEFAULT 0,
        task         INTEGER REFERENCES task ON DELETE SET NULL,
        image        INTEGER REFERENCES image ON DELETE SET NULL,
        UNIQUE (region, handle)
) STRICT;
CREATE INDEX follow_due ON follow (next_run) WHERE status IN ('idle', 'error') AND next_run > 0;
CREATE INDEX follow_running ON follow (id) WHERE status = 'running';
CREATE INDEX follow_by_owner ON follow (region, uid);
CREATE INDEX follow_by_task ON follow (task) WHERE task IS NOT NULL;
CREATE INDEX follow_by_image ON follow (image) WHERE image IS NOT NULL;

-- What each has imported. The sum of an image that is gone is kept, so that it is not imported again.
CREATE TABLE follow_image (
        id     INTEGER PRIMARY KEY AUTOINCREMENT,
        follow INTEGER NOT NULL REFERENCES follow ON DELETE CASCADE,
        image  INTEGER REFERENCES image ON DELETE SET NULL,
        sum    TEXT NOT NULL -- '': none was said
) STRICT;
CREATE INDEX follow_image_by_follow ON follow_image (follow, sum);
CREATE INDEX follow_image_by_image ON follow_image (image) WHERE image IS NOT NULL;

-- Upstreams that are followed.
CREATE TRIGGER event_follow_made AFTER INSERT ON follow BEGIN
        INSERT INTO happening VALUES ('made', new.region, 'follows/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, '');
END;
CREATE TRIGGER event_follow_removed AFTER DELETE ON follow BEGIN
        INSERT INTO happening VALUES ('removed', old.region, 'follows/' || old.handle, old.ident,
                old.uid, old.gid, old.mode, NULL, NULL, '');
END;
CREATE TRIGGER event_follow_moved AFTER UPDATE OF handle ON follow
        WHEN old.handle <> new.handle BEGIN
        INSERT INTO happening VALUES ('moved', new.region, 'follows/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, 'follows/' || old.handle);
END;
CREATE TRIGGER event_follow_access AFTER UPDATE OF mode ON follow
        WHEN old.mode <> new.mode BEGIN
        INSERT INTO happening VALUES ('access', new.region, 'follows/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, printf('%04o', new.mode));
END;
CREATE TRIGGER event_follow_owner AFTER UPDATE OF uid ON follow
        WHEN old.uid <> new.uid BEGIN
        INSERT INTO happening VALUES ('owner', new.region, 'follows/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, old.uid, old.uid);
END;
CREATE TRIGGER event_follow_status AFTER UPDATE OF status ON follow
        WHEN old.status <> new.status BEGIN
        INSERT INTO happening VALUES ('status', new.region, 'follows/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, new.status);
END;
