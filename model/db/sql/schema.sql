-- The library's database, version 9. What each table is for stands above it; who writes it is the file of the same name.
-- Times are microseconds since the epoch, sizes bytes. States are words, so that the database can be read by a person.
-- A change here needs a step in migrate/ and an old database among the tests.

-- One row: when the library was made, and its name, by which its blob stores know it.
CREATE TABLE library (
        born    INTEGER NOT NULL,
        ident   TEXT NOT NULL,
        -- goes up with every change of what the lists of all regions' images show, by a trigger and nothing else
        lists   INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO library (born, ident) VALUES (unixepoch() * 1000000, lower(hex(randomblob(16))));

-- Places where blobs live. path '' is the library's own, beside this database; changed is when a blob last came or went.
CREATE TABLE store (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        path    TEXT NOT NULL UNIQUE,
        changed INTEGER NOT NULL
) STRICT;

-- Directories that the library was served from, known by what their file "place" says, with the host that did so last: what lies in
-- one, and in no store that others reach, can be had there alone. See core/place.c.
CREATE TABLE place (
        id        INTEGER PRIMARY KEY AUTOINCREMENT,
        ident     TEXT NOT NULL UNIQUE,
        host      TEXT NOT NULL,
        directory TEXT NOT NULL
) STRICT;

CREATE TABLE region (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        handle  TEXT NOT NULL UNIQUE,
        store   INTEGER NOT NULL REFERENCES store,
        uid     INTEGER NOT NULL,
        gid     INTEGER NOT NULL,
        mode    INTEGER NOT NULL,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        -- goes up with every change of what the lists of its images show, by the triggers below and nothing else
        lists   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What the administrator changed: region NULL is the whole library, uid NULL everybody. Built-in defaults are in limits.c.
CREATE TABLE quota_limit (
        id      INTEGER PRIMARY KEY,
        region  INTEGER REFERENCES region ON DELETE CASCADE,
        uid     INTEGER,
        key     TEXT NOT NULL,
        value   INTEGER NOT NULL CHECK (value >= 0)
) STRICT;
CREATE UNIQUE INDEX quota_limit_key ON quota_limit (ifnull(region, 0), ifnull(uid, -1), key);

-- How much of a quota is used. Kept by the triggers below and by nothing else, so that no path can forget to charge.
CREATE TABLE usage (
        region  INTEGER NOT NULL REFERENCES region ON DELETE CASCADE,
        uid     INTEGER NOT NULL,
        key     TEXT NOT NULL CHECK (key IN ('private-images', 'snapshots', 'shared-images', 'instances', 'disks',
                                             'disk-bytes')),
        used    INTEGER NOT NULL CHECK (used >= 0),
        PRIMARY KEY (region, uid, key)
) STRICT, WITHOUT ROWID;

-- A blob of a store, as long as something names it. Its numbers are here so that no listing opens a blob.
CREATE TABLE blob (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        store    INTEGER NOT NULL REFERENCES store,
        key      BLOB NOT NULL CHECK (length(key) = 16),
        size     INTEGER NOT NULL CHECK (size >= 0),
        data     INTEGER NOT NULL CHECK (data >= 0),
        -- pieces of 64 KiB, and of 512 MiB, with data in them: what the size of the qcow2 file follows from
        clusters INTEGER NOT NULL CHECK (clusters >= 0),
        spans    INTEGER NOT NULL CHECK (spans >= 0),
        -- NULL until it has been worked out: a snapshot of a disk shares bytes that nobody read
        checksum BLOB CHECK (length(checksum) = 16),
        UNIQUE (store, key)
) STRICT;
CREATE INDEX blob_unread ON blob (id) WHERE checksum IS NULL;

-- Blobs that may have lost their last name; the reaper looks at each and removes it or not.
CREATE TABLE reap (
        blob    INTEGER PRIMARY KEY
) STRICT;

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

-- Writable disks of a store whose volume is gone; the reaper removes them, where they lie.
CREATE TABLE trash (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        store   INTEGER NOT NULL REFERENCES store,
        key     BLOB NOT NULL CHECK (length(key) = 16),
        place   INTEGER REFERENCES place -- as of a volume
) STRICT;
CREATE INDEX trash_by_key ON trash (store, key);

-- What listings need comes first: a row with long texts is spread over several pages.
CREATE TABLE image (
        id               INTEGER PRIMARY KEY AUTOINCREMENT,
        ident            TEXT NOT NULL UNIQUE,
        region           INTEGER NOT NULL REFERENCES region,
        class            TEXT NOT NULL CHECK (class IN ('private', 'public', 'marketplace', 'iso', 'recycle')),
        handle           TEXT NOT NULL,
        uid              INTEGER NOT NULL,
        gid              INTEGER NOT NULL,
        mode             INTEGER NOT NULL,
        created          INTEGER NOT NULL,
        updated          INTEGER NOT NULL,
        -- when it went to the recycle bin
        deleted          INTEGER,
        source           TEXT NOT NULL CHECK (source IN ('private', 'public', 'marketplace', 'iso')),
        name             TEXT NOT NULL,
        status           TEXT NOT NULL CHECK (status IN ('queued', 'uploading', 'pending', 'replicating', 'available',
                                                         'error', 'deleting', 'deleted')),
        -- the status to return to when it is restored from the recycle bin
        restore_status   TEXT NOT NULL DEFAULT '' CHECK (restore_status IN ('', 'available', 'error')),
        error            TEXT NOT NULL DEFAULT '',
        type             TEXT NOT NULL CHECK (type IN ('local', 'cloud', 'both')),
        format           TEXT NOT NULL DEFAULT 'auto',
        os               TEXT NOT NULL DEFAULT '',
        platform         TEXT NOT NULL DEFAULT '',
        platform_version TEXT NOT NULL DEFAULT '',
        architecture     TEXT NOT NULL DEFAULT '',
        boot_mode        TEXT NOT NULL DEFAULT '',
        features         TEXT NOT NULL DEFAULT '',
        labels           TEXT NOT NULL DEFAULT '',
        project_group    TEXT NOT NULL DEFAULT '',
        provider         TEXT NOT NULL DEFAULT '',
        encrypted        INTEGER NOT NULL DEFAULT 0 CHECK (encrypted IN (0, 1)),
        -- the machine that it was made of
        instance         INTEGER REFERENCES instance ON DELETE SET NULL,
        description      TEXT NOT NULL DEFAULT '',
        -- how often it went to the recycle bin: its directory there is another one for the kernel
        places           INTEGER NOT NULL DEFAULT 0,
        -- virtual bytes of its disks, by the triggers below and nothing else: listings show it of every image
        size             INTEGER NOT NULL DEFAULT 0,
        -- what it is a release of, whether it may go, and what is to be said of using it: see image/lifecycle.c
        family           TEXT NOT NULL DEFAULT '',
        protected        INTEGER NOT NULL DEFAULT 0 CHECK (protected IN (0, 1)),
        lifecycle        TEXT NOT NULL DEFAULT 'active',
        -- where the files are that come in for it, until it is made of them; NULL: wherever its store is, as of a volume
        place            INTEGER REFERENCES place,
        CHECK ((class = 'recycle') = (deleted IS NOT NULL)),
        UNIQUE (region, class, handle)
) STRICT;
CREATE INDEX image_by_status ON image (status) WHERE status NOT IN ('available', 'queued', 'error');
CREATE INDEX image_queued ON image (updated) WHERE status = 'queued';
CREATE INDEX image_recycled ON image (deleted) WHERE deleted IS NOT NULL;
CREATE INDEX image_by_instance ON image (instance) WHERE instance IS NOT NULL;
CREATE INDEX image_by_family ON image (region, family, created) WHERE family <> '';

-- The families that images are releases of, by the triggers below and nothing else: their directories have numbers.
CREATE TABLE family (
        id     INTEGER PRIMARY KEY AUTOINCREMENT,
        region INTEGER NOT NULL,
        name   TEXT NOT NULL,
        UNIQUE (region, name)
) STRICT;

CREATE TABLE snapshot (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        ident       TEXT NOT NULL UNIQUE,
        region      INTEGER NOT NULL REFERENCES region,
        handle      TEXT NOT NULL,
        uid         INTEGER NOT NULL,
        gid         INTEGER NOT NULL,
        mode        INTEGER NOT NULL,
        created     INTEGER NOT NULL,
        updated     INTEGER NOT NULL,
        name        TEXT NOT NULL,
        status      TEXT NOT NULL CHECK (status IN ('creating', 'available')),
        -- where its bytes came from, for people: 'image:<id>', 'snapshot:<id>'
        source      TEXT NOT NULL DEFAULT '',
        blob        INTEGER REFERENCES blob CHECK ((blob IS NULL) = (status = 'creating')),
        -- the disk that it was taken of
        volume      INTEGER REFERENCES volume ON DELETE SET NULL,
        description TEXT NOT NULL DEFAULT '',
        UNIQUE (region, handle)
) STRICT;
CREATE INDEX snapshot_by_blob ON snapshot (blob);
CREATE INDEX snapshot_by_volume ON snapshot (volume) WHERE volume IS NOT NULL;

-- The device mapping: each disk's bytes are a snapshot's or, for the system disk of a local image, its own blob's.
-- Both are NULL while the import that will bring them runs, and after it failed.
CREATE TABLE image_disk (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        image    INTEGER NOT NULL REFERENCES image ON DELETE CASCADE,
        device   TEXT NOT NULL,
        role     TEXT NOT NULL CHECK (role IN ('system', 'data')),
        snapshot INTEGER REFERENCES snapshot,
        blob     INTEGER REFERENCES blob,
        UNIQUE (image, device)
) STRICT;
CREATE INDEX image_disk_by_snapshot ON image_disk (snapshot);
CREATE INDEX image_disk_by_blob ON image_disk (blob);

-- What the owner of an image should know of it: see image_warning.c.
CREATE TABLE image_warning (
        id       INTEGER PRIMARY KEY,
        image    INTEGER NOT NULL REFERENCES image ON DELETE CASCADE,
        sentence TEXT NOT NULL,
        UNIQUE (image, sentence)
) STRICT;

-- Machines. power is what was asked for; one runs as well while a disk of it is open for writing, which is not kept.
CREATE TABLE instance (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        ident       TEXT NOT NULL UNIQUE,
        region      INTEGER NOT NULL REFERENCES region,
        handle      TEXT NOT NULL,
        uid         INTEGER NOT NULL,
        gid         INTEGER NOT NULL,
        mode        INTEGER NOT NULL,
        created     INTEGER NOT NULL,
        updated     INTEGER NOT NULL,
        name        TEXT NOT NULL,
        type        TEXT NOT NULL CHECK (type IN ('local', 'cloud')),
        power       INTEGER NOT NULL DEFAULT 0 CHECK (power IN (0, 1)),
        started     INTEGER NOT NULL DEFAULT 0 CHECK (started IN (0, 1)),
        image       INTEGER REFERENCES image,
        image_disks TEXT NOT NULL DEFAULT 'all',
        hostname    TEXT NOT NULL DEFAULT '',
        -- a salted hash
        password    TEXT NOT NULL DEFAULT '',
        ssh_keys    TEXT NOT NULL DEFAULT '',
        description TEXT NOT NULL DEFAULT '',
        -- the ISO in its drive
        cdrom       INTEGER REFERENCES image,
        -- what cloud-init is told besides, as it was written
        user_data      TEXT NOT NULL DEFAULT '',
        network_config TEXT NOT NULL DEFAULT '',
        UNIQUE (region, handle)
) STRICT;
CREATE INDEX instance_by_image ON instance (image, uid) WHERE image IS NOT NULL;
CREATE INDEX instance_by_cdrom ON instance (cdrom, uid) WHERE cdrom IS NOT NULL;

-- Writable disks. One without a handle is the system disk of a local instance, which is in no list. key names the disk
-- in the region's store, once there is a size; base is what it is a clone of, named for as long as the row is there.
CREATE TABLE volume (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        ident    TEXT NOT NULL UNIQUE,
        region   INTEGER NOT NULL REFERENCES region,
        handle   TEXT,
        uid      INTEGER NOT NULL,
        gid      INTEGER NOT NULL,
        mode     INTEGER NOT NULL,
        created  INTEGER NOT NULL,
        updated  INTEGER NOT NULL,
        name     TEXT NOT NULL,
        key      BLOB CHECK (length(key) = 16),
        size     INTEGER NOT NULL CHECK ((size > 0) = (key IS NOT NULL)),
        base     INTEGER REFERENCES blob CHECK (base IS NULL OR key IS NOT NULL),
        instance INTEGER REFERENCES instance,
        device   TEXT CHECK ((device IS NULL) = (instance IS NULL)),
        role     TEXT NOT NULL CHECK (role IN ('system', 'data') AND (role = 'data' OR instance IS NOT NULL)),
        -- goes with its instance
        made_with INTEGER NOT NULL CHECK (made_with IN (0, 1) AND (made_with = 0 OR instance IS NOT NULL)),
        -- where its bytes came from: for people 'image:<id>' or 'snapshot:<id>', and the snapshot while that exists
        source   TEXT NOT NULL DEFAULT '',
        snapshot INTEGER REFERENCES snapshot ON DELETE SET NULL,
        -- 0: its disk may not be there yet, and is made when it is first needed, or before
        made     INTEGER NOT NULL DEFAULT 1 CHECK (made IN (0, 1)),
        -- where its disk lies, of a store whose disks are not with it; NULL: wherever its store is, or not known
        place    INTEGER REFERENCES place,
        CHECK (handle IS NOT NULL OR role = 'system'),
        UNIQUE (region, handle)
) STRICT;
CREATE INDEX volume_unmade ON volume (id) WHERE made = 0;
CREATE UNIQUE INDEX volume_device ON volume (instance, device) WHERE instance IS NOT NULL;
CREATE INDEX volume_by_key ON volume (key) WHERE key IS NOT NULL;
CREATE INDEX volume_by_base ON volume (base) WHERE base IS NOT NULL;
CREATE INDEX volume_by_snapshot ON volume (snapshot) WHERE snapshot IS NOT NULL;

-- Where the file of an image is being fetched from. url has the user and password for the server, so that it is sealed
-- with the library's key, and the row goes with the end of the transfer. etag to size say which version of it the bytes
-- are of that came so far (size -1: not known), place where they are good for sure, and safe how many of them survive a
-- power cut.
CREATE TABLE fetch (
        image    INTEGER PRIMARY KEY REFERENCES image ON DELETE CASCADE,
        url      TEXT NOT NULL,
        sum      TEXT NOT NULL,
        -- may it come from this machine and the networks of the site?
        private  INTEGER NOT NULL CHECK (private IN (0, 1)),
        etag     TEXT NOT NULL DEFAULT '',
        modified TEXT NOT NULL DEFAULT '',
        size     INTEGER NOT NULL DEFAULT -1,
        place    TEXT NOT NULL DEFAULT '',
        safe     INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What lies in a store without anything that names it, and was there when the library was opened: a blob or a disk, and
-- since when that is known. An older copy of this database knows nothing of what is newer, which must not go for that.
CREATE TABLE unnamed (
        store INTEGER NOT NULL REFERENCES store ON DELETE CASCADE,
        key   BLOB NOT NULL CHECK (length(key) = 16),
        since INTEGER NOT NULL,
        PRIMARY KEY (store, key)
) STRICT, WITHOUT ROWID;

-- Long operations. image is what it works on (an import's image, the source of a conversion or copy); result what it makes.
-- Of a capture both are the image that is made, and instance what it is made of; a disk's snapshot has volume and snapshot.
CREATE TABLE task (
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
        finished    INTEGER,
        -- where alone it can be done, since what it reads lies there; NULL: anywhere
        place       INTEGER REFERENCES place
) STRICT;
CREATE INDEX task_active ON task (status, id) WHERE status IN ('queued', 'running');
CREATE INDEX task_by_image ON task (image, kind);
CREATE INDEX task_by_result ON task (result);
CREATE INDEX task_by_instance ON task (instance) WHERE instance IS NOT NULL;
CREATE INDEX task_by_volume ON task (volume) WHERE volume IS NOT NULL;
CREATE INDEX task_by_snapshot ON task (snapshot) WHERE snapshot IS NOT NULL;
CREATE INDEX task_finished ON task (finished) WHERE finished IS NOT NULL;
CREATE INDEX task_ended ON task (uid, finished) WHERE finished IS NOT NULL AND in_tasks = 1;
CREATE UNIQUE INDEX task_copy ON task (image, region) WHERE kind = 'copy' AND in_image = 1;

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

-- Addresses at which a disk may be fetched. The token in one follows from nonce and the library's key; hash is its
-- SHA-256.
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

-- Whom the owners of private images let in: uid may read the image, and make instances of it. region is the image's.
CREATE TABLE share (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        image   INTEGER NOT NULL REFERENCES image ON DELETE CASCADE,
        region  INTEGER NOT NULL REFERENCES region,
        uid     INTEGER NOT NULL,
        created INTEGER NOT NULL,
        UNIQUE (image, uid)
) STRICT;
CREATE INDEX share_by_user ON share (region, uid);

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

-- Quotas are counted where rows come, change hands and go. Private images count, and ISOs but root's, which are for all;
-- recycled ones have another class.
CREATE TRIGGER image_usage_insert AFTER INSERT ON image
        WHEN new.class = 'private' OR new.class = 'iso' AND new.uid <> 0 BEGIN
        INSERT INTO usage VALUES (new.region, new.uid, 'private-images', 1)
                ON CONFLICT DO UPDATE SET used = used + 1;
END;
CREATE TRIGGER image_usage_delete AFTER DELETE ON image
        WHEN old.class = 'private' OR old.class = 'iso' AND old.uid <> 0 BEGIN
        UPDATE usage SET used = used - 1
                WHERE region = old.region AND uid = old.uid AND key = 'private-images';
END;
CREATE TRIGGER image_usage_update AFTER UPDATE OF class, uid, region ON image
        WHEN old.class <> new.class OR old.uid <> new.uid OR old.region <> new.region BEGIN
        UPDATE usage SET used = used - 1
                WHERE (old.class = 'private' OR old.class = 'iso' AND old.uid <> 0)
                AND region = old.region AND uid = old.uid AND key = 'private-images';
        INSERT INTO usage SELECT new.region, new.uid, 'private-images', 1
                WHERE new.class = 'private' OR new.class = 'iso' AND new.uid <> 0
                ON CONFLICT DO UPDATE SET used = used + 1;
END;
CREATE TRIGGER snapshot_usage_insert AFTER INSERT ON snapshot BEGIN
        INSERT INTO usage VALUES (new.region, new.uid, 'snapshots', 1) ON CONFLICT DO UPDATE SET used = used + 1;
END;
CREATE TRIGGER snapshot_usage_delete AFTER DELETE ON snapshot BEGIN
        UPDATE usage SET used = used - 1 WHERE region = old.region AND uid = old.uid AND key = 'snapshots';
END;
CREATE TRIGGER snapshot_usage_update AFTER UPDATE OF uid, region ON snapshot
        WHEN old.uid <> new.uid OR old.region <> new.region BEGIN
        UPDATE usage SET used = used - 1 WHERE region = old.region AND uid = old.uid AND key = 'snapshots';
        INSERT INTO usage VALUES (new.region, new.uid, 'snapshots', 1) ON CONFLICT DO UPDATE SET used = used + 1;
END;

CREATE TRIGGER share_usage_insert AFTER INSERT ON share BEGIN
        INSERT INTO usage VALUES (new.region, new.uid, 'shared-images', 1) ON CONFLICT DO UPDATE SET used = used + 1;
END;
CREATE TRIGGER share_usage_delete AFTER DELETE ON share BEGIN
        UPDATE usage SET used = used - 1 WHERE region = old.region AND uid = old.uid AND key = 'shared-images';
END;
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

-- Shares end when the image is no longer private, and for whoever becomes its owner.
CREATE TRIGGER share_end AFTER UPDATE OF class, uid ON image WHEN new.class <> 'private' OR new.uid <> old.uid BEGIN
        DELETE FROM share WHERE image = new.id AND (new.class <> 'private' OR uid = new.uid);
END;

-- Machines that keep no image from going: they stay as they are, without one.
CREATE TRIGGER image_instances_delete BEFORE DELETE ON image BEGIN
        UPDATE instance SET image = iif(image = old.id, NULL, image), cdrom = iif(cdrom = old.id, NULL, cdrom),
                updated = updated + 1 WHERE image = old.id OR cdrom = old.id;
END;

-- The size of an image follows its disks, and the snapshots that these are of.
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

-- What shows in images.csv and its kin, so that an unchanged list need not be made again.
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
CREATE TRIGGER image_lists_insert AFTER INSERT ON image BEGIN
        UPDATE region SET lists = lists + 1 WHERE id = new.region;
END;
CREATE TRIGGER image_lists_update AFTER UPDATE ON image BEGIN
        UPDATE region SET lists = lists + 1 WHERE id IN (old.region, new.region);
END;
CREATE TRIGGER image_lists_delete AFTER DELETE ON image BEGIN
        UPDATE region SET lists = lists + 1 WHERE id = old.region;
END;
CREATE TRIGGER image_disk_lists_insert AFTER INSERT ON image_disk BEGIN
        UPDATE region SET lists = lists + 1 WHERE id = (SELECT region FROM image WHERE id = new.image);
END;
CREATE TRIGGER image_disk_lists_update AFTER UPDATE ON image_disk BEGIN
        UPDATE region SET lists = lists + 1 WHERE id = (SELECT region FROM image WHERE id = new.image);
END;
CREATE TRIGGER image_disk_lists_delete AFTER DELETE ON image_disk BEGIN
        UPDATE region SET lists = lists + 1 WHERE id = (SELECT region FROM image WHERE id = old.image);
END;
CREATE TRIGGER share_lists_insert AFTER INSERT ON share BEGIN
        UPDATE region SET lists = lists + 1 WHERE id = new.region;
END;
CREATE TRIGGER share_lists_delete AFTER DELETE ON share BEGIN
        UPDATE region SET lists = lists + 1 WHERE id = old.region;
END;
CREATE TRIGGER snapshot_lists_update AFTER UPDATE OF blob ON snapshot BEGIN
        UPDATE region SET lists = lists + 1 WHERE id = new.region;
END;
-- The lists of all regions have the names of these, too.
CREATE TRIGGER region_lists_update AFTER UPDATE OF lists, handle ON region BEGIN
        UPDATE library SET lists = lists + 1;
END;
-- Likewise, by who may see the image: see audience. A user's own changes make no other's list out of date.
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

-- Addresses end with what they were given out for: the image's being there, and its owner's word.
CREATE TRIGGER download_end AFTER UPDATE OF status, uid ON image
        WHEN new.status <> 'available' OR new.uid <> old.uid BEGIN
        DELETE FROM download WHERE image = new.id;
END;

-- Whatever stops naming a blob makes it a candidate for removal.
CREATE TRIGGER snapshot_reap_delete AFTER DELETE ON snapshot WHEN old.blob IS NOT NULL BEGIN
        INSERT OR IGNORE INTO reap VALUES (old.blob);
END;
CREATE TRIGGER snapshot_reap_update AFTER UPDATE OF blob ON snapshot
        WHEN old.blob IS NOT NULL AND old.blob IS NOT new.blob BEGIN
        INSERT OR IGNORE INTO reap VALUES (old.blob);
END;
CREATE TRIGGER image_disk_reap_delete AFTER DELETE ON image_disk WHEN old.blob IS NOT NULL BEGIN
        INSERT OR IGNORE INTO reap VALUES (old.blob);
END;
CREATE TRIGGER image_disk_reap_update AFTER UPDATE OF blob ON image_disk
        WHEN old.blob IS NOT NULL AND old.blob IS NOT new.blob BEGIN
        INSERT OR IGNORE INTO reap VALUES (old.blob);
END;
CREATE TRIGGER volume_reap_delete AFTER DELETE ON volume WHEN old.base IS NOT NULL BEGIN
        INSERT OR IGNORE INTO reap VALUES (old.base);
END;

-- A disk without its volume is to be removed.
CREATE TRIGGER volume_trash AFTER DELETE ON volume WHEN old.key IS NOT NULL BEGIN
        INSERT INTO trash (store, key, place) SELECT store, old.key, old.place FROM region WHERE id = old.region;
END;

-- The disks that belong to a machine are whose it is, and open to whom it is.
CREATE TRIGGER instance_access_update AFTER UPDATE OF uid, gid, mode ON instance
        WHEN old.uid <> new.uid OR old.gid <> new.gid OR old.mode <> new.mode BEGIN
        UPDATE volume SET uid = new.uid, gid = new.gid, mode = new.mode WHERE instance = new.id AND made_with = 1;
END;

CREATE TRIGGER blob_changed_insert AFTER INSERT ON blob BEGIN
        UPDATE store SET changed = CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER) WHERE id = new.store;
END;
CREATE TRIGGER blob_changed_delete AFTER DELETE ON blob BEGIN
        UPDATE store SET changed = CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER) WHERE id = old.store;
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

-- Which of its files say something else now; what is renamed has its event.
CREATE TRIGGER event_image_changed AFTER UPDATE OF
                name, description, type, os, platform, platform_version, architecture, boot_mode, features, labels,
                project_group, provider ON image
        WHEN old.class = new.class AND old.handle = new.handle BEGIN
        INSERT INTO happening SELECT 'changed', new.region, new.class || '/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, new.id, NULL, substr(names, 2)
                FROM (SELECT
                       iif(old.name IS NOT new.name, ' name', '') ||
                       iif(old.description IS NOT new.description, ' description', '') ||
                       iif(old.type IS NOT new.type, ' type', '') || iif(old.os IS NOT new.os, ' os', '') ||
                       iif(old.platform IS NOT new.platform, ' platform', '') ||
                       iif(old.platform_version IS NOT new.platform_version, ' platform-version', '') ||
                       iif(old.architecture IS NOT new.architecture, ' architecture', '') ||
                       iif(old.boot_mode IS NOT new.boot_mode, ' boot-mode', '') ||
                       iif(old.features IS NOT new.features, ' features', '') ||
                       iif(old.labels IS NOT new.labels, ' labels', '') ||
                       iif(old.project_group IS NOT new.project_group, ' project-group', '') ||
                       iif(old.provider IS NOT new.provider, ' provider', '') AS names)
                WHERE names <> '';
END;
CREATE TRIGGER event_snapshot_changed AFTER UPDATE OF
                name, description ON snapshot
        WHEN old.handle = new.handle BEGIN
        INSERT INTO happening SELECT 'changed', new.region, 'snapshots/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, substr(names, 2)
                FROM (SELECT
                       iif(old.name IS NOT new.name, ' name', '') ||
                       iif(old.description IS NOT new.description, ' description', '') AS names)
                WHERE names <> '';
END;
CREATE TRIGGER event_instance_changed AFTER UPDATE OF
                name, description, type, image, cdrom, image_disks, hostname, password, ssh_keys, user_data,
                network_config ON instance
        WHEN old.handle = new.handle BEGIN
        INSERT INTO happening SELECT 'changed', new.region, 'instances/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, substr(names, 2)
                FROM (SELECT
                       iif(old.name IS NOT new.name, ' name', '') ||
                       iif(old.description IS NOT new.description, ' description', '') ||
                       iif(old.type IS NOT new.type, ' type', '') || iif(old.image IS NOT new.image, ' image', '') ||
                       iif(old.cdrom IS NOT new.cdrom, ' cdrom', '') ||
                       iif(old.image_disks IS NOT new.image_disks, ' image-disks', '') ||
                       iif(old.hostname IS NOT new.hostname, ' hostname', '') ||
                       iif(old.password IS NOT new.password, ' password', '') ||
                       iif(old.ssh_keys IS NOT new.ssh_keys, ' ssh-keys', '') ||
                       iif(old.user_data IS NOT new.user_data, ' user-data', '') ||
                       iif(old.network_config IS NOT new.network_config, ' network-config', '') AS names)
                WHERE names <> '';
END;
CREATE TRIGGER event_volume_changed AFTER UPDATE OF
                name ON volume
        WHEN old.handle = new.handle
              AND new.handle IS NOT NULL AND new.made_with = 0 BEGIN
        INSERT INTO happening SELECT 'changed', new.region, 'disks/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, substr(names, 2)
                FROM (SELECT
                       iif(old.name IS NOT new.name, ' name', '') AS names)
                WHERE names <> '';
END;
CREATE TRIGGER event_follow_changed AFTER UPDATE OF
                url, sums, keyring, every, keep, family ON follow
        WHEN old.handle = new.handle BEGIN
        INSERT INTO happening SELECT 'changed', new.region, 'follows/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, substr(names, 2)
                FROM (SELECT
                       iif(old.url IS NOT new.url, ' url', '') || iif(old.sums IS NOT new.sums, ' sums', '') ||
                       iif(old.keyring IS NOT new.keyring, ' keyring', '') ||
                       iif(old.every IS NOT new.every, ' every', '') || iif(old.keep IS NOT new.keep, ' keep', '') ||
                       iif(old.family IS NOT new.family, ' family', '') AS names)
                WHERE names <> '';
END;
CREATE TRIGGER event_region_changed AFTER UPDATE OF store ON region
        WHEN old.store <> new.store BEGIN
        INSERT INTO happening VALUES ('changed', new.id, '', '',
                new.uid, new.gid, new.mode, NULL, NULL, 'store');
END;

-- Which group it is open to; who is handed it is told that.
CREATE TRIGGER event_region_group AFTER UPDATE OF gid ON region
        WHEN old.gid <> new.gid AND old.uid = new.uid BEGIN
        INSERT INTO happening VALUES ('group', new.id, '', '',
                new.uid, new.gid, new.mode, NULL, NULL, new.gid);
END;
CREATE TRIGGER event_image_group AFTER UPDATE OF gid ON image
        WHEN old.gid <> new.gid AND old.uid = new.uid BEGIN
        INSERT INTO happening VALUES ('group', new.region, new.class || '/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, new.id, NULL, new.gid);
END;
CREATE TRIGGER event_snapshot_group AFTER UPDATE OF gid ON snapshot
        WHEN old.gid <> new.gid AND old.uid = new.uid BEGIN
        INSERT INTO happening VALUES ('group', new.region, 'snapshots/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, new.gid);
END;
CREATE TRIGGER event_instance_group AFTER UPDATE OF gid ON instance
        WHEN old.gid <> new.gid AND old.uid = new.uid BEGIN
        INSERT INTO happening VALUES ('group', new.region, 'instances/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, new.gid);
END;
CREATE TRIGGER event_volume_group AFTER UPDATE OF gid ON volume
        WHEN old.gid <> new.gid AND old.uid = new.uid
              AND new.handle IS NOT NULL AND new.made_with = 0 BEGIN
        INSERT INTO happening VALUES ('group', new.region, 'disks/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, new.gid);
END;
CREATE TRIGGER event_follow_group AFTER UPDATE OF gid ON follow
        WHEN old.gid <> new.gid AND old.uid = new.uid BEGIN
        INSERT INTO happening VALUES ('group', new.region, 'follows/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, NULL, NULL, new.gid);
END;

-- A family: its latest may lead to that image, or does so no more.
CREATE TRIGGER event_family_withdrawn AFTER UPDATE OF family, lifecycle, status, class ON image
        WHEN old.family <> '' AND old.lifecycle = 'active' AND old.status = 'available' AND old.class <> 'recycle'
             AND (new.family <> old.family OR new.lifecycle <> 'active' OR new.status <> 'available'
                  OR new.class = 'recycle') BEGIN
        INSERT INTO happening VALUES ('withdrawn', new.region, 'families/' || old.family, new.ident,
                new.uid, new.gid, new.mode, new.id, NULL, old.class || '/' || old.handle);
END;
CREATE TRIGGER event_family_released AFTER UPDATE OF family, lifecycle, status, class ON image
        WHEN new.family <> '' AND new.lifecycle = 'active' AND new.status = 'available' AND new.class <> 'recycle'
             AND (new.family <> old.family OR old.lifecycle <> 'active' OR old.status <> 'available'
                  OR old.class = 'recycle') BEGIN
        INSERT INTO happening VALUES ('released', new.region, 'families/' || new.family, new.ident,
                new.uid, new.gid, new.mode, new.id, NULL, new.class || '/' || new.handle);
END;

-- What an image is a release of, whether it may go, and what is to be said of using it.
CREATE TRIGGER event_image_family AFTER UPDATE OF family ON image
        WHEN old.family <> new.family BEGIN
        INSERT INTO happening VALUES ('family', new.region, new.class || '/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, new.id, NULL, new.family);
END;
CREATE TRIGGER event_image_protected AFTER UPDATE OF protected ON image
        WHEN old.protected <> new.protected BEGIN
        INSERT INTO happening VALUES ('protected', new.region, new.class || '/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, new.id, NULL, iif(new.protected, 'yes', 'no'));
END;
CREATE TRIGGER event_image_lifecycle AFTER UPDATE OF lifecycle ON image
        WHEN old.lifecycle <> new.lifecycle BEGIN
        INSERT INTO happening VALUES ('lifecycle', new.region, new.class || '/' || new.handle, new.ident,
                new.uid, new.gid, new.mode, new.id, NULL, new.lifecycle);
END;

-- Addresses that were given out: none of who may only read the image.
CREATE TRIGGER event_download_made AFTER INSERT ON download BEGIN
        INSERT INTO happening SELECT 'made', region,
                class || '/' || handle || '/download/' || new.device || '.' || new.format, ident,
                uid, gid, mode & 504, NULL, NULL, ''
                FROM image WHERE id = new.image;
END;
CREATE TRIGGER event_download_removed AFTER DELETE ON download BEGIN
        INSERT INTO happening SELECT 'removed', region,
                class || '/' || handle || '/download/' || old.device || '.' || old.format, ident,
                uid, gid, mode & 504, NULL, NULL, ''
                FROM image WHERE id = old.image;
END;

-- What the administrator allows: everybody, or whom it concerns, hears of it.
CREATE TRIGGER event_limit_insert AFTER INSERT ON quota_limit BEGIN
        INSERT INTO happening SELECT 'limit', new.region, iif(new.region, 'quota', 'info/limits'), '',
                ifnull(new.uid, 0), ifnull((SELECT gid FROM region WHERE id = new.region), 0),
                iif(new.uid IS NULL, 365, 320), NULL, NULL, new.key || ' ' || new.value;
END;
CREATE TRIGGER event_limit_update AFTER UPDATE OF value ON quota_limit WHEN old.value <> new.value BEGIN
        INSERT INTO happening SELECT 'limit', new.region, iif(new.region, 'quota', 'info/limits'), '',
                ifnull(new.uid, 0), ifnull((SELECT gid FROM region WHERE id = new.region), 0),
                iif(new.uid IS NULL, 365, 320), NULL, NULL, new.key || ' ' || new.value;
END;
