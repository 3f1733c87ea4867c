/* SPDX-License-Identifier: MIT */

/*
 * A machine whose image is made without one of its data disks may have that disk in its /etc/fstab, and a machine made
 * of the image would wait for it in vain when it starts. Disks that go along bring what the lines name, so with
 * image-disks `all` there is nothing to say but of disks that were detached before.
 *
 * Looking takes milliseconds and reads some hundred KiB, from the disks themselves. While an image is made nobody
 * writes to them; beforehand somebody may, and then finds out with the next look. That an image has its warning comes
 * before it is available, so that who waits for that finds it.
 */

#include "model/work/capture_warning.h"

#include <errno.h>
#include <string.h>

#include "blobstore/base/log.h"
#include "blobstore/base/strbuf.h"
#include "blobstore/import/fstab.h"
#include "model/core/stores.h"
#include "model/image/image_disk_row.h"
#include "model/machine/volume_row.h"

struct look {
        const struct capture_look *what;
        size_t n;
        struct fstab_disk disk[DISKS_MAX];
        uint64_t volume[DISKS_MAX];
        struct disk *open[DISKS_MAX]; /* NULL: nothing was asked of it yet */
};

static void look_done(struct look *look)
{
        for (size_t i = 0; i < look->n; i++)
                disk_close(look->open[i]);
}

static int add_volume(void *ctx, const struct volume *v)
{
        struct look *look = ctx;
        struct fstab_disk *d = &look->disk[look->n];

        if (look->n == DISKS_MAX)
                return -E2BIG;
        *d = (struct fstab_disk){ .stays = look->what->stays(look->what->ctx, v), .size_bytes = v->size_bytes };
        memcpy(d->device, v->device, sizeof(d->device));
        look->volume[look->n++] = v->o.id;
        return 0;
}

static int load(struct look *look)
{
        DB_TXN(t);
        int r;

        r = db_begin(look->what->m->db, DB_READ, &t);
        return r < 0 ? r : volume_load_each(&t, look->what->instance, add_volume, look);
}

static int open_disk(struct look *look, size_t i)
{
        int r = volume_disk_open(look->what->m, look->volume[i], NULL, NULL, &look->open[i]);

        return r < 0 ? r : look->open[i] ? 0 : -EBADMSG; /* it has a size */
}

static int read_disk(void *ctx, size_t i, void *buf, size_t n, uint64_t off)
{
        struct look *look = ctx;
        ssize_t got;
        int r;

        r = look->what->go_on(look->what->ctx);
        if (r == 0 && !look->open[i])
                r = open_disk(look, i);
        if (r < 0)
                return r;
        got = disk_pread(look->open[i], buf, n, off);
        if (got < 0)
                return (int)got;
        return (size_t)got == n ? 0 : -EBADMSG;
}

static void write_sentence(const struct fstab_findings *found, struct strbuf *ret)
{
        bool starts = true; /* if late */

        strbuf_add(ret, "the guest's /etc/fstab asks for what is on disks that do not go along: ");
        for (size_t i = 0; i < found->n; i++) {
                const struct fstab_finding *f = &found->finding[i];

                if (f->swap)
                        strbuf_addf(ret, "%s%s as swap (%s)", i ? ", " : "", f->source, f->device);
                else
                        strbuf_addf(ret, "%s%s on %s (%s)", i ? ", " : "", f->source, f->target, f->device);
                starts = starts && f->swap;
        }
        strbuf_addf(ret, ". Without them a new instance %s: give these lines the option nofail before the image is made "
                    "(or made again), name the disks in image-disks if they are to go along, or attach such disks to "
                    "each new instance",
                    starts ? "waits long at each start" : "does not start");
}

int capture_look(const struct capture_look *what, struct strbuf *ret)
{
        CLEANUP(look_done) struct look look = { .what = what };
        struct fstab_findings found;
        int r;

        r = load(&look);
        if (r == 0)
                r = fstab_check(look.disk, look.n, read_disk, &look, &found);
        if (r == 0 && found.n > 0)
                write_sentence(&found, ret);
        if (r < 0 && r != -ECANCELED && r != -EINTR)
                log_debug("/etc/fstab of instance %llu was not looked at: %s", (unsigned long long)what->instance,
                          strerror(-r));
        return r == -ECANCELED || r == -EINTR ? r : 0;
}
