/* SPDX-License-Identifier: MIT */
/*
 * An image: one file for each thing about it, and its disks.
 */

#include "fs/tree/dir.h"

#include "fs/tree/image_json.h"
#include "fs/tree/users.h"
#include "model/intake/data_disk.h"
#include "model/intake/draft.h"
#include "model/intake/fetch.h"

static int image_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return image_get_object(rq->fs->model, oid, ret);
}

#define DEFINE_SHOW(name, statement) DIR_SHOW_LINE(image, i, name, statement)

/* Where it comes from for the reader. */
static const char *source_name(struct req *rq, const struct image *i)
{
        return rq->dir == &dir_shared_image ? "shared" : image_class_name(i->source);
}

DEFINE_SHOW(id, strbuf_add(out, i->ident))
DEFINE_SHOW(name, strbuf_add(out, i->name))
DEFINE_SHOW(description, strbuf_add(out, i->description))
DEFINE_SHOW(status, strbuf_add(out, image_status_name(i->status)))
DEFINE_SHOW(error, strbuf_add(out, i->error))
DEFINE_SHOW(type, strbuf_add(out, image_type_name(i->type)))
DEFINE_SHOW(source, strbuf_add(out, source_name(rq, i)))
DEFINE_SHOW(owner, dir_add_owner(rq->fs->model, out, i->o.uid))
DEFINE_SHOW(created, strbuf_add_time(out, i->o.created_us))
DEFINE_SHOW(updated, strbuf_add_time(out, i->o.updated_us))
DEFINE_SHOW(deleted, strbuf_add_time(out, i->deleted_us))
DEFINE_SHOW(size, strbuf_addf(out, "%llu", (unsigned long long)i->o.size_bytes))
DEFINE_SHOW(format, strbuf_add(out, i->format))
DEFINE_SHOW(os, strbuf_add(out, i->os))
DEFINE_SHOW(platform, strbuf_add(out, i->platform))
DEFINE_SHOW(platform_version, strbuf_add(out, i->platform_version))
DEFINE_SHOW(architecture, strbuf_add(out, i->architecture))
DEFINE_SHOW(boot_mode, strbuf_add(out, i->boot_mode))
DEFINE_SHOW(features, strbuf_add(out, i->features))
DEFINE_SHOW(labels, strbuf_add(out, i->labels))
DEFINE_SHOW(project_group, strbuf_add(out, i->project_group))
DEFINE_SHOW(encrypted, strbuf_add(out, i->encrypted ? "yes" : "no"))
DEFINE_SHOW(provider, strbuf_add(out, i->provider))
DEFINE_SHOW(family, strbuf_add(out, i->family))
DEFINE_SHOW(protected, strbuf_add(out, i->protected ? "yes" : "no"))
DEFINE_SHOW(lifecycle, strbuf_add(out, i->lifecycle))

/* The row of the table says which attribute it is. */
static int store_field(struct req *rq, const char *text)
{
        return image_set(rq->fs->model, &rq->caller, rq->oid, (enum image_field)rq->entry->arg, text, &rq->diag);
}

static int show_progress(struct req *rq, struct strbuf *out)
{
        struct progress p;
        int r;

        r = image_get_progress(rq->fs->model, rq->oid, &p);
        if (r < 0)
                return r;
        dir_add_progress(out, &p);
        return 0;
}

static int checksum_add(void *ctx, const struct image_disk *d)
{
        char name[sizeof("disks/.raw") + sizeof(d->device)];

        (void)snprintf(name, sizeof(name), "disks/%s.raw", d->device);
        if (d->has_blob && blob_has_checksum(&d->blob))
                dir_add_checksum(ctx, &d->blob, name);
        return 0;
}

static int show_checksum(struct req *rq, struct strbuf *out)
{
        int r = image_disk_each(rq->fs->model, rq->oid, checksum_add, out);

        if (r == 0 && out->len == 0)
                strbuf_add(out, "\n");
        return r;
}

struct mapping {
        const struct image *image;
        struct strbuf *out;
};

/* A disk that no bytes came to (an import that failed, or still runs) maps to nothing. */
static int mapping_add(void *ctx, const struct image_disk *d)
{
        const struct mapping *v = ctx;

        if (!d->has_blob)
                return 0;
        strbuf_addf(v->out, "/dev/%s %s ", d->device, d->system ? "system" : "data");
        if (!d->snapshot)
                strbuf_addf(v->out, "image:%s", v->image->ident);
        else if (v->image->type == TYPE_BOTH && d->system)
                strbuf_addf(v->out, "image:%s,snapshot:%s", v->image->ident, d->snapshot_ident);
        else
                strbuf_addf(v->out, "snapshot:%s", d->snapshot_ident);
        strbuf_addf(v->out, " %llu\n", (unsigned long long)d->blob.size_bytes);
        return 0;
}

static int show_mapping(struct req *rq, struct strbuf *out)
{
        struct mapping v = { .out = out };
        int r;

        r = req_image(rq, rq->oid, &v.image);
        if (r < 0)
                return r;
        r = image_disk_each(rq->fs->model, rq->oid, mapping_add, &v);
        if (r == 0 && out->len == 0)
                strbuf_add(out, "\n");
        return r;
}

static int show_convert(struct req *rq, struct strbuf *out)
{
        static const char *const words[] = {
                [CONVERT_IDLE] = "idle",
                [CONVERT_RUNNING] = "running",
                [CONVERT_DONE] = "done",
                [CONVERT_FAILED] = "failed",
        };
        struct conversion c;
        int r;

        r = image_get_conversion(rq->fs->model, rq->oid, &c);
        if (r < 0)
                return r;
        strbuf_addf(out, "status %s\nimage ", words[c.status]);
        r = users_add_image(rq, out, c.image_id, c.image);
        strbuf_addf(out, "\npercent %u\n", c.percent);
        return r;
}

static int store_convert(struct req *rq, const char *text)
{
        return image_convert(rq->fs->model, &rq->caller, rq->oid, text, &rq->diag);
}

static int show_copy_targets(struct req *rq, struct strbuf *out)
{
        return image_copy_targets(rq->fs->model, &rq->caller, &rq->oid, 1, dir_add_copy_target, out);
}

static int show_metadata(struct req *rq, struct strbuf *out)
{
        const struct image *i;
        int r;

        r = req_image(rq, rq->oid, &i);
        return r < 0 ? r : image_json(rq, i, source_name(rq, i), out);
}

static int store_metadata(struct req *rq, const char *text)
{
        return image_set_metadata(rq->fs->model, &rq->caller, rq->oid, text, &rq->diag);
}

static int show_warnings(struct req *rq, struct strbuf *out)
{
        int r;

        r = image_get_warnings(rq->fs->model, rq->oid, out);
        if (r == 0 && out->len == 0)
                strbuf_add(out, "\n");
        return r;
}

static bool recycle_visible(struct req *rq)
{
        const struct image *i;

        return req_image(rq, rq->oid, &i) == 0 && i->class == CLASS_RECYCLE;
}

#define DAY_US (INT64_C(86400) * 1000000)

static int show_destroyed_on(struct req *rq, struct strbuf *out)
{
        const struct image *i;
        uint64_t days;
        int r;

        r = req_image(rq, rq->oid, &i);
        if (r == 0)
                r = limit_get(rq->fs->model, LIMIT_RECYCLE_DAYS, &days);
        if (r < 0)
                return r;
        strbuf_add_time(out, i->deleted_us + (int64_t)days * DAY_US);
        strbuf_add(out, "\n");
        return 0;
}

#define UPLOAD_ENDED "the upload has ended: make another image for another one, with mkdir private/<name>"

static bool upload_visible(struct req *rq)
{
        const struct image *i;

        return req_image(rq, rq->oid, &i) == 0 && (i->status == IMAGE_QUEUED || i->status == IMAGE_UPLOADING);
}

/* Open for writing is another story: see inflow.c. A store function makes it one of the files that can be written. */
static int store_upload(struct req *rq, const char *text)
{
        (void)text;
        return diag_set(&rq->diag, -EINVAL, "upload takes a file: cp FILE upload");
}

/*
 * While it waits for a file, one that is written under another name may become that; any further ones are for values, as
 * are those that cannot be made, so that values can be set all the same.
 */
static int image_draft(struct req *rq, uint64_t oid, uint64_t others, struct draft **ret)
{
        const struct image *i;
        int r;

        r = req_image(rq, oid, &i);
        if (r == 0 && i->status == IMAGE_QUEUED && others == 0)
                (void)draft_new_for(rq->fs->model, &rq->caller, oid, NULL, ret);
        return r;
}

static int show_import_url(struct req *rq, struct strbuf *out)
{
        char url[FETCH_SHOWN_MAX + 1];
        int r;

        r = image_get_fetch(rq->fs->model, rq->oid, url, sizeof(url));
        if (r == 0)
                strbuf_addf(out, "%s\n", url);
        return r;
}

static bool url_visible(struct req *rq)
{
        char url[FETCH_SHOWN_MAX + 1] = "";
        const struct image *i;

        if (upload_visible(rq))
                return true;
        return req_image(rq, rq->oid, &i) == 0 && i->status == IMAGE_ERROR &&
               image_get_fetch(rq->fs->model, rq->oid, url, sizeof(url)) == 0 && url[0];
}

static int store_import_url(struct req *rq, const char *text)
{
        return image_fetch(rq->fs->model, &rq->caller, rq->oid, text, &rq->diag);
}

#define RO(number, name, show_fn, help) { number, name, help, 0444, ENTRY_LINE, .show = show_fn }
#define RW(number, name, show_fn, field, help) \
        { number, name, help, 0666, ENTRY_LINE, .show = show_fn, .store = store_field, .arg = field }
#define RW_TEXT(number, name, show_fn, field, help) \
        { number, name, help, 0666, ENTRY_TEXT, .show = show_fn, .store = store_field, .arg = field }

/*
 * What an image says of itself. LINE and TEXT make rows of what its owner can change. A new one takes a number that is
 * free in both tables.
 */
static int show_verified(struct req *rq, struct strbuf *out)
{
        return dir_show_verified(rq, verified_image, out);
}

static int64_t verified_us(struct req *rq)
{
        return dir_verified_us(rq, verified_image);
}

#define IMAGE_ATTRIBUTES(LINE, TEXT)                                                                                   \
        RO(1, "id", show_id, "img-…, never used again"),                                                               \
        LINE(2, "name", show_name, IMAGE_FIELD_NAME, "display name, may repeat"),                                      \
        TEXT(3, "description", show_description, IMAGE_FIELD_DESCRIPTION, "text, up to 4 KiB"),                        \
        RO(4, "status", show_status, "queued uploading pending replicating available error deleting deleted"),         \
        { 5, "progress", "percent, bytes-done, bytes-total", 0444, .show = show_progress },                            \
        RO(6, "error", show_error, "why the status is error"),                                                         \
        LINE(7, "type", show_type, IMAGE_FIELD_TYPE, "local cloud, in private/: may be set while queued; both elsewhere"),                     \
        RO(8, "source", show_source, "private public shared marketplace iso"),                                         \
        RO(9, "owner", show_owner, "user name"),                                                                       \
        RO(10, "created", show_created, "when it was made"),                                                           \
        RO(11, "updated", show_updated, "when it last changed"),                                                       \
        RO(12, "size", show_size, "virtual bytes of all disks"),                                                       \
        LINE(13, "format", show_format, IMAGE_FIELD_FORMAT, "of the imported file; may be set while queued"),          \
        LINE(14, "os", show_os, IMAGE_FIELD_OS, "linux windows kylin other"),                                                \
        LINE(15, "platform", show_platform, IMAGE_FIELD_PLATFORM, "Debian, Ubuntu …"),                                 \
        LINE(16, "platform-version", show_platform_version, IMAGE_FIELD_PLATFORM_VERSION, "12, 24.04 …"),              \
        LINE(17, "architecture", show_architecture, IMAGE_FIELD_ARCHITECTURE, "x86_64 aarch64"),                       \
        LINE(18, "boot-mode", show_boot_mode, IMAGE_FIELD_BOOT_MODE, "bios uefi"),                                     \
        LINE(19, "features", show_features, IMAGE_FIELD_FEATURES, "words of: cloud-init qemu-ga hot-upgrade"),         \
        TEXT(20, "labels", show_labels, IMAGE_FIELD_LABELS, "key=value lines"),                                        \
        LINE(21, "project-group", show_project_group, IMAGE_FIELD_PROJECT_GROUP, "which project it belongs to"),       \
        RO(22, "encrypted", show_encrypted, "yes no, as found in the data"),                                           \
        LINE(23, "provider", show_provider, IMAGE_FIELD_PROVIDER, "who offers it"),                                    \
        LINE(42, "family", show_family, IMAGE_FIELD_FAMILY, "what it is a release of: families/FAMILY/latest leads to the newest"), \
        LINE(43, "protected", show_protected, IMAGE_FIELD_PROTECTED, "yes no; while yes, nothing removes it"),          \
        LINE(44, "lifecycle", show_lifecycle, IMAGE_FIELD_LIFECYCLE, "active, deprecated or obsolete, and the id of what takes its place"), \
        { 24, "checksum", "XXH3-128 of each disk: xxhsum -c checksum compares", 0444, .show = show_checksum }, \
        { 25, "device-mapping", "device, role, where its bytes are, size; a line per disk", 0444,                      \
          .show = show_mapping },                                                                                      \
        { 27, "wait", "reading waits for the end of the work", 0444, ENTRY_UNLISTED | ENTRY_WAIT, .show = NULL },      \
        DIR_LAST_ERROR(28),                                                                                            \
        { 40, "warnings", "what to know before a machine is made of it", 0444, .show = show_warnings },      \
        DIR_LAST_VERIFIED(41),                                                                                         \
        DIR_PACKAGES(45)

static const struct entry image_entries[] = {
        IMAGE_ATTRIBUTES(RW, RW_TEXT),
        { 26, "metadata.json", "all of this for programs; while queued, write one that was saved", 0666,
          ENTRY_TEXT | ENTRY_PIECES, .show = show_metadata, .store = store_metadata },
        { 29, "disks", "the guest's bytes, raw and as qcow2 files; while queued, mkdir vdb makes room for a data disk", 0777,
          .dir = KIND_IMAGE_DISKS },
        { 30, "snapshots", "links to the snapshots of the device mapping, by device", 0777, .dir = KIND_IMAGE_SNAPSHOTS },
        { 31, "used-by", "a line for each thing that keeps it from being deleted", 0444, ENTRY_USERS,
          .show = users_show_of_image },
        { 32, "upload", "cp a disk image here; its format is found in it", 0666, ENTRY_UPLOAD, .store = store_upload,
          .visible = upload_visible, .absent = UPLOAD_ENDED },
        { 33, "import-url", "write http://…, https://… or ftp://… and, if known, sha256=…, sha512=…, md5=… or xxh128=…; again", 0666,
          .show = show_import_url, .store = store_import_url, .visible = url_visible,
          .absent = UPLOAD_ENDED },
        { 34, "convert", "write `cloud` to make a cloud image of a local one", 0666, .show = show_convert,
          .store = store_convert },
        { 35, "instances", "mkdir NAME makes a machine from it", 0777, .dir = KIND_IMAGE_INSTANCES },
        { 36, "copies", "mkdir REGION copies it there", 0777, .dir = KIND_COPIES },
        { 37, "copy-targets", "what each other region has room for", 0444, .show = show_copy_targets },
        { 38, "shares", "mkdir USER shares it with her", 0777, .dir = KIND_SHARES },
        { 39, "download", "mkdir vda.qcow2 makes an address to download it from", 0777, .dir = KIND_DOWNLOADS },
        DIR_PARTITIONS(46, KIND_IMAGE_PARTITIONS),
        DIR_GUEST(51, KIND_IMAGE_GUEST),
        { 50, "oci", "the image as an OCI image layout: skopeo copy oci:<here> docker://…", 0555, ENTRY_UNLISTED,
          .dir = KIND_OCI, .arg = 0, .arg_bits = 1 },
        { 60, "deleted", "when it went to the recycle bin", 0444, ENTRY_LINE, .show = show_deleted,
          .visible = recycle_visible },
        { 61, "destroyed-on", "when it will be gone for good", 0444, ENTRY_LINE, .show = show_destroyed_on,
          .visible = recycle_visible },
        { 0 },
};

const struct dir_kind dir_image = {
        .name = "image",
        .entries = image_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = image_object,
        .draft = image_draft,
        .access = true,
        .size = true,
};

/* ---- an image in shared/: to read, and to make instances from ---- */

/* Open to be written, so that what is refused can be said. */
static int store_shared_convert(struct req *rq, const char *text)
{
        const struct image *i;
        int r;

        (void)text;
        r = req_image(rq, rq->oid, &i);
        if (r < 0)
                return r;
        return diag_set_user(&rq->diag, -EPERM, i->o.uid, " to convert it and share it again", "%s: ask ", i->o.handle);
}

#define RO_LINE(number, name, show_fn, field, help) RO(number, name, show_fn, help)
#define RO_TEXT(number, name, show_fn, field, help) { number, name, help, 0444, .show = show_fn }

/* Not listed: they are there to refuse. */
#define CLOSED(number, name, help, which) \
        { number, name, help, 0777, ENTRY_UNLISTED, .dir = KIND_SHARED_CLOSED, .arg = which, .arg_bits = 1 }

static const struct entry shared_image_entries[] = {
        IMAGE_ATTRIBUTES(RO_LINE, RO_TEXT),
        { 26, "metadata.json", "all of this for programs", 0444, .show = show_metadata },
        { 29, "disks", "the guest's bytes, raw and as qcow2 files", 0777, .dir = KIND_SHARED_DISKS },
        { 30, "instances", "mkdir NAME makes a machine from it", 0777, .dir = KIND_SHARED_INSTANCES },
        { 31, "convert", "its owner converts it", 0666, ENTRY_UNLISTED, .store = store_shared_convert },
        DIR_PARTITIONS(46, KIND_SHARED_PARTITIONS),
        DIR_GUEST(51, KIND_SHARED_GUEST),
        CLOSED(32, "copies", "its owner copies it", 0),
        CLOSED(33, "shares", "its owner shares it", 1),
        { 50, "oci", "the image as an OCI image layout", 0555, ENTRY_UNLISTED, .dir = KIND_OCI, .arg = 1,
          .arg_bits = 1 },
        { 0 },
};

const struct dir_kind dir_shared_image = {
        .name = "image",
        .mode = 0555,
        .entries = shared_image_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = shared_object,
        .enter = shared_enter,
        .size = true,
};

/* ---- disks: each in every format; a child's oid holds the disk's and the format ---- */

static uint64_t disk_of(uint64_t child)
{
        return child / EXPORT_FORMAT_COUNT;
}

/* The image that a disk belongs to. */
static int disk_object(struct req *rq, uint64_t child, struct object *ret)
{
        struct image_disk d;
        uint64_t image;
        int r;

        r = image_disk_get(rq->fs->model, disk_of(child), &d, &image);
        return r < 0 ? r : image_get_object(rq->fs->model, image, ret);
}

static int disk_add(void *ctx, const struct image_disk *d)
{
        const struct dir_children *v = ctx;
        char name[NAME_LEN_MAX + 1];
        int r = 0;

        if (!d->has_blob)
                return 0;
        for (unsigned f = 0; r == 0 && f < EXPORT_FORMAT_COUNT; f++) {
                (void)snprintf(name, sizeof(name), "%s.%s", d->device, export_format_name(f));
                r = v->fn(v->ctx,
                          &(struct child){ .name = name, .oid = d->id * EXPORT_FORMAT_COUNT + f, .type = DT_REG });
        }
        return r;
}

/* A data disk that is to be uploaded is a directory until it comes in. */
static int awaited_add(void *ctx, const struct image_disk *d)
{
        const struct dir_children *v = ctx;

        if (d->system || d->has_blob)
                return 0;
        return v->fn(v->ctx, &(struct child){ .name = d->device, .oid = d->id, .type = DT_DIR });
}

static int shared_disks_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return image_disk_each(rq->fs->model, oid, disk_add, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int disks_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        struct dir_children children = { .fn = fn, .ctx = ctx };
        const struct image *i;
        int r;

        r = req_image(rq, oid, &i);
        if (r < 0)
                return r;
        return image_disk_each(rq->fs->model, oid, i->status == IMAGE_QUEUED ? awaited_add : disk_add, &children);
}

static int disks_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        (void)ret_object;
        return dir_find_in(disks_list, rq, oid, name, ret);
}

static int shared_disks_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        (void)ret_object;
        return dir_find_in(shared_disks_list, rq, oid, name, ret);
}

static int disks_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        return image_add_data_disk(rq->fs->model, &rq->caller, oid, name, &rq->diag, ret_child);
}

static int disks_remove(struct req *rq, uint64_t child)
{
        return image_remove_data_disk(rq->fs->model, &rq->caller, child, &rq->diag);
}

static int disk_info(struct req *rq, uint64_t oid, struct blob_file *ret)
{
        struct image_disk d;
        uint64_t image;
        int r;

        r = image_disk_get(rq->fs->model, disk_of(oid), &d, &image);
        if (r < 0)
                return r;
        if (!d.has_blob)
                return -ENOENT;
        *ret = blob_file_of(&d.blob, oid % EXPORT_FORMAT_COUNT, d.created_us);
        return 0;
}

static int disk_open_export(struct req *rq, uint64_t oid, struct export **ret)
{
        struct blob *blob;
        int r;

        r = image_disk_open(rq->fs->model, disk_of(oid), &rq->diag, &blob);
        return r < 0 ? r : export_open(blob, oid % EXPORT_FORMAT_COUNT, ret);
}

static const struct blob_ops disk_blob_ops = { .info = disk_info, .open = disk_open_export };

const struct dir_kind dir_image_disks = {
        .name = "disks",
        .child = KIND_IMAGE_DISK,
        .child_name = "<device>",
        .object_kind = OBJECT_IMAGE,
        .object = image_object,
        .child_object = disk_object,
        .list = disks_list,
        .find = disks_find,
        .make = disks_make,
        .remove = disks_remove,
        .blob = &disk_blob_ops,
};

/* ---- a data disk that is to be uploaded ---- */

static int awaited_object(struct req *rq, uint64_t disk, struct object *ret)
{
        struct image_disk d;
        uint64_t image;
        int r;

        r = image_disk_get(rq->fs->model, disk, &d, &image);
        return r < 0 ? r : image_get_object(rq->fs->model, image, ret);
}

static const struct entry image_disk_entries[] = {
        { 1, "upload", "cp the data disk here, while the image is queued, and then the system disk to its own upload", 0666,
          ENTRY_UPLOAD, .store = store_upload },
        { 0 },
};

const struct dir_kind dir_image_disk = {
        .name = "device",
        .entries = image_disk_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = awaited_object,
};

const struct dir_kind dir_shared_disks = {
        .name = "disks",
        .mode = 0555,
        .child = KIND_NONE,
        .object_kind = OBJECT_IMAGE,
        .object = shared_object,
        .child_object = disk_object,
        .enter = shared_enter,
        .list = shared_disks_list,
        .find = shared_disks_find,
        .blob = &disk_blob_ops,
};
