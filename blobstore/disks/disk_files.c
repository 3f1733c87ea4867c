/* SPDX-License-Identifier: MIT */

/*
 * A disk is three files below disks/, named by its id:
 *
 *      <id>.data       the blocks that were written, each at its place, otherwise a hole; whole blocks long
 *      <id>.bitmap     which blocks these are, see disk_bitmap.c
 *      <id>.meta       64 bytes, little endian: u64 magic, u32 version, u32 flags (1: there is a base), the disk's
 *                      id[16], the base's id[16], u64 size, u64 hash of all of that; replaced when the disk grows
 *
 * They are made in this order, and removed in the opposite one: a disk exists while it has a meta file, and whatever a
 * crash leaves of one has at least its data file, by which disk_each() finds it. Growing makes data and bitmap
 * longer first; longer files than the meta file asks for are no harm.
 *
 * The data has no checksums, unlike chunks: a block that is written in place could not be changed together with its
 * checksum. A snapshot has them.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "blobstore/base/parse.h"
#include "blobstore/disks/disk_priv.h"
#include "blobstore/hash/hash.h"

#define META_MAGIC   UINT64_C(0x6b73642d73666d69) /* "imfs-dsk" */
#define META_VERSION 1

/* Offsets in the meta file. */
enum {
        META_OFF_MAGIC = 0,
        META_OFF_VERSION = 8,
        META_OFF_FLAGS = 12,
        META_OFF_ID = 16,
        META_OFF_BASE = 32,
        META_OFF_SIZE = 48,
        META_OFF_HASH = 56,
        META_LENGTH = 64,
};

#define META_HAS_BASE 1

/* What write_file_durable() may leave of a meta file. */
#define META_TEMP_SUFFIX ".meta.tmp"

#define DISK_HEX_SIZE  (2 * DISK_ID_SIZE)
#define DISK_NAME_SIZE (DISK_HEX_SIZE + sizeof(META_TEMP_SUFFIX))

static const char *const disk_suffixes[DISK_FILE_COUNT] = {
        [DISK_FILE_META] = ".meta",
        [DISK_FILE_BITMAP] = ".bitmap",
        [DISK_FILE_DATA] = ".data",
};

static void disk_name(const struct disk_id *id, const char *suffix, char ret[DISK_NAME_SIZE])
{
        put_hex(ret, id->bytes, DISK_ID_SIZE);
        (void)snprintf(ret + DISK_HEX_SIZE, DISK_NAME_SIZE - DISK_HEX_SIZE, "%s", suffix);
}

uint64_t disk_blocks(uint64_t size_bytes)
{
        return (size_bytes + BLOB_BLOCK_SIZE - 1) / BLOB_BLOCK_SIZE;
}

uint64_t disk_seed(const struct disk_id *id)
{
        return get_le64(id->bytes);
}

static uint64_t disk_file_length(enum disk_file file, uint64_t size_bytes)
{
        switch (file) {
        case DISK_FILE_DATA:
                return disk_blocks(size_bytes) * BLOB_BLOCK_SIZE;
        case DISK_FILE_BITMAP:
                return disk_bitmap_file_size(disk_blocks(size_bytes));
        default:
                return META_LENGTH;
        }
}

/* ---- the meta file ---- */

int disk_files_read_meta(struct blobstore *bs, const struct disk_id *id, struct disk_plan *ret)
{
        CLEANUP_CLOSE int fd = -1;
        char name[DISK_NAME_SIZE];
        uint8_t meta[META_LENGTH];
        ssize_t n;

        disk_name(id, disk_suffixes[DISK_FILE_META], name);
        fd = openat(bs->disks->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        n = pread_full(fd, meta, sizeof(meta), 0);
        if (n < 0)
                return (int)n;
        if (n != META_LENGTH || get_le64(meta + META_OFF_MAGIC) != META_MAGIC ||
            get_le64(meta + META_OFF_HASH) != hash64(meta, META_OFF_HASH, disk_seed(id)) ||
            memcmp(meta + META_OFF_ID, id->bytes, DISK_ID_SIZE) != 0)
                return -EBADMSG;
        if (get_le32(meta + META_OFF_VERSION) != META_VERSION)
                return -EPROTONOSUPPORT;

        *ret = (struct disk_plan){
                .id = *id,
                .has_base = get_le32(meta + META_OFF_FLAGS) & META_HAS_BASE,
                .size_bytes = get_le64(meta + META_OFF_SIZE),
        };
        memcpy(ret->base.bytes, meta + META_OFF_BASE, BLOB_ID_SIZE);
        return ret->size_bytes <= BLOB_SIZE_MAX ? 0 : -EBADMSG;
}

int disk_files_write_meta(struct blobstore *bs, const struct disk_plan *meta)
{
        uint8_t bytes[META_LENGTH] = { 0 };
        char name[DISK_NAME_SIZE];
        int r;

        put_le64(bytes + META_OFF_MAGIC, META_MAGIC);
        put_le32(bytes + META_OFF_VERSION, META_VERSION);
        put_le32(bytes + META_OFF_FLAGS, meta->has_base ? META_HAS_BASE : 0);
        memcpy(bytes + META_OFF_ID, meta->id.bytes, DISK_ID_SIZE);
        memcpy(bytes + META_OFF_BASE, meta->base.bytes, BLOB_ID_SIZE);
        put_le64(bytes + META_OFF_SIZE, meta->size_bytes);
        put_le64(bytes + META_OFF_HASH, hash64(bytes, META_OFF_HASH, disk_seed(&meta->id)));
        disk_name(&meta->id, disk_suffixes[DISK_FILE_META], name);
        r = write_file_durable(bs->disks->dir_fd, name, bytes, sizeof(bytes), 0600);
        return r == -EIO ? store_sync_failed(bs, r) : r;
}

/* ---- data and bitmap ---- */

/*
 * On btrfs even what is there is written elsewhere, which takes room; not where a file is marked so while it is empty.
 * The bitmap has checksums of its own. Other file systems do not know the mark.
 */
static void disk_file_keep_in_place(int fd)
{
        int flags;

        if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
                return;
        flags |= FS_NOCOW_FL;
        (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static int disk_file_extend(struct blobstore *bs, const struct disk_id *id, enum disk_file file, int flags,
                            uint64_t size_bytes, int *ret)
{
        uint64_t length = disk_file_length(file, size_bytes);
        CLEANUP_CLOSE int fd = -1;
        char name[DISK_NAME_SIZE];

        disk_name(id, disk_suffixes[file], name);
        fd = openat(bs->disks->dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
        if (fd < 0)
                return -errno;
        if (file == DISK_FILE_BITMAP && flags & O_CREAT)
                disk_file_keep_in_place(fd);
        if (ftruncate(fd, (off_t)length) < 0)
                return -errno;
        *ret = TAKE_FD(fd);
        return 0;
}

/* Synced when both are there: a file system with a journal then has one commit for them. */
static int disk_files_extend(struct blobstore *bs, const struct disk_id *id, int flags, uint64_t size_bytes)
{
        CLEANUP_CLOSE int data = -1;
        CLEANUP_CLOSE int bitmap = -1;
        int r;

        r = disk_file_extend(bs, id, DISK_FILE_DATA, flags, size_bytes, &data);
        if (r == 0)
                r = disk_file_extend(bs, id, DISK_FILE_BITMAP, flags, size_bytes, &bitmap);
        if (r < 0)
                return r;
        return fsync(data) < 0 || fsync(bitmap) < 0 ? store_sync_failed(bs, -errno) : 0;
}

int disk_files_have_data(struct blobstore *bs, const struct disk_id *id)
{
        char name[DISK_NAME_SIZE];
        struct stat st;

        disk_name(id, disk_suffixes[DISK_FILE_DATA], name);
        if (fstatat(bs->disks->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        return st.st_blocks > 0;
}

int disk_files_create(struct blobstore *bs, const struct disk_id *id, uint64_t size_bytes)
{
        return disk_files_extend(bs, id, O_CREAT | O_EXCL, size_bytes);
}

int disk_files_grow(struct blobstore *bs, const struct disk_id *id, uint64_t size_bytes)
{
        return disk_files_extend(bs, id, 0, size_bytes);
}

int disk_files_open(struct blobstore *bs, const struct disk_id *id, enum disk_file file, uint64_t size_bytes, int *ret)
{
        CLEANUP_CLOSE int fd = -1;
        char name[DISK_NAME_SIZE];
        struct stat st;

        disk_name(id, disk_suffixes[file], name);
        fd = openat(bs->disks->dir_fd, name, (bs->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT ? -EBADMSG : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if ((uint64_t)st.st_size < disk_file_length(file, size_bytes))
                return -EBADMSG;
        *ret = TAKE_FD(fd);
        return 0;
}

int disk_files_forget(struct blobstore *bs, const struct disk_id *id)
{
        char name[DISK_NAME_SIZE];
        int r;

        disk_name(id, disk_suffixes[DISK_FILE_META], name);
        if (unlinkat(bs->disks->dir_fd, name, 0) < 0)
                return -errno;
        r = fsync_dir(bs->disks->dir_fd);
        return r < 0 ? store_sync_failed(bs, r) : 0;
}

int disk_files_remove(struct blobstore *bs, const struct disk_id *id)
{
        char name[DISK_NAME_SIZE];

        disk_name(id, META_TEMP_SUFFIX, name);
        (void)unlinkat(bs->disks->dir_fd, name, 0); /* most often there is none */
        disk_name(id, disk_suffixes[DISK_FILE_BITMAP], name);
        if (unlinkat(bs->disks->dir_fd, name, 0) < 0 && errno != ENOENT)
                return -errno;
        disk_name(id, disk_suffixes[DISK_FILE_DATA], name);
        return unlinkat(bs->disks->dir_fd, name, 0) < 0 ? -errno : 0;
}

int disk_files_read(const struct disk *d, void *buf, size_t n, uint64_t off)
{
        ssize_t got = pread_full(d->data_fd, buf, n, off);

        if (got < 0)
                return (int)got;
        return (size_t)got == n ? 0 : -EBADMSG;
}

struct each_disk {
        disk_each_fn *fn;
        void *ctx;
};

static int disk_each_name(void *ctx, const char *name)
{
        const struct each_disk *each = ctx;
        struct disk_id id;

        if (strlen(name) < DISK_HEX_SIZE || strcmp(name + DISK_HEX_SIZE, disk_suffixes[DISK_FILE_DATA]) != 0 ||
            parse_hex(name, DISK_HEX_SIZE, id.bytes) < 0)
                return 0;
        return each->fn(each->ctx, &id);
}

int disk_each(struct blobstore *bs, disk_each_fn *fn, void *ctx)
{
        struct each_disk each = { fn, ctx };

        return dir_each(bs->disks->dir_fd, ".", disk_each_name, &each);
}
