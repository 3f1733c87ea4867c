/* SPDX-License-Identifier: MIT */

/*
 * Files in an ext2, ext3 or ext4 file system, read by libext2fs. Symbolic links are followed by the library
 * within the file system, and not far. The journal is not replayed: what a guest that was switched off changed in its
 * last seconds may be missing.
 */

#include <stdlib.h>

#include "blobstore/import/guest_reader/ext_priv.h"

/* ---- the bytes, for the library ---- */

/* What the next channel reads: open_channel() is given a name, and nothing else. */
static const struct area *opening;

static errcode_t open_channel(const char *name, int flags, io_channel *ret);
static errcode_t close_channel(io_channel channel);
static errcode_t set_block_size(io_channel channel, int size);
static errcode_t read_blocks(io_channel channel, unsigned long block, int count, void *buf);
static errcode_t read_blocks64(io_channel channel, unsigned long long block, int count, void *buf);

static struct struct_io_manager area_manager = {
        .magic = EXT2_ET_MAGIC_IO_MANAGER,
        .name = "area",
        .open = open_channel,
        .close = close_channel,
        .set_blksize = set_block_size,
        .read_blk = read_blocks,
        .read_blk64 = read_blocks64,
};

static errcode_t open_channel(const char *name, int flags, io_channel *ret)
{
        io_channel channel = calloc(1, sizeof(*channel));

        (void)name;
        (void)flags;
        if (!channel)
                return EXT2_ET_NO_MEMORY;
        channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
        channel->manager = &area_manager;
        channel->block_size = 1024;
        channel->refcount = 1;
        channel->private_data = (void *)opening;
        *ret = channel;
        return 0;
}

static errcode_t close_channel(io_channel channel)
{
        if (--channel->refcount == 0)
                free(channel);
        return 0;
}

static errcode_t set_block_size(io_channel channel, int size)
{
        channel->block_size = size;
        return 0;
}

static errcode_t read_blocks64(io_channel channel, unsigned long long block, int count, void *buf)
{
        uint64_t size = (uint64_t)channel->block_size;
        uint64_t n = count < 0 ? (uint64_t)-(int64_t)count : (uint64_t)count * size; /* negative: bytes */

        if (block > UINT64_MAX / size || !area_read(channel->private_data, buf, n, block * size))
                return EXT2_ET_SHORT_READ;
        return 0;
}

static errcode_t read_blocks(io_channel channel, unsigned long block, int count, void *buf)
{
        return read_blocks64(channel, block, count, buf);
}

/* ---- files ---- */

struct ext *ext_open(const struct area *a)
{
        struct ext *e = malloc(sizeof(*e));

        if (!e)
                return NULL;
        opening = a;
        if (ext2fs_open2("", NULL, EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0, 0, &area_manager, &e->fs)) {
                free(e);
                return NULL;
        }
        return e;
}

void ext_close(struct ext *e)
{
        if (!e)
                return;
        ext2fs_free(e->fs); /* and not closed: that is for writing back */
        free(e);
}

/* A plain file; false: there is none at PATH that can be read. */
static bool find_file(struct ext *e, const char *path, ext2_ino_t *ret, uint64_t *ret_size)
{
        struct ext2_inode inode;
        ext2_ino_t ino;

        if (ext2fs_namei_follow(e->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &ino) ||
            ext2fs_read_inode(e->fs, ino, &inode) || !LINUX_S_ISREG(inode.i_mode) ||
            (inode.i_flags & EXT4_ENCRYPT_FL))
                return false;
        *ret = ino;
        *ret_size = EXT2_I_SIZE(&inode);
        return true;
}

/* Gives how much was read of SIZE bytes: 0 where nothing can be. */
static size_t read_start(struct ext *e, ext2_ino_t ino, char *buf, size_t size)
{
        ext2_file_t file;
        size_t done = 0;
        unsigned n;

        if (ext2fs_file_open(e->fs, ino, 0, &file))
                return 0;
        while (done < size) {
                if (ext2fs_file_read(file, buf + done, (unsigned)(size - done), &n)) {
                        done = 0;
                        break;
                }
                if (n == 0)
                        break;
                done += n;
        }
        (void)ext2fs_file_close(file);
        return done;
}

char *ext_read_file(struct ext *e, const char *path, size_t max, size_t *ret_len)
{
        uint64_t size;
        ext2_ino_t ino;
        char *text;
        size_t n;

        if (!find_file(e, path, &ino, &size) || size == 0 || size > max)
                return NULL;
        text = malloc(size + 1);
        n = text ? read_start(e, ino, text, size) : 0;
        if (n == 0) {
                free(text);
                return NULL;
        }
        text[n] = '\0';
        *ret_len = n;
        return text;
}

bool ext_read_start(struct ext *e, const char *path, void *buf, size_t n)
{
        uint64_t size;
        ext2_ino_t ino;

        return find_file(e, path, &ino, &size) && read_start(e, ino, buf, n) == n;
}

bool ext_is_built(void)
{
        return true;
}
