/* SPDX-License-Identifier: MIT */
/*
 * The upload of a data disk (data_disk.h). Its bytes go into a file that is nobody's until close(2) gives it its name:
 * when that has come back, they are on the disk, and the system disk may follow. A descriptor may have been copied, so
 * that more is written after a close; then the name is taken back first.
 */

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "model/intake/data_disk_row.h"
#include "model/intake/uploads_priv.h"

/* The mutex is held. */
static int rename_file(const struct upload *u, bool from_part)
{
        char name[2][INCOMING_NAME_MAX];
        struct blobstore *bs;
        int r, dir_fd;

        r = stores_get(u->m, u->store, NULL, &bs);
        if (r < 0)
                return r;

        dir_fd = blobstore_incoming_dir(bs);
        incoming_disk_name(u->ident, u->device, from_part, name[0]);
        incoming_disk_name(u->ident, u->device, !from_part, name[1]);
        return renameat(dir_fd, name[0], dir_fd, name[1]) < 0 ? -errno : fsync_dir(dir_fd);
}

int upload_name_disk(struct upload *u, struct diag *diag)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct image_probe probe;
        int r;

        if (atomic_load(&u->bytes) == 0 || atomic_load(&u->named) || atomic_load(&u->interrupted))
                return 0;

        r = intake_settle(u->intake, NULL, NULL);
        if (r == 0)
                r = data_disk_probe(u->fd, &probe, &reason);
        if (r == -EINVAL)
                return diag_set(diag, r, "%s", strbuf_text(&reason));
        if (r == 0 && fdatasync(u->fd) < 0)
                r = -errno;
        if (r < 0)
                return upload_refuse_lost(diag, r);

        LOCK_SCOPE(&u->m->uploads->mutex);

        if (atomic_load(&u->gone))
                return 0;
        r = rename_file(u, true);
        if (r < 0)
                return upload_refuse_lost(diag, r);
        atomic_store(&u->named, true);
        return 0;
}

int upload_unname_disk(struct upload *u)
{
        int r;

        if (!atomic_load(&u->named))
                return 0;

        LOCK_SCOPE(&u->m->uploads->mutex);

        if (!atomic_load(&u->named) || atomic_load(&u->gone))
                return 0;
        r = rename_file(u, false);
        if (r == 0)
                atomic_store(&u->named, false);
        return r;
}

void upload_close_disk(struct upload *u)
{
        struct model *m = u->m;
        LOCK_SCOPE(&m->uploads->mutex);

        u->writers--;
        if (u->writers == 0 && !atomic_load(&u->gone)) {
                if (!atomic_load(&u->named))
                        incoming_discard(m, u->store, u->name);
                uploads_unlink(m->uploads, u);
        }
        uploads_put(u);
}
