/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MACHINE_INSTANCE_ROW_H
#define MODEL_MACHINE_INSTANCE_ROW_H

/* Instances, inside a transaction. Private to model/. */

#include "model/core/changes.h"
#include "model/core/state.h"
#include "model/machine/instance.h"

/* ---- instance.c ---- */

/* What one transaction knows: running is the power flag alone. -ENOENT; DB_READ will do. */
int instance_load(struct db_txn *t, uint64_t id, struct instance *ret);
/* Inserts a row from o.handle, o.uid, o.gid, region, type, image, cdrom; sets o.id, ident. -EEXIST with a sentence. */
int instance_insert(struct db_txn *t, struct instance *instance, struct diag *diag);
/* -EEXIST, with its sentence. */
int instance_refuse_taken(const char *handle, struct diag *diag);
int instance_set_image(struct db_txn *t, uint64_t id, uint64_t image, enum image_type type);
int instance_set_cdrom_row(struct db_txn *t, uint64_t id, uint64_t image);

/* Does the disk go along into an image, with this in image-disks? */
bool instance_selects(const char *image_disks, const struct volume *v);

/* ---- instance_disks.c ---- */

/* image (a path or an id), type, cdrom, attach, detach: those fields of instance_set() that change its disks. */
int instance_rebuild(struct model *m, const struct caller *c, uint64_t id, const char *image, struct diag *diag);
int instance_set_type(struct db_txn *t, const struct instance *instance, const char *word, struct changes *ch,
                      struct diag *diag);
int instance_set_cdrom(struct db_txn *t, const struct caller *c, const struct instance *instance, const char *name,
                       struct changes *ch, struct diag *diag);
int instance_attach(struct model *m, struct db_txn *t, const struct caller *c, const struct instance *instance,
                    const char *disk, struct changes *ch, struct diag *diag);
int instance_detach(struct db_txn *t, const struct instance *instance, const char *device, struct changes *ch,
                    struct diag *diag);

/* Is this how a device is called: "vda" … "vdz"? */
bool device_is_valid(const char *device);

/* ---- instance_seed.c ---- */

/* Labels of letters, digits and inner hyphens, with dots between them; "" is one, too. */
#define INSTANCE_HOSTNAME_MAX 64 /* Linux takes no longer one */
bool instance_hostname_is_valid(const char *name);

/* A salted hash of PASSWORD, as crypt(5) writes it; PASSWORD "" gives "". -EINVAL with a sentence. */
int instance_hash_password(const char *password, struct diag *diag, char *buf, size_t size);
/* The hash, which no other value has. -ENOENT; DB_READ will do. */
#define INSTANCE_HASH_MAX 128
int instance_load_password(struct db_txn *t, uint64_t id, char *buf, size_t size);

#endif
