/* SPDX-License-Identifier: MIT */
/* The files of uploads. */

#include "model/intake/incoming.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/core/region.h"
#include "model/image/image_row.h"

/*
 * Since Linux 6.8, and never reused; kernels before give the mount's number in use at present, which nearly always
 * tells.
 */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif

#define SECTOR_BYTES 512

/* In a token, instead of where and when. */
#define SYNCED "synced"

int incoming_open(struct model *m, uint64_t store, const char *ident, int flags)
{
        struct blobstore *bs;
        int r, fd;

        r = stores_get(m, store, NULL, &bs);
        if (r < 0)
                return r;

        fd = openat(blobstore_incoming_dir(bs), ident, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
        return fd < 0 ? -errno : fd;
}

void incoming_await(struct model *m, uint64_t store)
{
        struct blobstore *bs;

        (void)stores_get(m, store, NULL, &bs); /* whoever asks again says what is wrong */
}

void incoming_discard(struct model *m, uint64_t store, const char *ident)
{
        struct blobstore *bs;

        if (stores_get(m, store, NULL, &bs) < 0)
                return;

        /* A file that stays is removed at the next start. */
        (void)unlinkat(blobstore_incoming_dir(bs), ident, 0);
}

void incoming_discard_in(struct model *m, uint64_t region, const char *ident)
{
        struct region r;

        if (region_get(m, region, &r) == 0) /* else the next start removes it */
                incoming_discard(m, r.store, ident);
}

void incoming_disk_name(const char *ident, const char *device, bool part, char buf[INCOMING_NAME_MAX])
{
        (void)snprintf(buf, INCOMING_NAME_MAX, "%s.%s%s", ident, device, part ? ".part" : "");
}

void incoming_discard_disk(struct model *m, uint64_t store, const char *ident, const char *device)
{
        char name[INCOMING_NAME_MAX];

        for (int part = 0; part < 2; part++) {
                incoming_disk_name(ident, device, part, name);
                incoming_discard(m, store, name);
        }
}

void incoming_discard_disks(struct model *m, uint64_t store, const char *ident)
{
        char device[] = "vdb";

        for (; device[2] <= 'z'; device[2]++)
                incoming_discard_disk(m, store, ident, device);
}

void incoming_discard_disks_in(struct model *m, uint64_t region, const char *ident)
{
        struct region r;

        if (region_get(m, region, &r) == 0)
                incoming_discard_disks(m, r.store, ident);
}

static int read_boot_id(char *buf, size_t size)
{
        CLEANUP_CLOSE int fd = -1;
        ssize_t n;

        fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        n = read(fd, buf, size - 1);
        if (n < 0)
                return -errno;

        buf[n] = '\0';
        buf[strcspn(buf, "\n")] = '\0';
        return 0;
}

int incoming_place(int fd, char *buf, size_t size)
{
        struct statx st;
        char boot[64];
        int r;

        r = read_boot_id(boot, sizeof(boot));
        if (r < 0)
                return r;

        if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID | STATX_MNT_ID_UNIQUE, &st) < 0)
                return -errno;
        if (!(st.stx_mask & (STATX_MNT_ID | STATX_MNT_ID_UNIQUE)))
                return -EOPNOTSUPP;

        (void)snprintf(buf, size, "boot=%s mount=%" PRIu64, boot, (uint64_t)st.stx_mnt_id);
        return 0;
}

static int make_token(int fd, const char *condition, char *buf, size_t size)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;

        (void)snprintf(buf, size, "%s size=%" PRIu64, condition, (uint64_t)st.st_size);
        return 0;
}

int incoming_token(int fd, char *buf, size_t size)
{
        char place[INCOMING_TOKEN_MAX / 2];
        int r;

        r = incoming_place(fd, place, sizeof(place));
        return r < 0 ? r : make_token(fd, place, buf, size);
}

int incoming_sync(int fd, char *buf, size_t size)
{
        if (fdatasync(fd) < 0)
                return -errno;

        return make_token(fd, SYNCED, buf, size);
}

bool incoming_is_intact(int fd, const char *token)
{
        char present[INCOMING_TOKEN_MAX];
        int r;

        if (strncmp(token, SYNCED " ", strlen(SYNCED " ")) == 0)
                r = make_token(fd, SYNCED, present, sizeof(present));
        else
                r = incoming_token(fd, present, sizeof(present));
        return r == 0 && strcmp(token, present) == 0;
}

static int warn_of_copy(struct db_txn *t, uint64_t image, uint64_t copy_end, uint64_t size_bytes)
{
        struct strbuf sentence CLEANUP_STRBUF = { 0 };

        strbuf_addf(&sentence,
                    "the file ends at byte %" PRIu64 ", and the copy of its partition table (GPT) at byte %" PRIu64
                    ": its partitions are all there, but a disk that was not made smaller is cut off", size_bytes, copy_end);
        return strbuf_error(&sentence) ? -ENOMEM : image_warn(t, image, strbuf_text(&sentence));
}

int incoming_warn(struct db_txn *t, uint64_t image, const struct image_probe *probe, uint64_t size_bytes)
{
        struct strbuf sentence CLEANUP_STRBUF = { 0 };
        int r = 0;

        if (probe->reach.copy_end > size_bytes)
                r = warn_of_copy(t, image, probe->reach.copy_end, size_bytes);
        if (r < 0 || probe->format != IMAGE_FORMAT_RAW || size_bytes % SECTOR_BYTES == 0)
                return r;
        strbuf_addf(&sentence,
                    "the file has %" PRIu64 " bytes, which is no multiple of %d: a machine may not see what is behind the "
                    "last whole sector, and perhaps this is no disk", size_bytes, SECTOR_BYTES);
        return strbuf_error(&sentence) ? -ENOMEM : image_warn(t, image, strbuf_text(&sentence));
}

static void cleanup_closedir(DIR **dir)
{
        int saved_errno = errno;

        if (*dir)
                (void)closedir(*dir);
        errno = saved_errno;
}

int incoming_each(struct blobstore *bs, incoming_fn *fn, void *ctx)
{
        CLEANUP(cleanup_closedir) DIR *dir = NULL;
        CLEANUP_CLOSE int fd = -1;
        const struct dirent *e;
        int r;

        fd = openat(blobstore_incoming_dir(bs), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        dir = fdopendir(fd);
        if (!dir)
                return -errno;
        fd = -1; /* the directory's now */

        for (;;) {
                errno = 0;
                e = readdir(dir);
                if (!e)
                        return -errno;
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;

                r = fn(ctx, e->d_name);
                if (r < 0)
                        return r;
        }
}

int incoming_probe(const struct image *image, int fd, uint64_t size_bytes, int limit_ms, struct image_probe *ret,
                   struct strbuf *reason)
{
        enum image_format wanted;
        bool iso;
        int r;

        r = image_format_parse(image->format, &wanted);
        if (r < 0)
                return r;

        r = image_probe_within(limit_ms, fd, wanted, ret, reason);
        if (r == 0)
                r = image_check_end(ret, size_bytes ? size_bytes : ret->size_bytes, reason);
        if (r < 0)
                return r;

        iso = ret->format == IMAGE_FORMAT_ISO;
        if (iso == (image->source == CLASS_ISO))
                return 0;

        strbuf_add(reason, iso ? "this is an ISO file, which goes into iso/: to have it as a disk, set format to raw"
                               : "this is no ISO file, and iso/ takes nothing else");
        return -EINVAL;
}
