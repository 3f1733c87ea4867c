/* SPDX-License-Identifier: MIT */

/*
 * A machine whose image is made without one of its data disks may have that disk in its /etc/fstab, and a machine made
 * of the image would wait for it in vain when it starts. Disks that go along bring what the lines name, so with
 * image-disks `all` there is nothing to say but of disks that were detached before.
 *
 * Looking takes milliseconds and reads some hundred KiB, from the disks themselves: nobody writes to them meanwhile.
 * It comes before the image is available, so that who waits for that finds the warning in last-error.
 */

#include "model/work/capture_warning.h"

#include <errno.h>
#include <string.h>

#include "blobstore/base/log.h"
#include "blobstore/import/fstab.h"
#include "model/image/image_row.h"
#include "model/machine/volume_row.h"

struct look {
        struct job *job;
        const struct disk_list *disks;
        char handle[NAME_LEN_MAX + 1]; /* of the image */
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

static bool goes_along(const struct disk_list *disks, const char *device)
{
        for (size_t i = 0; i < disks->n; i++) {
                if (strcmp(disks->disk[i].device, device) == 0)
                        return true;
        }
        return false;
}

static int add_volume(void *ctx, const struct volume *v)
{
        struct look *look = ctx;
        struct fstab_disk *d = &look->disk[look->n];

        if (look->n == DISKS_MAX)
                return -E2BIG;
        *d = (struct fstab_disk){ .stays = goes_along(look->disks, v->device), .size_bytes = v->size_bytes };
        memcpy(d->device, v->device, sizeof(d->device));
        look->volume[look->n++] = v->o.id;
        return 0;
}

static int load(struct look *look)
{
        const struct task *task = &look->job->task;
        struct image image;
        DB_TXN(t);
        int r;

        r = db_begin(look->job->m->db, DB_READ, &t);
        if (r == 0)
                r = image_load(&t, task->image, &image);
        if (r == 0)
                r = volume_load_each(&t, task->instance, add_volume, look);
        if (r == 0)
                memcpy(look->handle, image.o.handle, sizeof(look->handle));
        return r;
}

static int open_disk(struct look *look, size_t i)
{
        struct volume_disk_ref ref;
        struct blobstore *bs;
        int r;

        {
                DB_TXN(t);

                r = db_begin(look->job->m->db, DB_READ, &t);
                if (r == 0)
                        r = volume_load_disk(&t, look->volume[i], &ref);
                if (r < 0)
                        return r;
        }
        if (!ref.exists)
                return -EBADMSG; /* it has a size */
        r = stores_get(look->job->m, ref.store, NULL, &bs);
        return r < 0 ? r : disk_open(bs, &ref.key, &look->open[i]);
}

static int read_disk(void *ctx, size_t i, void *buf, size_t n, uint64_t off)
{
        struct look *look = ctx;
        ssize_t got;
        int r;

        r = job_pause(look->job, 0); /* cancelled? */
        if (r == 0 && !look->open[i])
                r = open_disk(look, i);
        if (r < 0)
                return r;
        got = disk_pread(look->open[i], buf, n, off);
        if (got < 0)
                return (int)got;
        return (size_t)got == n ? 0 : -EBADMSG;
}

static void write_sentence(const struct look *look, const struct fstab_findings *found, struct strbuf *ret)
{
        bool starts = true; /* if late */

        strbuf_addf(ret, "%s: the guest's /etc/fstab asks for what is on disks that this image lacks: ", look->handle);
        for (size_t i = 0; i < found->n; i++) {
                const struct fstab_finding *f = &found->finding[i];

                if (f->swap)
                        strbuf_addf(ret, "%s%s as swap (%s)", i ? ", " : "", f->source, f->device);
                else
                        strbuf_addf(ret, "%s%s on %s (%s)", i ? ", " : "", f->source, f->target, f->device);
                starts = starts && f->swap;
        }
        strbuf_addf(ret, ". Without them a new instance %s: give these lines the option nofail and make the image "
                    "again, with image-disks naming the disks if they are to go along, or attach such disks to each "
                    "new instance",
                    starts ? "waits long at each start" : "does not start");
}

int capture_warn(struct job *job, const struct disk_list *disks, struct strbuf *ret)
{
        CLEANUP(look_done) struct look look = { .job = job, .disks = disks };
        struct fstab_findings found;
        int r;

        r = load(&look);
        if (r == 0)
                r = fstab_check(look.disk, look.n, read_disk, &look, &found);
        if (r == 0 && found.n > 0)
                write_sentence(&look, &found, ret);
        if (r < 0 && r != -ECANCELED)
                log_debug("/etc/fstab of image %llu was not looked at: %s", (unsigned long long)job->task.image,
                          strerror(-r));
        return r == -ECANCELED ? r : 0;
}
