/* SPDX-License-Identifier: MIT */

/*
 * The disks of instances. Those that an instance is made with are clones of its image's: the system disk, and the data
 * disks of its device mapping under the same devices. They are made first, outside of every transaction, and then one
 * names them all; what an error or a crash leaves without a name is removed. An image that is available never changes,
 * so that it is enough to see it available again in that transaction.
 *
 * An image of class iso gives no clone: the system disk waits for its size, and the ISO itself is in the drive. Any
 * machine may have one there: who may read the machine's disks reads it, whoever may enter the image.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "model/core/object_row.h"
#include "model/core/place.h"
#include "model/image/image_disk_row.h"
#include "model/image/image_life.h"
#include "model/image/image_row.h"
#include "model/image/share_row.h"
#include "model/machine/instance_life.h"
#include "model/machine/instance_row.h"
#include "model/machine/volume_gate.h"
#include "model/machine/volume_life.h"
#include "model/machine/volume_row.h"

#define SYSTEM_DEVICE "vda"

enum { CLONES, BY_PATH, BY_IDENT };

static const char *const instance_disks_sql[] = {
        [CLONES] = "SELECT device, role = 'system', snapshot.id, snapshot.ident, blob.id, blob.store, blob.key, "
                   "blob.size FROM image_disk LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot "
                   "JOIN blob ON blob.id = ifnull(snapshot.blob, image_disk.blob) "
                   "WHERE image_disk.image = ?1 ORDER BY device",
        [BY_PATH] = "SELECT id FROM image WHERE region = ?1 AND class = iif(?2 = 'shared', 'private', ?2) "
                    "AND handle = ?3 AND (?2 <> 'shared' OR EXISTS (SELECT 1 FROM share WHERE share.image = image.id))",
        [BY_IDENT] = "SELECT id FROM image WHERE region = ?1 AND ident = ?2",
};
const struct db_statements instance_disks_statements = DB_STATEMENTS(instance_disks_sql);

bool device_is_valid(const char *device)
{
        return strlen(device) == 3 && device[0] == 'v' && device[1] == 'd' && device[2] >= 'a' && device[2] <= 'z';
}

/* What a disk that is made with the instance is called: "web-vda"; a long name of the instance is cut to make room. */
static void name_disk(const struct instance *instance, const char *device, char buf[NAME_LEN_MAX + 1])
{
        const char *handle = instance->o.handle;

        (void)snprintf(buf, NAME_LEN_MAX + 1, "%.*s-%.3s", (int)text_fit(handle, NAME_LEN_MAX - strlen("-vda")), handle,
                       device);
}

/* ---- clones of an image's disks ---- */

struct clone {
        char device[8];
        bool system;
        uint64_t base; /* 0: no clone, but a disk that waits for its size */
        uint64_t snapshot;
        struct blob_id blob;
        uint64_t size_bytes;
        char source[IMAGE_VALUE_MAX + 1];
        struct disk_id key;
};

struct clones {
        const struct image *image;
        bool system_only;
        uint64_t store, place; /* 0: of none is a clone made; place: as of a volume */
        struct clone clone[DISKS_MAX];
        size_t n;
};

static int plan_row(void *ctx, const struct db_row *row)
{
        struct clones *cs = ctx;
        struct clone *clone = &cs->clone[cs->n];

        if (cs->n == DISKS_MAX)
                return -E2BIG;
        *clone = (struct clone){
                .system = db_row_int(row, 1) != 0,
                .snapshot = (uint64_t)db_row_int(row, 2),
                .base = (uint64_t)db_row_int(row, 4),
                .size_bytes = (uint64_t)db_row_int(row, 7),
        };
        if (cs->system_only && !clone->system)
                return 0;
        db_row_text(row, 0, clone->device, sizeof(clone->device));
        db_row_blob(row, 6, clone->blob.bytes, sizeof(clone->blob.bytes));
        if (clone->snapshot)
                (void)snprintf(clone->source, sizeof(clone->source), "snapshot:%s", db_row_str(row, 3));
        else
                (void)snprintf(clone->source, sizeof(clone->source), "image:%s", cs->image->ident);
        cs->store = (uint64_t)db_row_int(row, 5);
        cs->n++;
        return 0;
}

/* Which disks an instance of the image gets. */
static int clones_plan(struct db_txn *t, const struct image *image, bool system_only, struct clones *cs)
{
        *cs = (struct clones){ .image = image, .system_only = system_only };
        if (image->source == CLASS_ISO) {
                cs->clone[0] = (struct clone){ .device = SYSTEM_DEVICE, .system = true };
                cs->n = 1;
                return 0;
        }
        return db_each(t, instance_disks_sql[CLONES], plan_row, cs, DB_INT(image->o.id));
}

/* Which disks they will be; made they are when they are needed. */
static int clones_name(struct model *m, struct clones *cs, struct diag *diag)
{
        struct blobstore *bs;
        int r = 0;

        if (cs->store)
                r = stores_get(m, cs->store, diag, &bs);
        cs->place = place_of_store(m, cs->store);
        for (size_t i = 0; i < cs->n && r == 0; i++) {
                struct clone *clone = &cs->clone[i];

                if (clone->base)
                        r = disk_plan(bs, &clone->blob, clone->size_bytes, &clone->key);
        }
        return r;
}

/* One that the machine has alone is in no list. */
static bool is_listed(const struct clone *clone, const struct instance *instance)
{
        return !clone->system || instance->type == TYPE_CLOUD;
}

static int clones_check_quota(struct db_txn *t, const struct clones *cs, const struct instance *instance,
                              struct diag *diag)
{
        uint64_t disks = 0, bytes = 0;

        for (size_t i = 0; i < cs->n; i++) {
                disks += is_listed(&cs->clone[i], instance);
                bytes += cs->clone[i].size_bytes;
        }
        return volume_check_quota(t, instance->region, instance->o.uid, disks, bytes, diag);
}

/* The volumes, as those of the instance, who its owner has. */
static int clones_insert(struct db_txn *t, const struct clones *cs, const struct instance *instance, struct changes *ch,
                         struct diag *diag)
{
        int r;

        r = clones_check_quota(t, cs, instance, diag);
        if (r < 0)
                return r;
        for (size_t i = 0; i < cs->n; i++) {
                const struct clone *clone = &cs->clone[i];
                struct volume_new n = {
                        .v = { .o = { .uid = instance->o.uid, .gid = instance->o.gid, .mode = instance->o.mode },
                               .region = instance->region,
                               .instance = instance->o.id,
                               .system = clone->system,
                               .size_bytes = clone->size_bytes,
                               .place = cs->place },
                        .key = clone->base ? &clone->key : NULL,
                        .base = clone->base,
                        .snapshot = clone->snapshot,
                        .made_with = true,
                };

                name_disk(instance, clone->device, n.v.name);
                memcpy(n.v.device, clone->device, sizeof(n.v.device));
                memcpy(n.v.source, clone->source, sizeof(n.v.source));
                if (is_listed(clone, instance))
                        memcpy(n.v.o.handle, n.v.name, sizeof(n.v.o.handle));
                r = volume_insert(t, &n, true, diag);
                if (r < 0)
                        return r;
                changes_add(ch, OBJECT_VOLUME, n.v.o.id);
                changes_add(ch, OBJECT_SNAPSHOT, clone->snapshot);
        }
        return 0;
}

/* May an instance be made from the image? DB_READ will do. */
static int load_usable(struct db_txn *t, const struct caller *c, uint64_t id, struct diag *diag, struct image *ret)
{
        int r;

        r = image_load(t, id, ret);
        if (r < 0)
                return r;
        if (!object_allows(&ret->o, c, 05)) {
                r = share_load_check(t, c, id, diag);
                if (r < 0)
                        return r;
        }
        return image_life_apply(t, ret, VERB_SHARE_WORK, diag);
}

/* What an instance is that is made from an image of TYPE, where OTHERWISE is what it would be from one of both. */
static enum image_type type_of_instance(enum image_type type, enum image_type otherwise)
{
        return type == TYPE_BOTH ? otherwise : type;
}

/* ---- mkdir <image>/instances/<handle> ---- */

static int insert_from_image(struct model *m, const struct caller *c, const char *handle, struct clones *cs,
                             struct changes *ch, struct diag *diag, uint64_t *ret)
{
        struct instance instance = {
                .o = { .uid = c->uid, .gid = c->gid },
                .region = cs->image->region,
                .image = cs->image->o.id,
                .type = type_of_instance(cs->image->type, TYPE_CLOUD),
                .cdrom = cs->image->source == CLASS_ISO ? cs->image->o.id : 0,
        };
        struct image image;
        DB_TXN(t);
        int r;

        (void)snprintf(instance.o.handle, sizeof(instance.o.handle), "%s", handle);
        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = load_usable(&t, c, cs->image->o.id, diag, &image);
        if (r == 0 && object_is_groups(&image.o, c)) {
                instance.o.uid = image.o.uid;
                instance.o.gid = image.o.gid;
                instance.o.mode = image.o.mode;
        }
        if (r == 0)
                r = instance_insert(&t, &instance, diag);
        if (r == 0)
                r = clones_insert(&t, cs, &instance, ch, diag);
        if (r == 0)
                r = db_commit(&t);
        if (r < 0)
                return r;
        changes_add(ch, OBJECT_INSTANCE, instance.o.id);
        changes_add(ch, OBJECT_IMAGE, image.o.id);
        *ret = instance.o.id;
        return 0;
}

int instance_create_from_image(struct model *m, const struct caller *c, uint64_t image_id, const char *handle,
                               struct diag *diag, uint64_t *ret)
{
        struct clones cs = { 0 };
        struct changes ch = { 0 };
        struct image image;
        int r;

        r = object_check_name(handle, "instance", diag);
        if (r < 0)
                return r;
        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = load_usable(&t, c, image_id, diag, &image);
                if (r == 0)
                        r = clones_plan(&t, &image, false, &cs);
                if (r < 0)
                        return r;
        }
        r = clones_name(m, &cs, diag);
        if (r == 0)
                r = insert_from_image(m, c, handle, &cs, &ch, diag, ret);
        if (r == 0)
                changes_tell(m, &ch);
        return r;
}

/* ---- writing `image` ---- */

/* "private/web" or "img-…", in the instance's region. */
static int find_image(struct db_txn *t, uint64_t region, const char *name, struct diag *diag, uint64_t *ret)
{
        const char *slash = strchr(name, '/');
        char class[16];
        int64_t id;
        int r;

        if (slash && (size_t)(slash - name) < sizeof(class)) {
                (void)snprintf(class, sizeof(class), "%.*s", (int)(slash - name), name);
                r = db_int(t, instance_disks_sql[BY_PATH], &id, DB_INT(region), DB_TEXT(class), DB_TEXT(slash + 1));
        } else {
                r = db_int(t, instance_disks_sql[BY_IDENT], &id, DB_INT(region), DB_TEXT(name));
        }
        if (r == -ENOENT)
                return diag_set(diag, r,
                                "there is no image %s in this region: write its class and name, as in private/web, or "
                                "its id",
                                name);
        if (r == 0)
                *ret = (uint64_t)id;
        return r;
}

struct system {
        bool exists;
        struct volume v;
};

static int load_system(struct db_txn *t, uint64_t instance, struct system *ret)
{
        int r;

        r = volume_load_by_device(t, instance, SYSTEM_DEVICE, &ret->v);
        ret->exists = r == 0;
        return r == -ENOENT ? 0 : r;
}

/* No device of the image may be there already. */
static int refuse_conflict(struct db_txn *t, const struct clones *cs, const struct instance *instance,
                           struct diag *diag)
{
        for (size_t i = 0; i < cs->n; i++) {
                struct volume v;
                int r;

                r = volume_load_by_device(t, instance->o.id, cs->clone[i].device, &v);
                if (r == 0)
                        return diag_set(diag, -EBUSY, "%s has a disk %s, and so has the image: detach it first",
                                        instance->o.handle, v.device);
                if (r != -ENOENT)
                        return r;
        }
        return 0;
}

static int plan_rebuild(struct model *m, const struct caller *c, uint64_t id, const char *name, struct image *image,
                        struct clones *cs, struct diag *diag)
{
        struct instance instance;
        struct system old;
        uint64_t image_id = 0;
        DB_TXN(t);
        int r;

        volumes_settle(m, OBJECT_INSTANCE, id);
        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = instance_load_for(m, &t, id, INSTANCE_REBUILD, diag, &instance);
        if (r == 0)
                r = find_image(&t, instance.region, name, diag, &image_id);
        if (r == 0)
                r = load_usable(&t, c, image_id, diag, image);
        if (r == 0)
                r = load_system(&t, id, &old);
        return r < 0 ? r : clones_plan(&t, image, old.exists, cs);
}

static int carry_out_rebuild(struct model *m, const struct caller *c, uint64_t id, struct clones *cs,
                             struct changes *ch, struct db_owed *owed, struct diag *diag)
{
        struct instance instance;
        struct system old;
        struct image image;
        LOCK_SCOPE(volumes_gate(m, OBJECT_INSTANCE, id));
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = instance_load_for(m, &t, id, INSTANCE_REBUILD, diag, &instance);
        if (r == 0)
                r = load_usable(&t, c, cs->image->o.id, diag, &image);
        if (r == 0)
                r = load_system(&t, id, &old);
        if (r < 0)
                return r;
        if (old.exists != cs->system_only)
                return diag_set(diag, -EBUSY, "%s has just changed: look again", instance.o.handle);

        changes_add(ch, OBJECT_INSTANCE, id);
        changes_add(ch, OBJECT_IMAGE, instance.image);
        changes_add(ch, OBJECT_IMAGE, instance.cdrom);
        changes_add(ch, OBJECT_IMAGE, image.o.id);
        instance.type = type_of_instance(image.type, instance.type);
        if (old.exists) {
                changes_add(ch, OBJECT_VOLUME, old.v.o.id);
                r = volume_erase(&t, old.v.o.id);
        } else {
                r = refuse_conflict(&t, cs, &instance, diag);
        }
        if (r == 0)
                r = clones_insert(&t, cs, &instance, ch, diag);
        if (r == 0)
                r = instance_set_image(&t, id, image.o.id, instance.type);
        if (r == 0 && image.source == CLASS_ISO)
                r = instance_set_cdrom_row(&t, id, image.o.id);
        return r < 0 ? r : db_commit_early(&t, owed);
}

/* The machine keeps its disks, and what it is; the image counts it no longer. */
static int make_independent(struct model *m, uint64_t id, struct changes *ch, struct db_owed *owed, struct diag *diag)
{
        struct instance instance;
        LOCK_SCOPE(volumes_gate(m, OBJECT_INSTANCE, id));
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = instance_load_for(m, &t, id, INSTANCE_REBUILD, diag, &instance);
        if (r == 0 && instance.image)
                r = instance_set_image(&t, id, 0, instance.type);
        if (r < 0)
                return r;
        changes_add(ch, OBJECT_INSTANCE, id);
        changes_add(ch, OBJECT_IMAGE, instance.image);
        return db_commit_early(&t, owed);
}

int instance_rebuild(struct model *m, const struct caller *c, uint64_t id, const char *name, struct diag *diag)
{
        struct clones cs = { 0 };
        struct changes ch = { 0 };
        struct db_owed owed;
        struct image image;
        int r;

        if (strcmp(name, "none") == 0) {
                r = make_independent(m, id, &ch, &owed, diag);
        } else {
                r = plan_rebuild(m, c, id, name, &image, &cs, diag);
                if (r == 0)
                        r = clones_name(m, &cs, diag);
                if (r == 0)
                        r = carry_out_rebuild(m, c, id, &cs, &ch, &owed, diag);
        }
        if (r == 0)
                r = db_await(&owed);
        if (r == 0)
                changes_tell(m, &ch);
        return r;
}

/* ---- writing `type` ---- */

int instance_set_type(struct db_txn *t, const struct instance *instance, const char *word, struct changes *ch,
                      struct diag *diag)
{
        bool local = strcmp(word, "local") == 0;
        char handle[NAME_LEN_MAX + 1];
        struct system system;
        struct image image;
        int r;

        if (!local && strcmp(word, "cloud") != 0)
                return diag_set(diag, -EINVAL, "type: one of: local, cloud");
        if (instance->bare)
                return diag_set(diag, -EBUSY, "type: %s has no image yet, which decides: write one to image first",
                                instance->o.handle);
        if (local == (instance->type == TYPE_LOCAL))
                return 0;
        if (instance->image == 0)
                return diag_set(diag, -EOPNOTSUPP, "type: %s has no image any more, and stays what it is",
                                instance->o.handle);
        r = image_load(t, instance->image, &image);
        if (r < 0)
                return r;
        if (image.type != TYPE_BOTH)
                return diag_set(diag, -EOPNOTSUPP, "type: %s is made from a %s image, and so it is %s itself",
                                instance->o.handle, image_type_name(image.type), image_type_name(image.type));
        if (instance->started)
                return diag_set(diag, -EBUSY, "type: %s has been started: it stays what it is", instance->o.handle);

        r = load_system(t, instance->o.id, &system);
        if (r < 0 || !system.exists)
                return r < 0 ? r : -EBADMSG;
        if (!local) {
                r = volume_check_quota(t, instance->region, instance->o.uid, 1, 0, diag);
                if (r < 0)
                        return r;
        }
        name_disk(instance, SYSTEM_DEVICE, handle);
        r = volume_set_listed(t, &system.v, local ? NULL : handle);
        if (r == 0)
                r = instance_set_image(t, instance->o.id, instance->image, local ? TYPE_LOCAL : TYPE_CLOUD);
        changes_add(ch, OBJECT_VOLUME, system.v.o.id);
        return r;
}

/* ---- writing `cdrom` ---- */

static int find_iso(struct db_txn *t, const struct caller *c, uint64_t region, const char *name, struct diag *diag,
                    struct image *ret)
{
        uint64_t image = 0;
        int64_t id;
        int r = -ENOENT;

        if (!strchr(name, '/'))
                r = db_int(t, instance_disks_sql[BY_PATH], &id, DB_INT(region), DB_TEXT("iso"), DB_TEXT(name));
        if (r == 0)
                image = (uint64_t)id;
        else if (r == -ENOENT)
                r = find_image(t, region, name, diag, &image);
        if (r == 0)
                r = load_usable(t, c, image, diag, ret);
        if (r < 0)
                return r;
        if (ret->source != CLASS_ISO)
                return diag_set(diag, -EINVAL, "cdrom: %s is no ISO: write an image of iso/, or none", ret->o.handle);
        return 0;
}

int instance_set_cdrom(struct db_txn *t, const struct caller *c, const struct instance *instance, const char *name,
                       struct changes *ch, struct diag *diag)
{
        struct image image = { 0 };
        int r;

        if (strcmp(name, "none") != 0) {
                r = find_iso(t, c, instance->region, name, diag, &image);
                if (r < 0)
                        return r;
        }
        changes_add(ch, OBJECT_IMAGE, instance->cdrom);
        changes_add(ch, OBJECT_IMAGE, image.o.id);
        return instance_set_cdrom_row(t, instance->o.id, image.o.id);
}

/* ---- writing `attach` and `detach` ---- */

static int find_free_device(struct db_txn *t, const struct instance *instance, char *device, size_t size,
                            struct diag *diag)
{
        struct volume v;
        int r;

        for (char letter = 'b'; letter <= 'z'; letter++) { /* vda is kept for the system disk */
                (void)snprintf(device, size, "vd%c", letter);
                r = volume_load_by_device(t, instance->o.id, device, &v);
                if (r == -ENOENT)
                        return 0;
                if (r < 0)
                        return r;
        }
        return diag_set(diag, -EBUSY, "%s has a disk for every letter from vdb to vdz: detach one first",
                        instance->o.handle);
}

int instance_attach(struct model *m, struct db_txn *t, const struct caller *c, const struct instance *instance,
                    const char *disk, struct changes *ch, struct diag *diag)
{
        struct volume v;
        char device[8];
        int r;

        r = volume_load_by_name(t, instance->region, disk, &v);
        if (r == -ENOENT)
                return diag_set(diag, r, "there is no disk %s in this region: see disks/", disk);
        if (r < 0)
                return r;
        if (!object_allows(&v.o, c, 03))
                return diag_set(diag, -EACCES, "%s: only its owner attaches it", v.o.handle);
        r = volume_life_ask(m, t, &v, NULL, VOLUME_ATTACH, diag);
        if (r == 0)
                r = find_free_device(t, instance, device, sizeof(device), diag);
        if (r == 0)
                r = volume_set_instance(t, v.o.id, instance->o.id, device);
        changes_add(ch, OBJECT_VOLUME, v.o.id);
        return r;
}

int instance_detach(struct db_txn *t, const struct instance *instance, const char *device, struct changes *ch,
                    struct diag *diag)
{
        struct volume v;
        int r;

        if (!device_is_valid(device))
                return diag_set(diag, -EINVAL, "detach: write a device, such as vdb");
        r = volume_load_by_device(t, instance->o.id, device, &v);
        if (r == -ENOENT)
                return diag_set(diag, r, "%s has no disk %s: see device-mapping", instance->o.handle, device);
        if (r < 0)
                return r;
        r = volume_life_ask(NULL, t, &v, NULL, VOLUME_DETACH, diag); /* which does not ask who writes */
        if (r < 0)
                return r;
        changes_add(ch, OBJECT_VOLUME, v.o.id);
        return volume_set_instance(t, v.o.id, 0, NULL);
}
