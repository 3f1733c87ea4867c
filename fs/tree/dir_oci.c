/* SPDX-License-Identifier: MIT */
/*
 * oci/ of an image: what skopeo, oras and others read as an OCI image layout. What its files are is worked out by reading
 * all disks (blobstore/export/oci.h), which threads for that do when somebody asks (ops/ready.h), and is kept for a while
 * (ocis.h); their bytes are made as they are read. In the image's own directory, and where it is shared.
 *
 * An image keeps its disks from the moment at which it is available, so that all of this is the same each time. For which
 * platform it says to be is the image's `architecture` and `os`, which may change: so files of another platform are others.
 */

#include "blobstore/export/oci.h"
#include "fs/tree/dir.h"
#include "fs/tree/ocis.h"

/* A directory's oid: the image, and whether it is seen in shared/. A file's: the image, the platform, that, and its number. */
#define NUMBER_BITS   21
#define SHARED_BITS   1
#define PLATFORM_BITS 2
#define IMAGE_BITS    (OID_BITS - PLATFORM_BITS - SHARED_BITS - NUMBER_BITS)

DEFINE_CLEANUP(struct oci *, oci_unrefp, oci_unref)

/* What is not told counts as what most machines are. */
static unsigned platform_number(const struct image *i)
{
        return (strcmp(i->architecture, "aarch64") == 0 ? 1U : 0) | (strcmp(i->os, "windows") == 0 ? 2U : 0);
}

static struct oci_platform platform_of(uint64_t key)
{
        return (struct oci_platform){ .architecture = key & 1 ? "arm64" : "amd64", .os = key & 2 ? "windows" : "linux" };
}

/* The image and the platform: of a file in sha256/, or of the image as it is now. */
static int key_of(struct req *rq, struct node n, uint64_t *ret)
{
        const struct image *i;
        int r;

        if (n.row == ROW_CHILD) {
                *ret = n.oid >> NUMBER_BITS >> SHARED_BITS;
                return 0;
        }
        r = req_image(rq, n.oid >> SHARED_BITS, &i);
        if (r < 0)
                return r;
        if (i->o.id >> IMAGE_BITS)
                return -EOVERFLOW;
        *ret = i->o.id << PLATFORM_BITS | platform_number(i);
        return 0;
}

/* -EBUSY: it went in the moment after it had been made. */
static int get(struct req *rq, struct node n, struct oci **ret)
{
        uint64_t key;
        int r;

        r = key_of(rq, n, &key);
        if (r < 0)
                return r;
        *ret = ocis_get(rq->fs->ocis, key);
        return *ret ? 0 : diag_set(&rq->diag, -EBUSY, "the image is being read for this: try again");
}

/* ---- making it ---- */

struct disks {
        uint64_t id[OCI_DISKS_MAX];
        char device[OCI_DISKS_MAX][sizeof(((struct image_disk *)0)->device)];
        struct oci_disk disk[OCI_DISKS_MAX];
        size_t n;
};

static void disks_close(struct disks *d)
{
        for (size_t i = 0; i < d->n; i++)
                blob_close(d->disk[i].blob);
}

static int disks_add(void *ctx, const struct image_disk *d)
{
        struct disks *all = ctx;

        if (!d->has_blob)
                return 0;
        if (all->n == OCI_DISKS_MAX)
                return -E2BIG;
        (void)snprintf(all->device[all->n], sizeof(all->device[0]), "%s", d->device);
        all->id[all->n] = d->id;
        all->n++;
        return 0;
}

static int go_on(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
        const struct req *rq = ctx;

        (void)done_bytes;
        (void)total_bytes;
        return fuse_req_interrupted(rq->fuse) || atomic_load(&rq->fs->stopping) ? -EINTR : 0;
}

static int read_disks(struct req *rq, uint64_t key, struct oci **ret)
{
        CLEANUP(disks_close) struct disks disks = { 0 };
        const struct oci_platform platform = platform_of(key);
        int r;

        r = image_disk_each(rq->fs->model, key >> PLATFORM_BITS, disks_add, &disks);
        for (size_t i = 0; r == 0 && i < disks.n; i++) {
                disks.disk[i].device = disks.device[i];
                r = image_disk_open(rq->fs->model, disks.id[i], &rq->diag, &disks.disk[i].blob);
        }
        return r < 0 ? r : oci_make(disks.disk, disks.n, &platform, go_on, rq, ret);
}

static bool is_ready(struct req *rq, struct node n)
{
        CLEANUP(oci_unrefp) struct oci *o = NULL;
        uint64_t key;

        if (key_of(rq, n, &key) == 0)
                o = ocis_get(rq->fs->ocis, key);
        return o;
}

static int make_ready(struct req *rq, struct node n)
{
        CLEANUP(oci_unrefp) struct oci *o = NULL;
        const struct image *i;
        uint64_t key;
        int r;

        if (is_ready(rq, n)) /* another has asked for it */
                return 0;
        r = key_of(rq, n, &key);
        if (r == 0)
                r = req_image(rq, key >> PLATFORM_BITS, &i);
        if (r < 0)
                return r;
        if (i->status != IMAGE_AVAILABLE && i->status != IMAGE_DELETED)
                return diag_set(&rq->diag, -EBUSY, "%s is %s: there are layers of it when it is available", i->o.handle,
                                image_status_name(i->status));
        r = read_disks(rq, key, &o);
        if (r == -E2BIG)
                return diag_set(&rq->diag, -E2BIG, "%s has more data than the layers of one OCI image may hold: copy its "
                                "disks/ elsewhere as they are", i->o.handle);
        if (r == -EBADMSG)
                return diag_set(&rq->diag, -EIO, "stored data of %s is damaged: restore it from a copy, imagefs check "
                                "names what else is concerned", i->o.handle);
        if (r == 0)
                ocis_put(rq->fs->ocis, rq->caller.uid, key, o);
        return r;
}

/* ---- blobs/sha256/ ---- */

/* In the directory that is OID. */
static uint64_t child_of(uint64_t oid, uint64_t key, unsigned number)
{
        return (key << SHARED_BITS | (oid & 1)) << NUMBER_BITS | number;
}

static uint64_t image_of(uint64_t child)
{
        return child >> NUMBER_BITS >> SHARED_BITS >> PLATFORM_BITS;
}

static unsigned number_of(uint64_t child)
{
        return (unsigned)(child & ((1U << NUMBER_BITS) - 1));
}

static int layers_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        const struct node n = { .oid = oid };
        CLEANUP(oci_unrefp) struct oci *o = NULL;
        char digest[OCI_DIGEST_SIZE];
        uint64_t key;
        int r;

        r = get(rq, n, &o);
        if (r == 0)
                r = key_of(rq, n, &key);
        for (unsigned i = 0; r == 0 && i < oci_blobs(o); i++) {
                oci_digest(o, i, digest);
                r = fn(ctx, &(struct child){ .name = digest, .oid = child_of(oid, key, i), .type = DT_REG });
        }
        return r;
}

static int layers_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        const struct node n = { .oid = oid };
        CLEANUP(oci_unrefp) struct oci *o = NULL;
        unsigned number;
        uint64_t key;
        int r;

        (void)ret_object;
        r = get(rq, n, &o);
        if (r == 0)
                r = oci_find(o, name, &number);
        if (r == 0)
                r = key_of(rq, n, &key);
        if (r == 0)
                *ret = (struct child){ .oid = child_of(oid, key, number), .type = DT_REG };
        return r;
}

static int layer_info(struct req *rq, uint64_t child, struct blob_file *ret)
{
        const struct node n = { .row = ROW_CHILD, .oid = child };
        CLEANUP(oci_unrefp) struct oci *o = NULL;
        const struct image *i;
        int r;

        r = get(rq, n, &o);
        if (r == 0)
                r = req_image(rq, image_of(child), &i);
        if (r == 0 && number_of(child) >= oci_blobs(o))
                r = -ENOENT;
        if (r == 0)
                *ret = (struct blob_file){ .size_bytes = oci_size(o, number_of(child)), .space_bytes = 1,
                                           .time_us = i->o.created_us };
        return r;
}

static int layer_open(struct req *rq, uint64_t child, struct export **ret)
{
        const struct node n = { .row = ROW_CHILD, .oid = child };
        const unsigned number = number_of(child);
        CLEANUP(oci_unrefp) struct oci *o = NULL;
        struct disks disks = { 0 };
        struct blob *blob;
        int r;

        r = get(rq, n, &o);
        if (r == 0)
                r = image_disk_each(rq->fs->model, image_of(child), disks_add, &disks);
        if (r == 0 && (number >= oci_blobs(o) || oci_disk_of(o, number) >= disks.n))
                r = -ENOENT;
        if (r == 0)
                r = image_disk_open(rq->fs->model, disks.id[oci_disk_of(o, number)], &rq->diag, &blob);
        return r < 0 ? r : oci_open(o, number, blob, ret);
}

static const struct blob_ops layer_ops = { .info = layer_info, .open = layer_open };

/* ---- oci/ ---- */

static int show_index(struct req *rq, struct strbuf *out)
{
        const struct node n = { .oid = rq->oid };
        CLEANUP(oci_unrefp) struct oci *o = NULL;
        int r;

        r = get(rq, n, &o);
        if (r == 0)
                oci_add_index(o, out);
        return r;
}

static int show_layout(struct req *rq, struct strbuf *out)
{
        (void)rq;
        strbuf_add(out, "{\"imageLayoutVersion\":\"1.0.0\"}\n");
        return 0;
}

/* Nothing is made here, whatever the image's modes say; in shared/ they let everybody in, as there (dir_share.c). */
static int object_of(struct req *rq, uint64_t image, bool shared, struct object *ret)
{
        int r = shared ? shared_object(rq, image, ret) : image_get_object(rq->fs->model, image, ret);

        if (r == 0 && !shared)
                ret->mode &= 0555;
        return r;
}

static int dir_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return object_of(rq, oid >> SHARED_BITS, oid & 1, ret);
}

static int layer_object(struct req *rq, uint64_t child, struct object *ret)
{
        return object_of(rq, image_of(child), child >> NUMBER_BITS & 1, ret);
}

static int enter(struct req *rq, const struct object *o)
{
        return shared_shows(o) ? shared_enter(rq, o) : 0;
}

static const struct entry oci_entries[] = {
        { 1, "index.json", "which manifest it is; all disks are read for it, and it is known for a while then", 0444,
          .show = show_index },
        { 2, "oci-layout", "the version of the layout", 0444, .show = show_layout },
        { 3, "blobs", "what index.json leads to", 0555, .dir = KIND_OCI_BLOBS },
        { 0 },
};

const struct dir_kind dir_oci = {
        .name = "oci",
        .entries = oci_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = dir_object,
        .enter = enter,
        .is_ready = is_ready,
        .make_ready = make_ready,
};

static const struct entry blobs_entries[] = {
        { 1, "sha256", "manifest, configuration and layers, each called by its digest", 0555, .dir = KIND_OCI_SHA256 },
        { 0 },
};

const struct dir_kind dir_oci_blobs = {
        .name = "blobs",
        .entries = blobs_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = dir_object,
        .enter = enter,
};

const struct dir_kind dir_oci_sha256 = {
        .name = "sha256",
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = dir_object,
        .child_object = layer_object,
        .enter = enter,
        .list = layers_list,
        .find = layers_find,
        .blob = &layer_ops,
        .is_ready = is_ready,
        .make_ready = make_ready,
};
