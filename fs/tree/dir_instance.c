/* SPDX-License-Identifier: MIT */
/*
 * instances/ of a region: machines, their disks, and the images made of them.
 */

#include <limits.h>

#include "fs/tree/dir.h"
#include "fs/tree/seed.h"
#include "fs/tree/users.h"

static int instances_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return instance_each(rq->fs->model, oid, dir_add_object, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int instances_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        return dir_found(instance_find(rq->fs->model, oid, name, ret_object), ret, ret_object);
}

static int instances_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        return instance_create(rq->fs->model, &rq->caller, oid, name, &rq->diag, ret_child);
}

static int instances_remove(struct req *rq, uint64_t child)
{
        return instance_remove(rq->fs->model, &rq->caller, child, &rq->diag);
}

static int instances_rename(struct req *rq, uint64_t child, struct node to, const char *name)
{
        const struct instance *i;
        int r;

        r = req_instance(rq, child, &i);
        if (r < 0)
                return r;
        if (to.kind != KIND_INSTANCES || to.row != 0 || to.oid != i->region)
                return diag_set(&rq->diag, -EPERM, "an instance stays among the instances of its region");
        return instance_rename(rq->fs->model, &rq->caller, child, name, &rq->diag);
}

const struct dir_kind dir_instances = {
        .name = "instances",
        .mode = 0777,
        .child = KIND_INSTANCE,
        .child_name = "<instance>",
        .object_kind = OBJECT_REGION,
        .object = dir_region_object,
        .list = instances_list,
        .find = instances_find,
        .make = instances_make,
        .remove = instances_remove,
        .crowded = true,
        .rename = instances_rename,
};

/* ---- <image>/instances, of an image in its own place and in shared/: see dir_mirror.c for what is in them ---- */

/* Whoever may read an image that is not private makes machines from it, each her own. */
static int image_object(struct req *rq, uint64_t oid, struct object *ret)
{
        const struct image *i;
        int r;

        r = req_image(rq, oid, &i);
        if (r < 0)
                return r;
        *ret = i->o;
        if (i->class != CLASS_PRIVATE && i->class != CLASS_RECYCLE)
                ret->mode |= (i->o.mode & 0444) >> 1;
        return 0;
}

static int image_instances_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return instance_each_of_image(rq->fs->model, oid, dir_add_object,
                                      &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int image_instances_find(struct req *rq, uint64_t oid, const char *name, struct child *ret,
                                struct object *ret_object)
{
        return dir_found(instance_find_of_image(rq->fs->model, oid, name, ret_object), ret, ret_object);
}

static int image_instances_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        return instance_create_from_image(rq->fs->model, &rq->caller, oid, name, &rq->diag, ret_child);
}

const struct dir_kind dir_image_instances = {
        .name = "instances",
        .child = KIND_IMAGE_INSTANCE,
        .child_name = "<instance>",
        .object_kind = OBJECT_IMAGE,
        .object = image_object,
        .list = image_instances_list,
        .find = image_instances_find,
        .make = image_instances_make,
        .remove = instances_remove,
        .crowded = true,
};

const struct dir_kind dir_shared_instances = {
        .name = "instances",
        .mode = 0777,
        .child = KIND_SHARED_INSTANCE,
        .child_name = "<instance>",
        .object_kind = OBJECT_IMAGE,
        .object = shared_object,
        .enter = shared_enter,
        .list = image_instances_list,
        .find = image_instances_find,
        .make = image_instances_make,
        .remove = instances_remove,
        .crowded = true,
};

/* ---- an instance ---- */

static int instance_object(struct req *rq, uint64_t oid, struct object *ret)
{
        return instance_get_object(rq->fs->model, oid, ret);
}

#define DEFINE_SHOW(name, statement) DIR_SHOW_LINE(instance, i, name, statement)

DEFINE_SHOW(id, strbuf_add(out, i->ident))
DEFINE_SHOW(name, strbuf_add(out, i->name))
DEFINE_SHOW(description, strbuf_add(out, i->description))
DEFINE_SHOW(status, strbuf_add(out, i->running ? "running" : "stopped"))
DEFINE_SHOW(type, !i->bare ? strbuf_add(out, image_type_name(i->type)) : (void)0)
DEFINE_SHOW(image, strbuf_add(out, i->image_path))
DEFINE_SHOW(owner, dir_add_owner(rq->fs->model, out, i->o.uid))
DEFINE_SHOW(created, strbuf_add_time(out, i->o.created_us))
DEFINE_SHOW(os, strbuf_add(out, i->os))
DEFINE_SHOW(architecture, strbuf_add(out, i->architecture))
DEFINE_SHOW(boot_mode, strbuf_add(out, i->boot_mode))
DEFINE_SHOW(cdrom, strbuf_add(out, i->cdrom_path))
DEFINE_SHOW(image_disks, strbuf_add(out, i->image_disks))
DEFINE_SHOW(ssh_keys, strbuf_add(out, i->ssh_keys))
DEFINE_SHOW(hostname, strbuf_add(out, i->hostname))

/* The row of the table says which attribute it is. */
static int store_field(struct req *rq, const char *text)
{
        return instance_set(rq->fs->model, &rq->caller, rq->oid, (enum instance_field)rq->entry->arg, text, &rq->diag);
}

/* What is told to the guest by seed.iso, and else by nothing. */
static int store_seed_field(struct req *rq, const char *text)
{
        int r = seed_check(rq);

        return r < 0 ? r : store_field(rq, text);
}

static int show_user_data(struct req *rq, struct strbuf *out)
{
        CLEANUP_STRBUF struct strbuf other = { 0 };
        int r;

        r = instance_get_told(rq->fs->model, rq->oid, out, &other);
        strbuf_add(out, "\n");
        return r;
}

static int show_network_config(struct req *rq, struct strbuf *out)
{
        CLEANUP_STRBUF struct strbuf other = { 0 };
        int r;

        r = instance_get_told(rq->fs->model, rq->oid, &other, out);
        strbuf_add(out, "\n");
        return r;
}

static int mapping_add(void *ctx, const struct volume *v)
{
        strbuf_addf(ctx, "/dev/%s %s %s:%s %llu\n", v->device, v->system ? "system" : "data",
                    v->cloud ? "disk" : "local", v->ident, (unsigned long long)v->size_bytes);
        return 0;
}

static int show_mapping(struct req *rq, struct strbuf *out)
{
        int r = instance_volumes(rq->fs->model, rq->oid, mapping_add, out);

        if (r == 0 && out->len == 0)
                strbuf_add(out, "\n");
        return r;
}

static int go_on(void *ctx)
{
        const struct req *rq = ctx;

        return (rq->fuse && fuse_req_interrupted(rq->fuse)) || atomic_load(&rq->fs->stopping) ? -EINTR : 0;
}

/* It changes with the disks, which the instance itself does not. */
static int make_warnings(struct req *rq, struct strbuf *out, int64_t *ret_changed_us)
{
        const struct instance *i;
        int r;

        r = instance_get_warnings(rq->fs->model, rq->oid, go_on, rq, out, ret_changed_us);
        if (r == 0)
                r = req_instance(rq, rq->oid, &i);
        if (r < 0)
                return r;
        if (i->o.updated_us > *ret_changed_us)
                *ret_changed_us = i->o.updated_us;
        if (out->len == 0)
                strbuf_add(out, "\n");
        return strbuf_error(out);
}

static int warnings_text(struct req *rq, struct text **ret, int64_t *ret_changed_us)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        int r;

        r = make_warnings(rq, &out, ret_changed_us);
        return r < 0 ? r : text_new(rq->fs->model, rq->caller.uid, &out, &rq->diag, ret);
}

static int measure_warnings(struct req *rq, uint64_t *ret_size, int64_t *ret_changed_us)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        int r;

        r = make_warnings(rq, &out, ret_changed_us);
        if (r == 0)
                *ret_size = out.len;
        return r;
}

static int show_host(struct req *rq, struct strbuf *out)
{
        char host[HOST_NAME_MAX + 1];
        int r = instance_get_host(rq->fs->model, rq->oid, host, sizeof(host));

        if (r == 0)
                strbuf_addf(out, "%s\n", host);
        return r;
}

#define RO(number, name, show_fn, help) { number, name, help, 0444, ENTRY_LINE, .show = show_fn }
#define RW(number, name, show_fn, field, help) \
        { number, name, help, 0666, ENTRY_LINE, .show = show_fn, .store = store_field, .arg = field }
#define WO(number, name, field, help) \
        { number, name, help, 0666, ENTRY_COMMANDS, .store = store_field, .arg = field }

/* One that cannot be opened is in no listing: backups read all that they find. */
#ifdef HAVE_LIBARCHIVE
#define SEED_FLAGS 0
#else
#define SEED_FLAGS ENTRY_UNLISTED
#endif

static const struct entry instance_entries[] = {
        RO(1, "id", show_id, "i-…, never used again"),
        RW(2, "name", show_name, INSTANCE_FIELD_NAME, "display name, may repeat"),
        { 3, "description", "text, up to 4 KiB", 0666, ENTRY_TEXT, .show = show_description, .store = store_field,
          .arg = INSTANCE_FIELD_DESCRIPTION },
        RO(4, "status", show_status, "stopped running"),
        WO(5, "power", INSTANCE_FIELD_POWER, "write start or stop"),
        RW(6, "type", show_type, INSTANCE_FIELD_TYPE, "local cloud: where the system disk is"),
        RW(7, "image", show_image, INSTANCE_FIELD_IMAGE,
           "CLASS/IMAGE; writing one makes the disks, or rebuilds the system disk; none makes it independent"),
        RO(24, "os", show_os, "of its image, as the next two, so that one knows how to boot it"),
        RO(25, "architecture", show_architecture, "x86_64 aarch64"),
        RO(26, "boot-mode", show_boot_mode, "bios uefi"),
        RO(8, "owner", show_owner, "user name"),
        RO(9, "created", show_created, "when it was made"),
        { 10, "device-mapping", "device, role, disk, size; a line per disk", 0444, .show = show_mapping },
        RO(30, "host", show_host, "which has its disks: it runs there alone"),
        { 11, "disks", "the guest's bytes, for qemu", 0777, .dir = KIND_INSTANCE_DISKS },
        RW(27, "cdrom", show_cdrom, INSTANCE_FIELD_CDROM,
           "write an image of iso/, which is disks/cdrom.iso then, or none"),
        WO(12, "attach", INSTANCE_FIELD_ATTACH, "write a disk of the region"),
        WO(13, "detach", INSTANCE_FIELD_DETACH, "write a device, such as vdb"),
        RW(14, "image-disks", show_image_disks, INSTANCE_FIELD_IMAGE_DISKS,
           "data disks that go into images: all, none, or devices"),
        { 15, "images", "mkdir NAME makes an image of it", 0777, .dir = KIND_INSTANCE_IMAGES },
        { 16, "used-by", "a line for each thing that keeps it from being removed", 0444, ENTRY_USERS,
          .show = users_show_of_instance },
        { 17, "password", "of the first user; kept as a salted hash only", 0666, .store = store_seed_field,
          .arg = INSTANCE_FIELD_PASSWORD },
        { 18, "ssh-keys", "public keys of the first user, a line each", 0666, ENTRY_TEXT, .show = show_ssh_keys,
          .store = store_seed_field, .arg = INSTANCE_FIELD_SSH_KEYS },
        { 19, "hostname", "of the guest", 0666, ENTRY_LINE, .show = show_hostname, .store = store_seed_field,
          .arg = INSTANCE_FIELD_HOSTNAME },
        { 28, "user-data", "for cloud-init, up to 32 KiB: #cloud-config, a script, MIME …; what it says goes before the three",
          0666, ENTRY_TEXT, .show = show_user_data, .store = store_seed_field, .arg = INSTANCE_FIELD_USER_DATA },
        { 29, "network-config", "for cloud-init, up to 16 KiB of YAML: the guest's network", 0666, ENTRY_TEXT,
          .show = show_network_config, .store = store_seed_field, .arg = INSTANCE_FIELD_NETWORK_CONFIG },
        { 20, "seed.iso", "a CD that tells cloud-init the five above", 0444, SEED_FLAGS | ENTRY_SEED, .show = seed_show },
        DIR_LAST_ERROR(21),
        { 23, "warnings", "what to know before an image is made of it", 0444, ENTRY_LOOK, .text = warnings_text,
          .measure = measure_warnings },
        { 22, "wait", "reading waits for the end of the work in progress", 0444, ENTRY_UNLISTED | ENTRY_WAIT,
          .show = NULL },
        { 0 },
};

const struct dir_kind dir_instance = {
        .name = "instance",
        .entries = instance_entries,
        .child = KIND_NONE,
        .object_kind = OBJECT_INSTANCE,
        .object = instance_object,
        .access = true,
        .of_machine = true,
};

/* ---- disks: the volumes' own files, and the CD in the drive ---- */

/*
 * A CD is a file of its own, as long as it is in the drive: the kernel keeps what it has read of a file that never
 * changes. A child's oid holds the ids of the instance and of the image.
 */
#define CDROM_ID_BITS (OID_BITS / 2)

static int cdrom_object(struct req *rq, uint64_t child, struct object *ret)
{
        return instance_get_object(rq->fs->model, child >> CDROM_ID_BITS, ret);
}

static int disk_add(void *ctx, const struct volume *v)
{
        const struct dir_children *d = ctx;
        char name[sizeof(v->device) + sizeof(".raw")];

        (void)snprintf(name, sizeof(name), "%s.raw", v->device);
        return d->fn(d->ctx, &(struct child){ .name = name, .oid = v->o.id, .type = DT_REG, .elsewhere = true,
                                              .node = dir_volume_disk(v->o.id) });
}

static int disks_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        const struct instance *i;
        int r;

        r = req_instance(rq, oid, &i);
        if (r < 0)
                return r;
        if (i->cdrom && (oid >> CDROM_ID_BITS || i->cdrom >> CDROM_ID_BITS))
                return -EOVERFLOW;
        if (i->cdrom) {
                r = fn(ctx, &(struct child){ .name = "cdrom.iso", .oid = oid << CDROM_ID_BITS | i->cdrom,
                                             .type = DT_REG });
                if (r != 0)
                        return r;
        }
        return instance_volumes(rq->fs->model, oid, disk_add, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int disks_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        (void)ret_object;
        return dir_find_in(disks_list, rq, oid, name, ret);
}

/* While it is in the drive. */
static int cdrom_image(struct req *rq, uint64_t child, const struct image **ret)
{
        const uint64_t image = child & ((UINT64_C(1) << CDROM_ID_BITS) - 1);
        const struct instance *i;
        int r;

        r = req_instance(rq, child >> CDROM_ID_BITS, &i);
        if (r == 0 && i->cdrom != image)
                r = -ENOENT;
        return r < 0 ? r : req_image(rq, image, ret);
}

static int cdrom_info(struct req *rq, uint64_t child, struct blob_file *ret)
{
        const struct image *image;
        struct blob_info blob;
        int r;

        r = cdrom_image(rq, child, &image);
        if (r == 0)
                r = instance_cdrom_info(rq->fs->model, child >> CDROM_ID_BITS, &blob);
        if (r == 0)
                *ret = blob_file_of(&blob, EXPORT_RAW, image->o.created_us);
        return r;
}

static int cdrom_open(struct req *rq, uint64_t child, struct export **ret)
{
        const struct image *image;
        struct blob *blob;
        int r;

        r = cdrom_image(rq, child, &image);
        if (r == 0)
                r = instance_cdrom_open(rq->fs->model, child >> CDROM_ID_BITS, &rq->diag, &blob);
        return r < 0 ? r : export_open(blob, EXPORT_RAW, ret);
}

static const struct blob_ops cdrom_blob_ops = { .info = cdrom_info, .open = cdrom_open };

const struct dir_kind dir_instance_disks = {
        .name = "disks",
        .child = KIND_NONE,
        .object_kind = OBJECT_INSTANCE,
        .object = instance_object,
        .child_object = cdrom_object,
        .list = disks_list,
        .find = disks_find,
        .blob = &cdrom_blob_ops,
        .of_machine = true,
};

/* ---- images made of it ---- */

/* What is in the recycle bin is there alone: removed here it goes there, and not from there, too. */
static int made_image_add(void *ctx, const struct object *image, enum image_class class)
{
        return class == CLASS_RECYCLE ? 0 : dir_add_object(ctx, image);
}

static int images_list(struct req *rq, uint64_t oid, child_fn *fn, void *ctx)
{
        return instance_images(rq->fs->model, oid, made_image_add, &(struct dir_children){ .fn = fn, .ctx = ctx });
}

static int images_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        (void)ret_object;
        return dir_find_in(images_list, rq, oid, name, ret);
}

static int images_make(struct req *rq, uint64_t oid, const char *name, uint64_t *ret_child)
{
        return instance_capture(rq->fs->model, &rq->caller, oid, name, &rq->diag, ret_child);
}

static int images_remove(struct req *rq, uint64_t child)
{
        return image_remove(rq->fs->model, &rq->caller, child, &rq->diag);
}

const struct dir_kind dir_instance_images = {
        .name = "images",
        .child = KIND_INSTANCE_IMAGE,
        .child_name = "<image>",
        .object_kind = OBJECT_INSTANCE,
        .object = instance_object,
        .list = images_list,
        .find = images_find,
        .make = images_make,
        .remove = images_remove,
};
