/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MACHINE_INSTANCE_H
#define MODEL_MACHINE_INSTANCE_H

/*
 * Machines: disks that were cloned from an image, and what the machine is to be told at its first start. An instance
 * runs from `power start` to `power stop`, and whenever one of its disks is open for writing.
 */

#include "blobstore/base/strbuf.h"
#include "model/image/snapshot.h"
#include "model/machine/volume.h"

#define INSTANCE_KEYS_MAX      16384 /* bytes of ssh-keys */
#define INSTANCE_USER_DATA_MAX 32768
#define INSTANCE_NETWORK_MAX   16384 /* of network-config */

struct instance {
        struct object o;
        char ident[IDENT_MAX]; /* "i-…" */
        uint64_t region;
        bool power; /* from start to stop */
        bool running; /* so, or while a disk is open for writing */
        bool started; /* has run at least once */
        bool busy; /* an image or a snapshot is being made of it */
        enum image_type type; /* local or cloud */
        uint64_t image; /* 0: none set yet, or none any more */
        char image_path[3 * NAME_LEN_MAX]; /* "private/web", or an id where the owner may know no more; "": none */
        bool image_open; /* may its owner still use the image? */
        /* Of its image, where that is open to its owner, else "". */
        char os[IMAGE_VALUE_MAX + 1], architecture[IMAGE_VALUE_MAX + 1], boot_mode[IMAGE_VALUE_MAX + 1];
        char name[NAME_LEN_MAX + 1];
        char image_disks[IMAGE_VALUE_MAX + 1]; /* "all", "none" or "vdb vdd" */
        char hostname[NAME_LEN_MAX + 1];
        bool has_password;
        uint64_t cdrom; /* the ISO image in its drive; 0: none */
        char cdrom_path[3 * NAME_LEN_MAX]; /* as image_path */
        bool bare; /* has no system disk: no image was set yet */
        uint64_t place; /* where its disks lie (core/place.h) */
        char description[IMAGE_TEXT_MAX + 1];
        char ssh_keys[INSTANCE_KEYS_MAX + 1];
};

int instance_get(struct model *m, uint64_t id, struct instance *ret); /* -ENOENT */
int instance_get_object(struct model *m, uint64_t id, struct object *ret);
int instance_find(struct model *m, uint64_t region, const char *handle, struct object *ret);
int instance_each(struct model *m, uint64_t region, object_fn *fn, void *ctx);
/* Those made from an image. */
int instance_each_of_image(struct model *m, uint64_t image, object_fn *fn, void *ctx);
/* Of them those that keep it from being deleted, as long as it is open to their owner: *UID's, or NULL: all. */
int instance_each_user_of_image(struct model *m, uint64_t image, const uid_t *uid, object_fn *fn, void *ctx);
/* One of the latter for each user other than UID who has any. FN may call the model, or look up users. */
int instance_each_other_user_of_image(struct model *m, uint64_t image, uid_t uid, object_fn *fn, void *ctx);
int instance_find_of_image(struct model *m, uint64_t image, const char *handle, struct object *ret);

/* mkdir instances/<handle>: without an image yet. */
int instance_create(struct model *m, const struct caller *c, uint64_t region, const char *handle, struct diag *diag,
                    uint64_t *ret);
/* mkdir <image>/instances/<handle>. -EBUSY (the image is not available), -EEXIST. */
int instance_create_from_image(struct model *m, const struct caller *c, uint64_t image, const char *handle,
                               struct diag *diag, uint64_t *ret);

enum instance_field {
        INSTANCE_FIELD_NAME,
        INSTANCE_FIELD_DESCRIPTION,
        /* "private/web", "shared/web" or an image's id: makes the disks, or rebuilds the system disk; "none" */
        INSTANCE_FIELD_IMAGE,
        INSTANCE_FIELD_TYPE, /* local or cloud, for an image of both, before the first start */
        INSTANCE_FIELD_POWER, /* start, stop */
        INSTANCE_FIELD_ATTACH, /* a disk of the region */
        INSTANCE_FIELD_DETACH, /* a device, "vdb" */
        INSTANCE_FIELD_CDROM, /* "iso/debian", "debian" or an image's id; "none" */
        INSTANCE_FIELD_IMAGE_DISKS, /* all, none, or devices */
        /* These five: -EOPNOTSUPP without cloud-init in the image's features. */
        INSTANCE_FIELD_PASSWORD, /* kept as a salted hash */
        INSTANCE_FIELD_SSH_KEYS,
        INSTANCE_FIELD_HOSTNAME,
        INSTANCE_FIELD_USER_DATA, /* what this and the next are is for cloud-init to say */
        INSTANCE_FIELD_NETWORK_CONFIG,
        INSTANCE_FIELD_COUNT,
};
int instance_set(struct model *m, const struct caller *c, uint64_t id, enum instance_field field, const char *value,
                 struct diag *diag);
int instance_rename(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag);
/* Removes it, its system disk and the disks made with it. -EBUSY while it runs or an image is made of it. */
int instance_remove(struct model *m, const struct caller *c, uint64_t id, struct diag *diag);

/* The name of the host that has its disks: it can run there alone. */
int instance_get_host(struct model *m, uint64_t id, char *buf, size_t size);

/* Its volumes in order of their devices. */
typedef int instance_volume_fn(void *ctx, const struct volume *v);
int instance_volumes(struct model *m, uint64_t id, instance_volume_fn *fn, void *ctx);
/* The blob of disks/cdrom.iso. -ENOENT without one. */
int instance_cdrom_info(struct model *m, uint64_t id, struct blob_info *ret);
int instance_cdrom_open(struct model *m, uint64_t id, struct diag *diag, struct blob **ret);

/* mkdir instances/<i>/images/<handle>: *ret is the image that a task makes. -EBUSY (running), -EDQUOT, -EEXIST. */
int instance_capture(struct model *m, const struct caller *c, uint64_t id, const char *handle, struct diag *diag,
                     uint64_t *ret);
/* The images that were made of it and still exist. */
int instance_images(struct model *m, uint64_t id, image_fn *fn, void *ctx);

/* What keeps it from being removed: tasks. */
int instance_used_by(struct model *m, uint64_t id, object_fn *fn, void *ctx);

/* The user-data and network-config that were written, which only these give: they are long. Both are added to. */
int instance_get_told(struct model *m, uint64_t id, struct strbuf *ret_user_data, struct strbuf *ret_network_config);

/*
 * The files that cloud-init's NoCloud source reads; one without text is not to be there. Meta-data and user-data always
 * have some.
 */
struct instance_seed {
        struct strbuf meta_data, user_data, vendor_data, network_config;
};
int instance_seed(struct model *m, uint64_t id, struct instance_seed *ret);
void instance_seed_done(struct instance_seed *seed);

#endif
