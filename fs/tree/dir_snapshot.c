/* SPDX-License-Identifier: MIT */
/*
 * Snapshots: immutable disks of a region that images refer to.
 */

#include "fs/tree/dir.h"

#include "fs/tree/users.h"

static int snapshots_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return snapshot_each(rq->fs->model, oid, dir_add_object, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int snapshots_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        return dir_found(snapshot_find(rq->fs->model, oid, name, ret_object), ret, ret_object);
}

static int snapshots_remove(struct req *rq, uint64_t child)
{
        return snapshot_remove(rq->fs->model, &rq->caller, child, &rq->diag);
}

static int snapshots_rename(struct req *rq, uint64_t child, struct node to, const char *name)
{
        const struct snapshot *s;
        int r;

        r = req_snapshot(rq, child, &s);
        if (r < 0)
                return r;
        if (to.kind != KIND_SNAPSHOTS || to.row != 0 || to.oid != s->region)
                return diag_set(&rq->diag, -EPERM, "a snapshot stays among the snapshots of its region");
        return snapshot_rename(rq->fs->model, &rq->caller, child, name, &rq->diag);
}

const struct dir_kind dir_snapshots = {
        .name = "snapshots",
        .mode = 0777,
        .child = KIND_SNAPSHOT,
        .child_name = "<snapshot>",
        .object_kind = OBJECT_REGION,
        .object = dir_region_object,
        .list = snapshots_list,
        .find = snapshots_find,
        .remove = snapshots_remove,
        .rename = snapshots_rename,
};

/* ---- a snapshot ---- */

static int snapshot_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return snapshot_get_object(rq->fs->model, oid, ret);
}

#define DEFINE_SHOW(name, statement) DIR_SHOW_LINE(snapshot, s, name, statement)

DEFINE_SHOW(id, strbuf_add(out, s->ident))
DEFINE_SHOW(name, strbuf_add(out, s->name))
DEFINE_SHOW(description, strbuf_add(out, s->description))
DEFINE_SHOW(status, strbuf_add(out, s->available ? "available" : "creating"))
DEFINE_SHOW(size, strbuf_addf(out, "%llu", (unsigned long long)s->blob.size_bytes))
DEFINE_SHOW(created, strbuf_add_time(out, s->o.created_us))
DEFINE_SHOW(owner, dir_add_owner(rq->fs->model, out, s->o.uid))
DEFINE_SHOW(source, strbuf_add(out, s->source))

static int store_name(struct req *rq, const char *text)
{
        return snapshot_set_name(rq->fs->model, &rq->caller, rq->oid, text, &rq->diag);
}

static int store_description(struct req *rq, const char *text)
{
        return snapshot_set_description(rq->fs->model, &rq->caller, rq->oid, text, &rq->diag);
}

static int show_checksum(struct req *rq, struct strbuf *out)
{
        const struct snapshot *s;
        int r;

        r = req_snapshot(rq, rq->oid, &s);
        if (r < 0)
                return r;
        if (s->available && blob_has_checksum(&s->blob))
                dir_add_checksum(out, &s->blob, "data.raw");
        else
                strbuf_add(out, "\n");
        return 0;
}

static bool data_visible(struct req *rq)
{
        const struct snapshot *s;

        return req_snapshot(rq, rq->oid, &s) == 0 && s->available;
}

static int data_info(struct req *rq, uint64_t oid, enum export_format format, struct blob_file *ret)
{
        const struct snapshot *s;
        int r;

        r = req_snapshot(rq, oid, &s);
        if (r < 0)
                return r;
        if (!s->available)
                return -ENOENT;
        *ret = blob_file_of(&s->blob, format, s->o.created_us);
        return 0;
}

static int data_open_as(struct req *rq, uint64_t oid, enum export_format format, struct export **ret)
{
        struct blob *blob;
        int r;

        r = snapshot_open(rq->fs->model, oid, &rq->diag, &blob);
        return r < 0 ? r : export_open(blob, format, ret);
}

#define DEFINE_DATA(name, format)                                                               \
        static int name##_info(struct req *rq, uint64_t oid, struct blob_file *ret)             \
        {                                                                                       \
                return data_info(rq, oid, format, ret);                                         \
        }                                                                                       \
                                                                                                \
        static int name##_open(struct req *rq, uint64_t oid, struct export **ret)               \
        {                                                                                       \
                return data_open_as(rq, oid, format, ret);                                      \
        }                                                                                       \
                                                                                                \
        static const struct blob_ops name##_ops = { .info = name##_info, .open = name##_open };

DEFINE_DATA(raw, EXPORT_RAW)
DEFINE_DATA(qcow2, EXPORT_QCOW2)

static int show_verified(struct req *rq, struct strbuf *out)
{
        return dir_show_verified(rq, verified_snapshot, out);
}

static int64_t verified_us(struct req *rq)
{
        return dir_verified_us(rq, verified_snapshot);
}

#define RO(number, name, show_fn, help) { number, name, help, 0444, ENTRY_LINE, .show = show_fn }

static const struct entry snapshot_entries[] = {
        RO(1, "id", show_id, "snap-…, never used again"),
        { 2, "name", "display name, may repeat", 0666, ENTRY_LINE, .show = show_name, .store = store_name },
        { 3, "description", "text, up to 4 KiB", 0666, ENTRY_TEXT, .show = show_description,
          .store = store_description },
        RO(4, "size", show_size, "virtual bytes"),
        RO(5, "status", show_status, "creating available"),
        RO(6, "created", show_created, "when it was made"),
        RO(7, "owner", show_owner, "user name"),
        RO(8, "source", show_source, "what it was made from"),
        { 9, "data.raw", "the guest's bytes", 0444, .blob = &raw_ops, .visible = data_visible },
        { 10, "data.qcow2", "the same as a qcow2 file", 0444, .blob = &qcow2_ops, .visible = data_visible },
        { 11, "images", "`id class/image`, a line for each that refers to it", 0444, .show = users_show_images },
        { 12, "disks", "mkdir NAME makes a disk from it", 0777, .dir = KIND_SNAPSHOT_VOLUMES },
        { 13, "used-by", "a line for each thing that keeps it from being removed", 0444, ENTRY_USERS,
          .show = users_show_of_snapshot },
        { 14, "checksum", "XXH3-128 of data.raw: xxhsum -c checksum compares", 0444, .show = show_checksum },
        DIR_LAST_ERROR(15),
        DIR_LAST_VERIFIED(17),
        { 16, "changed", "changed/SNAPSHOT: where the two differ, `offset length` lines", 0777, ENTRY_UNLISTED,
          .dir = KIND_SNAPSHOT_CHANGED },
        DIR_PACKAGES(18),
        DIR_PARTITIONS(19, KIND_SNAPSHOT_PARTITIONS),
        DIR_GUEST(20, KIND_SNAPSHOT_GUEST),
        { 0 },
};

const struct dir_kind dir_snapshot = {
        .name = "snapshot",
        .entries = snapshot_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_SNAPSHOT,
        .object = snapshot_object,
        .access = true,
};

/* ---- changed/<other> ---- */

/*
 * What is compared is read, as far as the two share no chunks: it takes its time, and its text memory. So it is not done
 * by the threads that answer (ops/later.h), and by few at once; they notice when who asked has gone, or the daemon is to
 * stop; and who has more differences to tell of than anybody reads is refused.
 */
#define CHANGED_TEXT_MAX (64 << 20)

/* A child's oid holds both ids. */
#define CHANGED_ID_BITS (OID_BITS / 2)

static int changed_object(struct req *rq, uint64_t child, struct object *ret)
{
        return snapshot_get_object(rq->fs->model, child >> CHANGED_ID_BITS, ret);
}

static int changed_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        const struct snapshot *s;
        struct object other;
        int r;

        (void)ret_object;
        r = req_snapshot(rq, oid, &s);
        if (r < 0)
                return r;
        r = snapshot_find(rq->fs->model, s->region, name, &other);
        if (r < 0)
                return r;
        if (oid >> CHANGED_ID_BITS || other.id >> CHANGED_ID_BITS)
                return -EOVERFLOW;
        *ret = (struct child){ .oid = oid << CHANGED_ID_BITS | other.id, .type = DT_REG };
        return 0;
}

struct changed {
        struct req *rq;
        struct strbuf *out;
};

static int changed_add(void *ctx, uint64_t off, uint64_t len)
{
        const struct changed *c = ctx;

        if (c->out->len > CHANGED_TEXT_MAX)
                return diag_set(&c->rq->diag, -E2BIG,
                                "the two differ in too many places to list: compare their data.raw");
        strbuf_addf(c->out, "%llu %llu\n", (unsigned long long)off, (unsigned long long)len);
        return strbuf_error(c->out);
}

static int changed_go_on(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
        const struct changed *c = ctx;

        (void)done_bytes;
        (void)total_bytes;
        return fuse_req_interrupted(c->rq->fuse) || atomic_load(&c->rq->fs->stopping) ? -EINTR : 0;
}

static void blob_closep(struct blob **b)
{
        blob_close(*b);
}

/* The way to the file led through the one snapshot alone; where the two differ says what is in the other. */
static int changed_show(struct req *rq, uint64_t child, struct strbuf *out)
{
        const uint64_t id = child >> CHANGED_ID_BITS, other_id = child & ((UINT64_C(1) << CHANGED_ID_BITS) - 1);
        CLEANUP(blob_closep) struct blob *a = NULL;
        CLEANUP(blob_closep) struct blob *b = NULL;
        struct object other;
        int r;

        r = snapshot_get_object(rq->fs->model, other_id, &other);
        if (r == 0 && !object_allows(&other, &rq->caller, 05))
                return diag_set(&rq->diag, -EACCES, "%s: only who may read it compares with it", other.handle);
        if (r == 0)
                r = snapshot_open(rq->fs->model, id, &rq->diag, &a);
        if (r == 0)
                r = snapshot_open(rq->fs->model, other_id, &rq->diag, &b);
        if (r == -ENOENT)
                return diag_set(&rq->diag, -EBUSY, "one of the two snapshots is still being created");
        return r < 0 ? r : blob_diff(a, b, changed_add, changed_go_on, &(struct changed){ rq, out });
}

const struct dir_kind dir_snapshot_changed = {
        .name = "changed",
        .child = KIND_NONE,
        .object_kind = OBJECT_SNAPSHOT,
        .object = snapshot_object,
        .child_object = changed_object,
        .find = changed_find,
        .show_child = changed_show,
};
