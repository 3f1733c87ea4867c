/* SPDX-License-Identifier: MIT */

/*
 * /etc/fstab in an ext2, ext3 or ext4 file system, read by libext2fs. Symbolic links are followed by the library
 * within the file system, and not far. The journal is not replayed: what a guest that was switched off changed in its
 * last seconds may be missing.
 */

#include <stdlib.h>

#include <ext2fs/ext2fs.h>

#include "blobstore/import/fstab_reader/reader.h"

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

/* ---- the file ---- */

static char *read_file(ext2_filsys fs, ext2_ino_t ino, size_t size, size_t *ret_len)
{
        ext2_file_t file;
        unsigned len;
        char *text;

        if (ext2fs_file_open(fs, ino, 0, &file))
                return NULL;
        text = malloc(size);
        if (text && ext2fs_file_read(file, text, (unsigned)size, &len)) {
                free(text);
                text = NULL;
        }
        (void)ext2fs_file_close(file);
        if (text)
                *ret_len = len;
        return text;
}

char *ext_read_fstab(const struct area *a, size_t *ret_len)
{
        struct ext2_inode inode;
        ext2_filsys fs;
        ext2_ino_t ino;
        char *text = NULL;

        opening = a;
        if (ext2fs_open2("", NULL, EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0, 0, &area_manager, &fs))
                return NULL;
        if (ext2fs_namei_follow(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, "/etc/fstab", &ino) == 0 &&
            ext2fs_read_inode(fs, ino, &inode) == 0 && LINUX_S_ISREG(inode.i_mode) && EXT2_I_SIZE(&inode) > 0 &&
            EXT2_I_SIZE(&inode) <= FSTAB_BYTES_MAX && !(inode.i_flags & EXT4_ENCRYPT_FL))
                text = read_file(fs, ino, EXT2_I_SIZE(&inode), ret_len);
        ext2fs_free(fs); /* and not closed: that is for writing back */
        return text;
}
