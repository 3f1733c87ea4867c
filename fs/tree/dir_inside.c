/* SPDX-License-Identifier: MIT */
/*
 * What is inside of images and snapshots: packages, and partitions/ with a table and a file for each. None of it is
 * listed, so that walking tools do not read every byte twice, and that nobody is looked into unasked. All of it reads
 * disks, so the threads for that find and list it, too (ops/later.h).
 *
 * A file is known by the id of the image's disk, or of the snapshot, and the number of the partition. Its name is the
 * device's, as a machine would have it; a snapshot is vda.
 */

#include "fs/tree/dir.h"

#include "model/core/text.h"
#include "model/image/inside.h"

#define PART_BITS 8
_Static_assert(INSIDE_NUMBER_MAX < 1 << PART_BITS, "a partition's number must fit into an oid");

static int go_on(void *ctx)
{
        const struct req *rq = ctx;

        return (rq->fuse && fuse_req_interrupted(rq->fuse)) || atomic_load(&rq->fs->stopping) ? -EINTR : 0;
}

#define ASKER(rq) (&(struct inside_asker){ .go_on = go_on, .ctx = rq })

static bool is_snapshot(const struct req *rq)
{
        return rq->dir->object_kind == OBJECT_SNAPSHOT;
}

/* ---- packages: of the system disk ---- */

static int make_packages(struct req *rq, struct strbuf *out)
{
        struct inside_subject s[INSIDE_DISKS_MAX];
        size_t n = 0;
        int r;

        r = inside_subjects(rq->fs->model, is_snapshot(rq), rq->oid, s, &n);
        for (size_t i = 0; r == 0 && i < n; i++) {
                if (s[i].system)
                        return inside_get_packages(rq->fs->model, &s[i], ASKER(rq), &rq->diag, out);
        }
        return r < 0 ? r : diag_set(&rq->diag, -EBUSY, "its disk is not there yet");
}

/* A text that is made for who opens it, and measured for who asks how long it is. */
static int give_text(struct req *rq, int (*make)(struct req *rq, struct strbuf *out), struct text **ret)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        int r = make(rq, &out);

        if (r == 0)
                r = strbuf_error(&out);
        return r < 0 ? r : text_new(rq->fs->model, rq->caller.uid, &out, &rq->diag, ret);
}

static int measure_text(struct req *rq, int (*make)(struct req *rq, struct strbuf *out), uint64_t *ret_size)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        int r = make(rq, &out);

        *ret_size = out.len;
        return r < 0 ? r : strbuf_error(&out);
}

int inside_packages_text(struct req *rq, struct text **ret, int64_t *ret_changed_us)
{
        (void)ret_changed_us; /* the object's */
        return give_text(rq, make_packages, ret);
}

int inside_measure_packages(struct req *rq, uint64_t *ret_size, int64_t *ret_changed_us)
{
        (void)ret_changed_us;
        return measure_text(rq, make_packages, ret_size);
}

/* ---- partitions/table ---- */

typedef int part_fn(void *ctx, const struct inside_subject *s, const struct inside_part *p);

/* What is not 0 of FN ends it. */
static int each_part(struct req *rq, uint64_t oid, bool snapshot, part_fn *fn, void *ctx)
{
        struct inside_subject s[INSIDE_DISKS_MAX];
        size_t n = 0;
        int r;

        r = inside_subjects(rq->fs->model, snapshot, oid, s, &n);
        for (size_t i = 0; r == 0 && i < n; i++) {
                CLEANUP_FREE struct inside_parts *parts = NULL;

                r = inside_get_parts(rq->fs->model, &s[i], ASKER(rq), &rq->diag, &parts);
                for (size_t p = 0; r == 0 && p < parts->n; p++)
                        r = fn(ctx, &s[i], &parts->part[p]);
        }
        return r;
}

static int add_line(void *ctx, const struct inside_subject *s, const struct inside_part *p)
{
        inside_add_part(ctx, s->device, p);
        return strbuf_error(ctx);
}

static int make_table(struct req *rq, struct strbuf *out)
{
        int r = each_part(rq, rq->oid, is_snapshot(rq), add_line, out);

        if (r == 0 && out->len == 0)
                strbuf_add(out, "\n");
        return r;
}

static int table_text(struct req *rq, struct text **ret, int64_t *ret_changed_us)
{
        (void)ret_changed_us;
        return give_text(rq, make_table, ret);
}

static int measure_table(struct req *rq, uint64_t *ret_size, int64_t *ret_changed_us)
{
        (void)ret_changed_us;
        return measure_text(rq, make_table, ret_size);
}

static const struct entry partitions_entries[] = {
        { 1, "table", "a line for each: start=… size=… type=… fs=… label=… uuid=…", 0444, ENTRY_LOOK, .text = table_text,
          .measure = measure_table },
        { 0 },
};

/* ---- the files ---- */

static int add_file(void *ctx, const struct inside_subject *s, const struct inside_part *p)
{
        const struct dir_children *v = ctx;
        char name[NAME_LEN_MAX + 1];

        if (s->id >> (OID_BITS - PART_BITS))
                return -EOVERFLOW;
        if (p->number)
                (void)snprintf(name, sizeof(name), "%s%u.raw", s->device, p->number);
        else
                (void)snprintf(name, sizeof(name), "%s.raw", s->device);
        return v->fn(v->ctx, &(struct child){ .name = name, .oid = s->id << PART_BITS | p->number, .type = DT_REG });
}

/* The disk, and where in it the file's bytes are. */
static int find_part(struct req *rq, bool snapshot, uint64_t child, struct inside_subject *ret,
                     struct inside_part *ret_part)
{
        CLEANUP_FREE struct inside_parts *parts = NULL;
        int r;

        r = inside_subject_get(rq->fs->model, snapshot, child >> PART_BITS, ret);
        if (r == 0)
                r = inside_get_parts(rq->fs->model, ret, ASKER(rq), &rq->diag, &parts);
        for (size_t i = 0; r == 0 && i < parts->n; i++) {
                if (parts->part[i].number == (child & INSIDE_NUMBER_MAX)) {
                        *ret_part = parts->part[i];
                        return 0;
                }
        }
        return r < 0 ? r : -ENOENT;
}

static int part_info(struct req *rq, bool snapshot, uint64_t child, struct blob_file *ret)
{
        struct inside_subject s;
        struct inside_part p;
        int r;

        r = find_part(rq, snapshot, child, &s, &p);
        if (r < 0)
                return r;
        *ret = blob_file_of(&s.blob, EXPORT_RAW, s.created_us);
        ret->size_bytes = p.len;
        if (ret->space_bytes > p.len) /* at the most */
                ret->space_bytes = p.len;
        return 0;
}

static int part_open(struct req *rq, bool snapshot, uint64_t child, struct export **ret)
{
        struct inside_subject s;
        struct inside_part p;
        struct blob *blob;
        int r;

        r = find_part(rq, snapshot, child, &s, &p);
        if (r == 0)
                r = snapshot ? snapshot_open(rq->fs->model, s.id, &rq->diag, &blob) :
                               image_disk_open(rq->fs->model, s.id, &rq->diag, &blob);
        return r < 0 ? r : export_open_part(blob, p.off, p.len, ret);
}

/* Of an image, for its own directory and for that in shared/, and of a snapshot: OF says which. */
#define DEFINE_PARTS(stem, of)                                                                                      \
        static int stem##_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)                               \
        {                                                                                                           \
                return each_part(rq, oid, of, add_file, &(struct dir_children){ .fn = fn, .ctx = ctx });            \
        }                                                                                                           \
                                                                                                                    \
        static int stem##_find(struct req *rq, uint64_t oid, const char *name, struct child *ret,                   \
                               struct object *ret_object)                                                           \
        {                                                                                                           \
                (void)ret_object;                                                                                   \
                return dir_find_in(stem##_list, rq, oid, name, ret);                                                \
        }                                                                                                           \
                                                                                                                    \
        static int stem##_info(struct req *rq, uint64_t child, struct blob_file *ret)                               \
        {                                                                                                           \
                return part_info(rq, of, child, ret);                                                               \
        }                                                                                                           \
                                                                                                                    \
        static int stem##_open(struct req *rq, uint64_t child, struct export **ret)                                 \
        {                                                                                                           \
                return part_open(rq, of, child, ret);                                                               \
        }                                                                                                           \
                                                                                                                    \
        static const struct blob_ops stem##_blob = { .info = stem##_info, .open = stem##_open }

DEFINE_PARTS(image_parts, false);
DEFINE_PARTS(snapshot_parts, true);

static int image_parts_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return image_get_object(rq->fs->model, oid, ret);
}

static int image_part_object(struct req *rq, uint64_t child, struct object *ret)
{
        struct image_disk d;
        uint64_t image;
        int r = image_disk_get(rq->fs->model, child >> PART_BITS, &d, &image);

        return r < 0 ? r : image_get_object(rq->fs->model, image, ret);
}

static int snapshot_parts_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return snapshot_get_object(rq->fs->model, oid, ret);
}

static int snapshot_part_object(struct req *rq, uint64_t child, struct object *ret)
{
        return snapshot_get_object(rq->fs->model, child >> PART_BITS, ret);
}

const struct dir_kind dir_image_partitions = {
        .name = "partitions",
        .entries = partitions_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = image_parts_object,
        .child_object = image_part_object,
        .list = image_parts_list,
        .find = image_parts_find,
        .looks = true,
        .blob = &image_parts_blob,
};

/* Nobody is looked into for who may not enter: there, modes do not keep strangers from asking for names. */
static int shared_parts_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        struct object o;
        int r = shared_object(rq, oid, &o);

        if (r == 0 && !rq->caller.admin)
                r = shared_enter(rq, &o);
        return r < 0 ? r : image_parts_find(rq, oid, name, ret, ret_object);
}

const struct dir_kind dir_shared_partitions = {
        .name = "partitions",
        .mode = 0555,
        .entries = partitions_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = shared_object,
        .child_object = image_part_object,
        .enter = shared_enter,
        .list = image_parts_list,
        .find = shared_parts_find,
        .looks = true,
        .blob = &image_parts_blob,
};

const struct dir_kind dir_snapshot_partitions = {
        .name = "partitions",
        .entries = partitions_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_SNAPSHOT,
        .object = snapshot_parts_object,
        .child_object = snapshot_part_object,
        .list = snapshot_parts_list,
        .find = snapshot_parts_find,
        .looks = true,
        .blob = &snapshot_parts_blob,
};
