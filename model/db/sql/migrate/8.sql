-- From version 7 to 8.

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
