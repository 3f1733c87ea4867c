/* SPDX-License-Identifier: MIT */

/*
 * Quotas under random operations of three users and the administrator, on three regions of which two have one store:
 * what is counted is what exists, nothing new exceeds a limit, and what is refused leaves no trace. One after the other,
 * where each step is checked; then all at once. IMAGEFS_TEST_SEED sets the seed, which is printed; IMAGEFS_TEST_COUNT
 * the operations (20 000 take some minutes).
 */

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <time.h>

#include "blobstore/base/io.h"
#include "model/core/quota.h"
#include "model/core/task_row.h"
#include "model/db/db.h"
#include "model/db/db_vfs.h"
#include "model/image/share.h"
#include "model/work/batch.h"
#include "model/work/convert.h"
#include "model/work/copy.h"
#include "model/work/runner.h"
#include "tests/lib/machine.h"
#include "tests/lib/store.h"

#define COUNT_DEFAULT 800
#define BATCH         50 /* operations between two counts */
#define HANDLES       12 /* few, so that names are taken */
#define LIMIT_MAX     7
#define DISK_BYTES    12288
#define N_USERS       4 /* the first is the administrator */
#define N_REGIONS     3

static uint64_t seed;
static uint64_t count = COUNT_DEFAULT;

struct world {
        struct library *l;
        struct caller user[N_USERS];
        uint64_t region[N_REGIONS];
};

/* Who does something, where. */
struct actor {
        const struct world *w;
        struct model *m;
        uint64_t random;
        struct caller c;
        uint64_t region, other; /* never the same */
        struct diag diag;
};

static uint64_t below(struct actor *a, uint64_t n)
{
        return random_next(&a->random) % n;
}

/* A few names for everybody. */
static const char *handle(struct actor *a, char buf[16])
{
        (void)snprintf(buf, 16, "h%u", (unsigned)below(a, HANDLES));
        return buf;
}

/* ---- one of those that exist ---- */

struct pick {
        struct actor *a;
        bool anybody; /* not only the actor's own */
        uint64_t seen;
        struct object o; /* id 0: none */
};

static int pick_object(void *ctx, const struct object *o)
{
        struct pick *p = ctx;

        if ((p->anybody || o->uid == p->a->c.uid) && below(p->a, ++p->seen) == 0)
                p->o = *o;
        return 0;
}

static uint64_t an_image(struct actor *a, enum image_class class)
{
        struct pick p = { .a = a, .anybody = a->c.admin };

        assert_ok(image_each(a->m, a->region, class, pick_object, &p));
        return p.o.id;
}

static struct object a_snapshot(struct actor *a)
{
        struct pick p = { .a = a, .anybody = a->c.admin };

        assert_ok(snapshot_each(a->m, a->region, pick_object, &p));
        return p.o;
}

static struct object a_volume(struct actor *a)
{
        struct pick p = { .a = a, .anybody = a->c.admin };

        assert_ok(volume_each(a->m, a->region, pick_object, &p));
        return p.o;
}

static uint64_t an_instance(struct actor *a)
{
        struct pick p = { .a = a, .anybody = a->c.admin };

        assert_ok(instance_each(a->m, a->region, pick_object, &p));
        return p.o.id;
}

static const char *region_name(struct actor *a, uint64_t id, char buf[NAME_LEN_MAX + 1])
{
        struct region region;

        assert_ok(region_get(a->m, id, &region));
        (void)snprintf(buf, NAME_LEN_MAX + 1, "%s", region.o.handle);
        return buf;
}

/* ---- operations: each gives what the model said, 0 also where there was nothing to work on ---- */

static int create(struct actor *a, uint64_t *ret)
{
        char name[16];

        return image_create(a->m, &a->c, a->region, CLASS_PRIVATE, handle(a, name), &a->diag, ret);
}

/* Whether there is room is known, when nobody else is at work: the quota is looked at before the name. */
static int op_create(struct actor *a)
{
        uint64_t id;

        return create(a, &id);
}

static int upload(struct actor *a, uint64_t image, size_t size)
{
        uint8_t *bytes = work_bytes(size, (uint32_t)below(a, 5));
        struct upload *u;
        int r;

        r = upload_open(a->m, &a->c, image, &a->diag, &u);
        if (r == 0) {
                if (size)
                        r = upload_write(u, bytes, size, 0, NULL, NULL, &a->diag);
                upload_close(u);
        }
        free(bytes);
        return r;
}

static int op_import(struct actor *a)
{
        uint64_t id;
        int r;

        r = create(a, &id);
        if (r == 0)
                r = image_set(a->m, &a->c, id, IMAGE_FIELD_FORMAT, "raw", &a->diag);
        if (r == 0 && below(a, 2))
                r = image_set(a->m, &a->c, id, IMAGE_FIELD_TYPE, "local", &a->diag);
        return r < 0 ? r : upload(a, id, DISK_BYTES);
}

/* Bytes, that are none of the format that was set, or none at all, come to an image that waits. */
static int op_upload(struct actor *a)
{
        uint64_t id = an_image(a, CLASS_PRIVATE);
        int r = 0;

        if (id && below(a, 3) == 0)
                r = image_set(a->m, &a->c, id, IMAGE_FIELD_FORMAT, "qcow2", &a->diag);
        return id && r == 0 ? upload(a, id, below(a, 2) * DISK_BYTES) : r;
}

static int op_rename(struct actor *a)
{
        uint64_t id = an_image(a, CLASS_PRIVATE);
        char name[16];

        return id ? image_move(a->m, &a->c, id, a->region, CLASS_PRIVATE, handle(a, name), &a->diag) : 0;
}

static int op_remove(struct actor *a)
{
        uint64_t id = an_image(a, CLASS_PRIVATE);

        return id ? image_remove(a->m, &a->c, id, &a->diag) : 0;
}

static int op_restore(struct actor *a)
{
        uint64_t id = an_image(a, CLASS_RECYCLE);
        char name[16];

        return id ? image_move(a->m, &a->c, id, a->region, CLASS_PRIVATE, handle(a, name), &a->diag) : 0;
}

static int op_destroy(struct actor *a)
{
        uint64_t id = an_image(a, CLASS_RECYCLE);

        return id ? image_destroy(a->m, &a->c, id, &a->diag) : 0;
}

static int op_convert(struct actor *a)
{
        uint64_t id = an_image(a, CLASS_PRIVATE);

        return id ? image_convert(a->m, &a->c, id, "cloud", &a->diag) : 0;
}

static int op_copy(struct actor *a)
{
        uint64_t id = an_image(a, CLASS_PRIVATE), task;
        char name[NAME_LEN_MAX + 1];

        return id ? image_copy(a->m, &a->c, id, region_name(a, a->other, name), &a->diag, &task) : 0;
}

static int op_copy_remove(struct actor *a)
{
        struct pick p = { .a = a, .anybody = true };
        uint64_t id = an_image(a, CLASS_PRIVATE);

        if (id)
                assert_ok(copy_each(a->m, id, pick_object, &p));
        return p.o.id ? copy_remove(a->m, &a->c, p.o.id, &a->diag) : 0;
}

static int op_task_remove(struct actor *a)
{
        struct pick p = { .a = a, .anybody = a->c.admin };

        assert_ok(task_each(a->m, pick_object, &p));
        return p.o.id ? task_remove(a->m, &a->c, p.o.id, &a->diag) : 0;
}

/* By name: what is not there, or another's, is asked for as well. */
static int op_batch(struct actor *a)
{
        char line[128], region[NAME_LEN_MAX + 1], name[16];
        size_t n;

        if (below(a, 2))
                n = (size_t)snprintf(line, sizeof(line), "copy %s", region_name(a, a->other, region));
        else
                n = (size_t)snprintf(line, sizeof(line), "delete");
        for (uint64_t i = 1 + below(a, 3); i > 0; i--)
                n += (size_t)snprintf(line + n, sizeof(line) - n, " %s", handle(a, name));
        return batch_run(a->m, &a->c, a->region, line, &a->diag);
}

static int op_snapshot_remove(struct actor *a)
{
        uint64_t id = a_snapshot(a).id;

        return id ? snapshot_remove(a->m, &a->c, id, &a->diag) : 0;
}

static int op_volume_create(struct actor *a)
{
        uint64_t id, snapshot = a_snapshot(a).id;
        char name[16];
        int r;

        if (snapshot && below(a, 2))
                return volume_create_from_snapshot(a->m, &a->c, snapshot, handle(a, name), &a->diag, &id);
        r = volume_create(a->m, &a->c, a->region, handle(a, name), &a->diag, &id);
        return r == 0 && below(a, 4) ? volume_set_size(a->m, &a->c, id, DISK_BYTES, &a->diag) : r;
}

static int op_volume_snapshot(struct actor *a)
{
        uint64_t id = a_volume(a).id, snapshot;
        char name[16];

        return id ? volume_snapshot(a->m, &a->c, id, handle(a, name), &a->diag, &snapshot) : 0;
}

static int op_volume_grow(struct actor *a)
{
        struct volume v;
        uint64_t id = a_volume(a).id;
        int r;

        if (!id)
                return 0;
        r = volume_get(a->m, id, &v); /* another may have been faster */
        return r < 0 ? r : volume_set_size(a->m, &a->c, id, v.size_bytes + DISK_BYTES * below(a, 3), &a->diag);
}

static int op_volume_remove(struct actor *a)
{
        uint64_t id = a_volume(a).id;

        return id ? volume_remove(a->m, &a->c, id, &a->diag) : 0;
}

static int op_instance_create(struct actor *a)
{
        uint64_t id, image = an_image(a, below(a, 4) ? CLASS_PRIVATE : CLASS_PUBLIC);
        char name[16];

        if (!image)
                return 0;
        return instance_create_from_image(a->m, &a->c, image, handle(a, name), &a->diag, &id);
}

/* By name: what is not there, or another's, is asked for as well. */
static int op_rebuild(struct actor *a)
{
        uint64_t id = an_instance(a);
        char image[24], name[16];

        (void)snprintf(image, sizeof(image), "%s/%s", below(a, 2) ? "private" : "public", handle(a, name));
        return id ? instance_set(a->m, &a->c, id, INSTANCE_FIELD_IMAGE, image, &a->diag) : 0;
}

static int op_retype(struct actor *a)
{
        uint64_t id = an_instance(a);

        return id ? instance_set(a->m, &a->c, id, INSTANCE_FIELD_TYPE, below(a, 2) ? "local" : "cloud", &a->diag) : 0;
}

static int op_attach(struct actor *a)
{
        uint64_t id = an_instance(a);
        struct object volume = a_volume(a);

        if (!id)
                return 0;
        if (below(a, 3) == 0)
                return instance_set(a->m, &a->c, id, INSTANCE_FIELD_DETACH, "vdb", &a->diag);
        return volume.id ? instance_set(a->m, &a->c, id, INSTANCE_FIELD_ATTACH, volume.handle, &a->diag) : 0;
}

static int op_capture(struct actor *a)
{
        uint64_t id = an_instance(a), image;
        char name[16];

        return id ? instance_capture(a->m, &a->c, id, handle(a, name), &a->diag, &image) : 0;
}

static int op_instance_remove(struct actor *a)
{
        uint64_t id = an_instance(a);

        return id ? instance_remove(a->m, &a->c, id, &a->diag) : 0;
}

static int op_share(struct actor *a)
{
        uint64_t id = an_image(a, CLASS_PRIVATE), share;
        char user[16];

        (void)snprintf(user, sizeof(user), "%u", a->w->user[1 + below(a, N_USERS - 1)].uid);
        return id ? share_create(a->m, &a->c, id, user, &a->diag, &share) : 0;
}

static int pick_share(void *ctx, const struct share *s)
{
        return pick_object(ctx, &s->o);
}

static int op_unshare(struct actor *a)
{
        struct pick p = { .a = a, .anybody = true };
        uint64_t id = an_image(a, CLASS_PRIVATE);

        if (id)
                assert_ok(share_each(a->m, id, pick_share, &p));
        return p.o.id ? share_remove(a->m, &a->c, p.o.id, &a->diag) : 0;
}

/* A machine of an image that is shared with the actor. */
static int op_use_shared(struct actor *a)
{
        struct pick p = { .a = a, .anybody = true };
        char name[16];
        uint64_t id;

        assert_ok(share_each_image(a->m, &a->c, a->region, pick_object, &p));
        return p.o.id ? instance_create_from_image(a->m, &a->c, p.o.id, handle(a, name), &a->diag, &id) : 0;
}

/* ---- what is the administrator's: the others try it too, and must not succeed ---- */

static int must_be_admin(const struct actor *a, int r)
{
        if (!a->c.admin && r == 0)
                fail_msg("a user did what only the administrator may");
        return r;
}

static int op_publish(struct actor *a)
{
        uint64_t id = an_image(a, CLASS_PRIVATE);
        char name[16];

        if (!id)
                return 0;
        return must_be_admin(a, image_move(a->m, &a->c, id, a->region, below(a, 2) ? CLASS_PUBLIC : CLASS_MARKETPLACE,
                                           handle(a, name), &a->diag));
}

static int op_unpublish(struct actor *a)
{
        uint64_t id = a->c.admin ? an_image(a, CLASS_PUBLIC) : 0;

        return id ? image_remove(a->m, &a->c, id, &a->diag) : 0;
}

static int op_hand_over(struct actor *a)
{
        const struct caller *to = &a->w->user[below(a, N_USERS)];
        enum object_kind kind;
        uint64_t id;

        switch (below(a, 5)) {
        case 0:
                kind = OBJECT_SNAPSHOT;
                id = a_snapshot(a).id;
                break;
        case 1:
                kind = OBJECT_VOLUME;
                id = a_volume(a).id;
                break;
        case 2:
                kind = OBJECT_INSTANCE;
                id = an_instance(a);
                break;
        default:
                kind = OBJECT_IMAGE;
                id = an_image(a, below(a, 4) ? CLASS_PRIVATE : CLASS_RECYCLE);
        }
        if (!id || to->uid == a->c.uid)
                return 0;
        return must_be_admin(a, model_set_access(a->m, &a->c, kind, id, NULL, &to->uid, &to->gid, &a->diag));
}

static int op_limit(struct actor *a)
{
        const char *key = limit_name((enum limit)below(a, LIMIT_QUOTAS));
        uint64_t value = below(a, LIMIT_MAX + 1);
        char line[64];

        if (strcmp(key, limit_name(LIMIT_DISK_BYTES)) == 0)
                value *= 2 * DISK_BYTES;
        switch (below(a, 3)) {
        case 0:
                (void)snprintf(line, sizeof(line), "%s %llu", key, (unsigned long long)value);
                return must_be_admin(a, limit_set_line(a->m, &a->c, line, &a->diag));
        case 1:
                (void)snprintf(line, sizeof(line), "%s limit=%llu", key, (unsigned long long)value);
                break;
        default:
                (void)snprintf(line, sizeof(line), "%u %s limit=%llu", a->w->user[below(a, N_USERS)].uid, key,
                               (unsigned long long)value);
        }
        return must_be_admin(a, quota_set_line(a->m, &a->c, a->region, line, &a->diag));
}

static const struct op {
        const char *name;
        unsigned weight;
        int (*run)(struct actor *a);
} ops[] = {
        { "create", 4, op_create },
        { "import", 12, op_import },
        { "upload", 5, op_upload },
        { "rename", 2, op_rename },
        { "remove", 6, op_remove },
        { "restore", 4, op_restore },
        { "destroy", 2, op_destroy },
        { "convert", 5, op_convert },
        { "copy", 5, op_copy },
        { "copy-remove", 3, op_copy_remove },
        { "task-remove", 3, op_task_remove },
        { "batch", 3, op_batch },
        { "snapshot-remove", 5, op_snapshot_remove },
        { "volume-create", 3, op_volume_create },
        { "volume-snapshot", 4, op_volume_snapshot },
        { "volume-grow", 4, op_volume_grow },
        { "volume-remove", 4, op_volume_remove },
        { "instance-create", 4, op_instance_create },
        { "rebuild", 3, op_rebuild },
        { "retype", 3, op_retype },
        { "attach", 2, op_attach },
        { "capture", 4, op_capture },
        { "instance-remove", 4, op_instance_remove },
        { "share", 6, op_share },
        { "unshare", 2, op_unshare },
        { "use-shared", 2, op_use_shared },
        { "publish", 1, op_publish },
        { "unpublish", 1, op_unpublish },
        { "hand-over", 3, op_hand_over },
        { "limit", 5, op_limit },
};
#define N_OPS (sizeof(ops) / sizeof(ops[0]))

static const struct op *choose(struct actor *a)
{
        unsigned total = 0;
        uint64_t n;

        for (size_t i = 0; i < N_OPS; i++)
                total += ops[i].weight;
        n = below(a, total);
        for (size_t i = 0; i < N_OPS; i++) {
                if (n < ops[i].weight)
                        return &ops[i];
                n -= ops[i].weight;
        }
        return &ops[0];
}

static void place(struct actor *a)
{
        uint64_t i = below(a, N_REGIONS);

        a->region = a->w->region[i];
        a->other = a->w->region[(i + 1 + below(a, N_REGIONS - 1)) % N_REGIONS];
        a->diag = (struct diag){ 0 };
}

/* ---- what must hold ---- */

static struct quota quota_of(const struct world *w, uint64_t region, uid_t uid, enum limit l)
{
        struct quota q;

        assert_ok(quota_get(w->l->m, region, uid, l, &q));
        return q;
}

struct count {
        uid_t uid;
        uint64_t n;
};

static int count_own(void *ctx, const struct object *o)
{
        struct count *c = ctx;

        c->n += o->uid == c->uid;
        return 0;
}

static int count_any(void *ctx, const struct object *o)
{
        (void)o;
        ((struct count *)ctx)->n++;
        return 0;
}

static void assert_counted(const struct world *w)
{
        for (size_t i = 0; i < N_REGIONS; i++) {
                for (size_t u = 0; u < N_USERS; u++) {
                        struct count images = { .uid = w->user[u].uid }, snapshots = images, shared = images;
                        struct count instances = images, disks = images;
                        struct caller c = { .uid = images.uid }; /* no admin: root sees all that are shared */

                        assert_ok(image_each(w->l->m, w->region[i], CLASS_PRIVATE, count_own, &images));
                        assert_ok(snapshot_each(w->l->m, w->region[i], count_own, &snapshots));
                        assert_ok(share_each_image(w->l->m, &c, w->region[i], count_any, &shared));
                        assert_int_equal(quota_of(w, w->region[i], images.uid, LIMIT_PRIVATE_IMAGES).used, images.n);
                        assert_int_equal(quota_of(w, w->region[i], images.uid, LIMIT_SHARED_IMAGES).used, shared.n);
                        assert_int_equal(quota_of(w, w->region[i], images.uid, LIMIT_SNAPSHOTS).used, snapshots.n);

                        assert_ok(instance_each(w->l->m, w->region[i], count_own, &instances));
                        assert_ok(volume_each(w->l->m, w->region[i], count_own, &disks));
                        assert_int_equal(quota_of(w, w->region[i], images.uid, LIMIT_INSTANCES).used, instances.n);
                        assert_int_equal(quota_of(w, w->region[i], images.uid, LIMIT_DISKS).used, disks.n);
                        assert_int_equal(quota_of(w, w->region[i], images.uid, LIMIT_DISK_BYTES).used,
                                         library_sql_int(w->l, "SELECT ifnull(sum(size), 0) FROM volume "
                                                               "WHERE region = %llu AND uid = %u",
                                                         (unsigned long long)w->region[i], images.uid));
                }
        }
        assert_int_equal(library_sql_int(w->l, "SELECT count(*) FROM usage WHERE used <> 0 AND uid NOT IN (%u, %u, %u, %u)",
                                         w->user[0].uid, w->user[1].uid, w->user[2].uid, w->user[3].uid),
                         0);
}

static bool is_idle(struct library *l, uint64_t arg)
{
        int r = task_any_active(l->m, INT64_MAX);

        (void)arg;
        assert_true(r >= 0);
        return r == 0;
}

/* Does nothing change by itself? A checksum that becomes known changes the snapshot, a clone's disk that is made its row. */
static bool is_quiet(struct library *l)
{
        return is_idle(l, 0) && library_sql_int(l, "SELECT (SELECT count(*) FROM blob WHERE checksum IS NULL) + "
                                              "(SELECT count(*) FROM volume WHERE made = 0)") == 0;
}

/* FNV-1a over every row of every table that users see something of. */
static uint64_t digest(sqlite3 *conn)
{
        /* The row of a task that is shown nowhere any more goes when the upkeep gets to it. */
        static const char tables[] =
                "SELECT name || iif(name = 'task', ' WHERE in_tasks', '') FROM sqlite_master WHERE type = 'table' AND name NOT IN "
                "('blob', 'reap', 'trash', 'store', 'scrub', 'damage', 'history', 'sqlite_sequence') ORDER BY name";
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        sqlite3_stmt *names, *rows;

        assert_int_equal(sqlite3_exec(conn, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(conn, tables, -1, &names, NULL), SQLITE_OK);
        while (sqlite3_step(names) == SQLITE_ROW) {
                char *sql = sqlite3_mprintf("SELECT * FROM %s", sqlite3_column_text(names, 0));

                assert_int_equal(sqlite3_prepare_v2(conn, sql, -1, &rows, NULL), SQLITE_OK);
                while (sqlite3_step(rows) == SQLITE_ROW) {
                        for (int col = 0; col < sqlite3_column_count(rows); col++) {
                                const uint8_t *bytes = sqlite3_column_blob(rows, col);
                                int n = sqlite3_column_bytes(rows, col);

                                for (int i = 0; i < n; i++)
                                        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
                                hash = (hash ^ 0x100) * UINT64_C(0x100000001b3);
                        }
                }
                (void)sqlite3_finalize(rows);
                sqlite3_free(sql);
        }
        (void)sqlite3_finalize(names);
        assert_int_equal(sqlite3_exec(conn, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        return hash;
}

static sqlite3 *open_database(const struct world *w)
{
        char path[TEMPDIR_MAX + 32];
        sqlite3 *conn;

        (void)snprintf(path, sizeof(path), "%s/lib/" DB_FILE, w->l->dir);
        assert_int_equal(sqlite3_open_v2(path, &conn, SQLITE_OPEN_READONLY, DB_VFS), SQLITE_OK);
        (void)sqlite3_busy_timeout(conn, 10000);
        return conn;
}

static bool is_refusal(int r)
{
        static const int refusals[] = { EDQUOT, EBUSY, EEXIST, EPERM, EACCES, EOPNOTSUPP, EINVAL, E2BIG, ENOENT };

        for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
                if (r == -refusals[i])
                        return true;
        }
        return false;
}

/* Usage of everybody everywhere. */
struct usage {
        struct quota q[N_REGIONS][N_USERS][LIMIT_QUOTAS];
};

static void take_usage(const struct world *w, struct usage *ret)
{
        for (size_t i = 0; i < N_REGIONS; i++) {
                for (size_t u = 0; u < N_USERS; u++) {
                        for (enum limit l = 0; l < LIMIT_QUOTAS; l++)
                                ret->q[i][u][l] = quota_of(w, w->region[i], w->user[u].uid, l);
                }
        }
}

static void assert_within_limits(const struct world *w, const struct usage *before)
{
        struct usage after;

        take_usage(w, &after);
        for (size_t i = 0; i < N_REGIONS; i++) {
                for (size_t u = 0; u < N_USERS; u++) {
                        for (enum limit l = 0; l < LIMIT_QUOTAS; l++) {
                                const struct quota *q = &after.q[i][u][l];

                                if (q->used > before->q[i][u][l].used && q->used > q->limit)
                                        fail_msg("%s: %llu of %llu", limit_name(l), (unsigned long long)q->used,
                                                 (unsigned long long)q->limit);
                        }
                }
        }
}

/* ---- one after the other ---- */

/* A refusal says why, and leaves nothing behind; an import has made its image before its upload is refused. */
static void step(struct world *w, struct actor *a, sqlite3 *conn)
{
        const struct op *op;
        struct usage before;
        struct quota images;
        uint64_t state = 0;
        bool quiet;
        int r;

        a->c = w->user[below(a, N_USERS)];
        place(a);
        op = choose(a);
        quiet = is_quiet(w->l);
        if (quiet)
                state = digest(conn);
        take_usage(w, &before);
        images = quota_of(w, a->region, a->c.uid, LIMIT_PRIVATE_IMAGES);

        r = op->run(a);
        if (op->run != op_publish) /* what the administrator publishes becomes his, whatever his own limit says */
                assert_within_limits(w, &before);
        if (op->run == op_create && r != -EEXIST && (r == -EDQUOT) != (images.used >= images.limit))
                fail_msg("create gave %s with %llu of %llu", expect_name(r), (unsigned long long)images.used,
                         (unsigned long long)images.limit);
        if (r == 0)
                return;
        if (!is_refusal(r))
                fail_msg("%s gave %s", op->name, expect_name(r));
        if (a->diag.text[0] == '\0')
                fail_msg("%s gave %s without a sentence", op->name, expect_name(r));
        if (quiet && op->run != op_import && op->run != op_upload && op->run != op_volume_create && digest(conn) != state)
                fail_msg("%s was refused (%s) and changed something", op->name, a->diag.text);
}

static void make_world(struct world *w, struct library *l)
{
        *w = (struct world){
                .l = l,
                .user = { l->admin, l->alice, l->bob, { .uid = 61003, .gid = 61003 } },
                .region = { l->region, work_region(l, "r2"), work_far_region(l, "r3") },
        };
}

/* What exists goes through the same requests as ever. */
static void remove_all(struct world *w)
{
        struct actor a = { .w = w, .m = w->l->m, .random = 1, .c = w->user[0] };
        static const enum image_class classes[] = { CLASS_PRIVATE, CLASS_PUBLIC, CLASS_MARKETPLACE, CLASS_RECYCLE };
        uint64_t id;

        for (size_t i = 0; i < N_REGIONS; i++) {
                a.region = w->region[i];
                while ((id = an_instance(&a)))
                        assert_ok(instance_remove(a.m, &a.c, id, &a.diag));
                while ((id = a_volume(&a).id))
                        assert_ok(volume_remove(a.m, &a.c, id, &a.diag));
                for (size_t c = 0; c < sizeof(classes) / sizeof(classes[0]); c++) {
                        while ((id = an_image(&a, classes[c])))
                                assert_ok((classes[c] == CLASS_RECYCLE ? image_destroy : image_remove)(a.m, &a.c, id, &a.diag));
                }
                while ((id = a_snapshot(&a).id))
                        assert_ok(snapshot_remove(a.m, &a.c, id, &a.diag));
        }
}

static void assert_nothing_is_left(struct world *w)
{
        remove_all(w);
        assert_counted(w);
        assert_int_equal(library_sql_int(w->l, "SELECT ifnull(sum(used), 0) FROM usage"), 0);
        work_wait_blobs(w->l, 0);
        machine_wait_disks(w->l, 0);
        work_wait_incoming(w->l);
        work_assert_clean(w->l);
}

static void test_what_is_counted_is_what_exists(void **state)
{
        struct world w;
        struct actor a = { .w = &w, .random = seed * 2 + 1 };
        sqlite3 *conn;

        make_world(&w, *state);
        a.m = w.l->m;
        conn = open_database(&w);
        for (uint64_t i = 1; i <= count; i++) {
                step(&w, &a, conn);
                if (below(&a, 2))
                        work_wait(w.l, is_idle, 0);
                if (i % BATCH)
                        continue;
                assert_counted(&w);
                if (below(&a, 8) == 0) { /* a restart in the middle of the work */
                        (void)sqlite3_close(conn);
                        library_close(w.l);
                        assert_ok(library_open(w.l));
                        a.m = w.l->m;
                        conn = open_database(&w);
                        assert_counted(&w);
                }
        }
        (void)sqlite3_close(conn);
        work_wait(w.l, is_idle, 0);
        assert_counted(&w);
        assert_nothing_is_left(&w);
}

/* ---- all at once ---- */

static void *act(void *arg)
{
        struct actor *a = arg;

        for (uint64_t i = 0; i < count / N_USERS; i++) {
                const struct op *op;
                int r;

                place(a);
                op = choose(a);
                r = op->run(a);
                if (r == 0 || is_refusal(r) || r == -ESTALE) /* another was faster */
                        continue;
                (void)fprintf(stderr, "%s gave %s: %s\n", op->name, expect_name(r), a->diag.text);
                abort();
        }
        return NULL;
}

static void test_so_it_is_when_all_work_at_once(void **state)
{
        struct actor actors[N_USERS];
        pthread_t threads[N_USERS];
        struct world w;

        make_world(&w, *state);
        for (size_t u = 0; u < N_USERS; u++) {
                actors[u] = (struct actor){ .w = &w, .m = w.l->m, .random = seed * 2 + 3 + 2 * u, .c = w.user[u] };
                assert_ok(pthread_create(&threads[u], NULL, act, &actors[u]));
        }
        for (size_t u = 0; u < N_USERS; u++)
                assert_ok(pthread_join(threads[u], NULL));
        work_wait(w.l, is_idle, 0);
        assert_counted(&w);
        assert_nothing_is_left(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_what_is_counted_is_what_exists),
                TEST(test_so_it_is_when_all_work_at_once),
        };

        seed = environment_number("IMAGEFS_TEST_SEED", (uint64_t)time(NULL));
        count = environment_number("IMAGEFS_TEST_COUNT", count);
        printf("IMAGEFS_TEST_SEED=%llu IMAGEFS_TEST_COUNT=%llu\n", (unsigned long long)seed, (unsigned long long)count);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
