/* SPDX-License-Identifier: MIT */
/*
 * The data disks of an image that waits for its upload.
 *
 *      mkdir disks/vdb ──► a row with its snapshot, charged ──upload──► a file ──system disk's import──► its bytes
 *
 * They come before the system disk, since it is that upload which ends the waiting: an import takes in what is there.
 * Whether one has its data is told by its file alone: what is being written has another name, and gets its own when it
 * is whole and on the disk. So it survives a restart, and nothing has to be recorded. The files go with the image, and
 * when its import is over, unless that was a fetch, which can be tried again.
 *
 * The mutex of the list of uploads is held while a disk is added or removed, so that the import that begins knows all.
 */

#include "model/intake/data_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/lock.h"
#include "model/core/quota_row.h"
#include "model/image/making.h"
#include "model/intake/data_disk_row.h"
#include "model/intake/incoming.h"
#include "model/intake/upload_state.h"
#include "model/intake/uploads.h"

enum { DISK_IMAGE, REMOVE };

static const char *const data_disk_sql[] = {
        [DISK_IMAGE] = "SELECT image FROM image_disk WHERE id = ?1",
        [REMOVE] = "DELETE FROM image_disk WHERE id = ?1",
};
const struct db_statements data_disk_statements = DB_STATEMENTS(data_disk_sql);

static int refuse_begun(const struct image *image, struct diag *diag)
{
        if (image->status == IMAGE_QUEUED)
                return 0;
        return diag_set(diag, -EBUSY, "%s is %s: data disks come in before its own upload, while it is queued",
                        image->o.handle, image_status_name(image->status));
}

static int parse_device(const char *device, size_t *ret, struct diag *diag)
{
        if (strcmp(device, "vda") == 0)
                return diag_set(diag, -EINVAL, "vda is the system disk: its data goes into the image's upload");
        if (strlen(device) != 3 || strncmp(device, "vd", 2) != 0 || device[2] < 'b' || device[2] > 'z')
                return diag_set(diag, -EINVAL, "a data disk is named by its device: vdb, vdc … vdz");
        *ret = (size_t)(device[2] - 'a');
        return 0;
}

static int find_disk(struct db_txn *t, uint64_t image, const char *device, struct disk_ref *ret)
{
        struct disk_list disks;
        int r;

        r = disk_list_load(t, image, &disks);
        for (size_t i = 0; r == 0 && i < disks.n; i++) {
                if (strcmp(disks.disk[i].device, device) != 0)
                        continue;
                *ret = disks.disk[i];
                return 0;
        }
        return r < 0 ? r : -ENOENT;
}

int image_add_data_disk(struct model *m, const struct caller *c, uint64_t id, const char *device, struct diag *diag,
                        uint64_t *ret)
{
        struct changes changes = { 0 };
        struct disk_ref disk;
        struct image image;
        size_t number = 0;
        int r;

        r = parse_device(device, &number, diag);
        if (r < 0)
                return r;

        {
                LOCK_SCOPE(uploads_mutex(m));
                DB_TXN(t);

                r = db_begin_lazy(m->db, &t);
                if (r == 0)
                        r = image_load(&t, id, &image);
                if (r == 0)
                        r = image_refuse_stranger(image.class, c, diag);
                if (r == 0)
                        r = refuse_begun(&image, diag);
                if (r < 0)
                        return r;
                if (image.class == CLASS_ISO)
                        return diag_set(diag, -EOPNOTSUPP, "%s: an ISO has no data disks", image.o.handle);
                if (find_disk(&t, id, device, &disk) == 0)
                        return diag_set(diag, -EEXIST, "%s: there is such a disk already", device);
                r = making_add_disks(&t, &image, number, number + 1, &changes, diag);
                if (r == 0)
                        r = find_disk(&t, id, device, &disk);
                if (r == 0)
                        r = db_commit(&t);
                if (r < 0)
                        return r;
        }

        r = db_settle(m->db); /* for which nobody waits who opens an upload */
        if (r < 0)
                return r;
        changes_add(&changes, OBJECT_IMAGE, id);
        changes_tell(m, &changes);
        *ret = disk.id;
        return 0;
}

int data_disk_load(struct db_txn *t, uint64_t id, struct image *ret_image, uint64_t *ret_store,
                   struct disk_ref *ret_disk, struct diag *diag)
{
        struct disk_list disks;
        int64_t image;
        int r;

        r = db_int(t, data_disk_sql[DISK_IMAGE], &image, DB_INT(id));
        if (r == 0)
                r = image_load_with_store(t, (uint64_t)image, ret_image, ret_store);
        if (r == 0)
                r = refuse_begun(ret_image, diag);
        if (r == 0)
                r = disk_list_load(t, (uint64_t)image, &disks);
        for (size_t i = 0; r == 0 && i < disks.n; i++) {
                if (disks.disk[i].id != id)
                        continue;
                *ret_disk = disks.disk[i];
                return 0;
        }
        return r < 0 ? r : -ENOENT;
}

int image_remove_data_disk(struct model *m, const struct caller *c, uint64_t id, struct diag *diag)
{
        struct changes changes = { 0 };
        struct disk_ref disk;
        struct image image;
        uint64_t store;
        int r;

        {
                LOCK_SCOPE(uploads_mutex(m));
                DB_TXN(t);

                r = db_begin(m->db, DB_WRITE, &t);
                if (r == 0)
                        r = data_disk_load(&t, id, &image, &store, &disk, diag);
                if (r == 0)
                        r = image_refuse_stranger(image.class, c, diag);
                if (r == 0)
                        r = making_erase_disk(&t, &disk, &changes);
                if (r == 0)
                        r = db_run(&t, data_disk_sql[REMOVE], DB_INT(id));
                if (r >= 0)
                        r = db_commit(&t);
                if (r < 0)
                        return r;
                uploads_drop_disk(m, id);
                incoming_discard_disk(m, store, image.ident, disk.device);
        }

        changes_add(&changes, OBJECT_IMAGE, image.o.id);
        changes_tell(m, &changes);
        return 0;
}

/* ---- for the system disk's upload and import ---- */

static bool is_there(int dir_fd, const char *ident, const char *device)
{
        char name[INCOMING_NAME_MAX];

        incoming_disk_name(ident, device, false, name);
        return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The directory of the files; where the image has nothing but a system disk, it is not needed. */
static int open_dir(struct model *m, struct db_txn *t, const struct image *image, struct diag *diag, int *ret_dir_fd)
{
        struct blobstore *bs;
        struct image again;
        uint64_t store;
        int r;

        r = image_load_with_store(t, image->o.id, &again, &store);
        if (r == 0)
                r = stores_get(m, store, diag, &bs);
        if (r == 0)
                *ret_dir_fd = blobstore_incoming_dir(bs);
        return r;
}

int data_disks_refuse_unready(struct model *m, struct db_txn *t, const struct image *image, struct diag *diag)
{
        struct disk_list disks;
        int r, dir_fd;

        r = disk_list_load(t, image->o.id, &disks);
        for (size_t i = 0; r == 0 && i < disks.n; i++) {
                const char *device = disks.disk[i].device;

                if (disks.disk[i].system)
                        continue;
                r = open_dir(m, t, image, diag, &dir_fd);
                if (r < 0)
                        return r;
                if (uploads_write_disk(m, disks.disk[i].id))
                        return diag_set(diag, -EBUSY,
                                        "disks/%s is being uploaded: close the file that is being written to first", device);
                if (!is_there(dir_fd, image->ident, device))
                        return diag_set(diag, -EBUSY,
                                        "disks/%s has no data yet: cp it to disks/%s/upload before the system disk, or "
                                        "give it up with rmdir disks/%s", device, device, device);
        }
        return r;
}

/* Data disks that came out of an archive, and have no file, come out of it again. */
int data_disks_again(struct model *m, struct db_txn *t, const struct image *image, struct changes *ch, struct diag *diag)
{
        struct disk_list disks;
        int r, dir_fd;

        r = disk_list_load(t, image->o.id, &disks);
        for (size_t i = 0; r == 0 && i < disks.n; i++) {
                const char *device = disks.disk[i].device;
                const size_t number = (size_t)(device[2] - 'a');

                r = db_run(t, data_disk_sql[REMOVE], DB_INT(disks.disk[i].id));
                if (r < 0)
                        return r;
                if (disks.disk[i].system) {
                        r = 0;
                        continue;
                }
                r = open_dir(m, t, image, diag, &dir_fd);
                if (r == 0 && is_there(dir_fd, image->ident, device))
                        r = making_add_disks(t, image, number, number + 1, ch, diag);
        }
        return r;
}
