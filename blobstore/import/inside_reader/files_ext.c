/* SPDX-License-Identifier: MIT */

/*
 * Files of ext2, ext3 and ext4, by libext2fs. Directories are gone through block by block here: a place in one is then a
 * number that means the same each time, and what indexes them reads as entries that are not used. A name is looked for by the
 * index, as the kernel does, and in all blocks where that makes no sense.
 */

#include "blobstore/import/inside_reader/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blobstore/import/guest_reader/ext_priv.h"
#include "blobstore/import/inside_reader/name_index.h"

#define INLINE_START 60 /* of what is inside an inode, so much is where else the places of blocks are */
#define BMAPS_MAX    2048 /* of one question about a file without extents */
#define STEPS_MAX    (64u << 10) /* and about one with them */

static void *open_ext(const struct area *a)
{
        return ext_open(a);
}

static void close_ext(void *fs)
{
        ext_close(fs);
}

static uint32_t root_ext(void *fs)
{
        (void)fs;
        return EXT2_ROOT_INO;
}

/* ---- inodes ---- */

/* The library's names for the first fields are those of the small one. */
struct inode {
        union {
                struct ext2_inode small;
                struct ext2_inode_large large;
        };
};

/* As the kernel has it: of those below the first that is for files, only the root may have a name. */
static int read_inode(const struct ext *e, uint32_t node, struct inode *ret)
{
        if (node == 0 || node > e->fs->super->s_inodes_count ||
            (node != EXT2_ROOT_INO && node < EXT2_FIRST_INODE(e->fs->super)))
                return -EUCLEAN;
        memset(ret, 0, sizeof(*ret));
        return ext2fs_read_inode_full(e->fs, node, &ret->small, sizeof(ret->large)) ? -EUCLEAN : 0;
}

static bool has_extra(const struct ext *e, const struct inode *i, size_t end)
{
        return EXT2_INODE_SIZE(e->fs->super) > EXT2_GOOD_OLD_INODE_SIZE &&
               end <= (size_t)EXT2_GOOD_OLD_INODE_SIZE + i->large.i_extra_isize;
}
#define HAS(e, i, field) has_extra(e, i, offsetof(struct ext2_inode_large, field) + sizeof((i)->large.field))

static void set_time(int64_t *ret_s, uint32_t *ret_ns, uint32_t s, bool has, uint32_t extra)
{
        *ret_s = (int32_t)s + (has ? (int64_t)(extra & 3) << 32 : 0);
        *ret_ns = has && extra >> 2 < 1000000000 ? extra >> 2 : 0;
}

static int stat_ext(void *fs, uint32_t node, struct guest_attr *ret)
{
        const struct ext *e = fs;
        struct inode i;
        int r;

        r = read_inode(e, node, &i);
        if (r < 0)
                return r;
        *ret = (struct guest_attr){
                .node = node,
                .mode = i.small.i_mode,
                .uid = inode_uid(i.small),
                .gid = inode_gid(i.small),
                .nlink = i.small.i_links_count,
                .size = EXT2_I_SIZE(&i.small),
                .blocks = ext2fs_get_stat_i_blocks(e->fs, &i.small),
        };
        set_time(&ret->atime_s, &ret->atime_ns, i.small.i_atime, HAS(e, &i, i_atime_extra), i.large.i_atime_extra);
        set_time(&ret->mtime_s, &ret->mtime_ns, i.small.i_mtime, HAS(e, &i, i_mtime_extra), i.large.i_mtime_extra);
        set_time(&ret->ctime_s, &ret->ctime_ns, i.small.i_ctime, HAS(e, &i, i_ctime_extra), i.large.i_ctime_extra);
        /* As Linux says: tar takes what has no blocks for a hole. */
        if (LINUX_S_ISREG(i.small.i_mode) && (i.small.i_flags & EXT4_INLINE_DATA_FL))
                ret->blocks += (ret->size + 511) / 512;
        switch (ret->mode & S_IFMT) {
        case S_IFREG:
        case S_IFDIR:
        case S_IFLNK:
        case S_IFCHR:
        case S_IFBLK:
        case S_IFIFO:
        case S_IFSOCK:
                return ret->size <= INT64_MAX && ret->blocks <= INT64_MAX / 512 ? 0 : -EUCLEAN;
        default:
                return -EUCLEAN;
        }
}

/* What has its bytes in the inode: owned by the caller, release with free(). */
static int read_inline(const struct ext *e, uint32_t node, struct inode *i, char **ret, size_t *ret_len)
{
        char *buf;
        size_t n;

        if (ext2fs_inline_data_size(e->fs, node, &n) || n > GUEST_INLINE_MAX)
                return -EUCLEAN;
        buf = calloc(1, n + 1);
        if (!buf || ext2fs_inline_data_get(e->fs, node, &i->small, buf, &n)) {
                free(buf);
                return -EUCLEAN;
        }
        *ret = buf;
        *ret_len = n;
        return 0;
}

/* 0: a hole. */
static int find_block(const struct ext *e, uint32_t node, struct inode *i, uint64_t number, uint64_t *ret)
{
        blk64_t block = 0;
        int flags = 0;

        if (ext2fs_bmap2(e->fs, node, &i->small, NULL, 0, number, &flags, &block) ||
            block >= ext2fs_blocks_count(e->fs->super))
                return -EUCLEAN;
        *ret = flags & BMAP_RET_UNINIT ? 0 : block;
        return 0;
}

/* ---- directories ---- */

struct walk {
        const struct ext *e;
        uint64_t pos; /* what begins before it has been seen */
        file_name_fn *fn;
        void *ctx;
};

static uint32_t type_of(uint8_t filetype)
{
        static const uint32_t types[] = { 0, S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFLNK };

        return filetype < sizeof(types) / sizeof(types[0]) ? types[filetype] : 0;
}

static bool is_dot(const char *name, size_t n)
{
        return name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.'));
}

/* The entries in N bytes, which are at FROM in the directory. */
static int walk_entries(const struct walk *w, const char *buf, size_t n, uint64_t from)
{
        size_t at = 0;
        int r;

        while (n - at >= 8) {
                const struct ext2_dir_entry_2 *d = (const void *)(buf + at);
                const size_t here = at;
                unsigned len;

                if (ext2fs_get_rec_len(w->e->fs, (struct ext2_dir_entry *)(void *)(buf + at), &len) || len < 8 ||
                    len % 4 != 0 || len > n - at || d->name_len + 8U > len)
                        return -EUCLEAN;
                at += len;
                if (d->inode == 0 || from + here < w->pos)
                        continue;
                if (d->name_len == 0 || memchr(d->name, '/', d->name_len) || memchr(d->name, '\0', d->name_len))
                        return -EUCLEAN;
                if (is_dot(d->name, d->name_len))
                        continue;
                r = w->fn(w->ctx, &(struct file_name){ .name = d->name, .len = d->name_len, .node = d->inode,
                                                       .type = type_of(d->file_type), .next = from + at });
                if (r != 0)
                        return r;
        }
        return 0;
}

/* The first four bytes of a directory in an inode are the one that it is in. */
static int walk_inline(const struct walk *w, uint32_t dir, struct inode *i)
{
        char *buf;
        size_t n;
        int r;

        r = read_inline(w->e, dir, i, &buf, &n);
        if (r < 0)
                return r;
        r = n < 4 ? -EUCLEAN : walk_entries(w, buf + 4, (n < INLINE_START ? n : INLINE_START) - 4, 4);
        if (r == 0 && n > INLINE_START)
                r = walk_entries(w, buf + INLINE_START, n - INLINE_START, INLINE_START);
        free(buf);
        return r;
}

static int read_block(const struct ext *e, uint32_t dir, struct inode *i, uint64_t number, void *buf)
{
        uint64_t block;
        int r;

        r = find_block(e, dir, i, number, &block);
        if (r == 0 && (block == 0 || ext2fs_read_dir_block4(e->fs, block, buf, 0, dir)))
                r = -EUCLEAN;
        return r;
}

static int walk_block(const struct walk *w, uint32_t dir, struct inode *i, uint64_t number, void *buf)
{
        const uint64_t size = w->e->fs->blocksize;
        int r = read_block(w->e, dir, i, number, buf);

        return r < 0 ? r : walk_entries(w, buf, size, number * size);
}

static int read_dir_inode(const struct ext *e, uint32_t dir, struct inode *ret)
{
        int r;

        r = read_inode(e, dir, ret);
        if (r < 0)
                return r;
        if (!LINUX_S_ISDIR(ret->small.i_mode))
                return -ENOTDIR;
        return ret->small.i_flags & EXT4_ENCRYPT_FL ? -EOPNOTSUPP : 0;
}

static int walk_ext(void *fs, uint32_t dir, uint64_t pos, file_name_fn *fn, void *ctx)
{
        const struct walk w = { .e = fs, .pos = pos, .fn = fn, .ctx = ctx };
        const uint64_t size = w.e->fs->blocksize;
        struct inode i;
        void *buf;
        int r;

        r = read_dir_inode(w.e, dir, &i);
        if (r < 0)
                return r;
        if (i.small.i_flags & EXT4_INLINE_DATA_FL)
                return walk_inline(&w, dir, &i);
        if (EXT2_I_SIZE(&i.small) > DIRECTORY_BYTES_MAX)
                return -EUCLEAN;
        buf = malloc(size);
        if (!buf)
                return -EUCLEAN;
        for (uint64_t n = pos / size; r == 0 && n < EXT2_I_SIZE(&i.small) / size; n++)
                r = walk_block(&w, dir, &i, n, buf);
        free(buf);
        return r;
}

/* ---- by the index ---- */

struct indexed {
        const struct walk *w;
        uint32_t dir;
        struct inode inode;
        void *buf;
};

/* An index_read_fn. */
static int read_index_block(void *ctx, uint32_t block, void *buf)
{
        struct indexed *d = ctx;

        if (block >= EXT2_I_SIZE(&d->inode.small) / d->w->e->fs->blocksize)
                return -EUCLEAN;
        return read_block(d->w->e, d->dir, &d->inode, block, buf);
}

static bool has_index(const struct ext *e, const struct inode *i)
{
        return ext2fs_has_feature_dir_index(e->fs->super) && (i->small.i_flags & EXT2_INDEX_FL) &&
               !(i->small.i_flags & (EXT4_INLINE_DATA_FL | EXT4_CASEFOLD_FL));
}

/* -EUCLEAN: the library knows no such hash. */
static int hash_name(const struct ext *e, unsigned kind, const char *name, size_t len, uint32_t *ret)
{
        ext2_dirhash_t hash, minor;

        if (kind > EXT2_HASH_TEA)
                return -EUCLEAN;
        if (e->fs->super->s_flags & EXT2_FLAGS_UNSIGNED_HASH)
                kind += EXT2_HASH_LEGACY_UNSIGNED;
        if (ext2fs_dirhash((int)kind, name, (int)len, e->fs->super->s_hash_seed, &hash, &minor))
                return -EUCLEAN;
        *ret = hash;
        return 0;
}

/* The blocks that NAME may be in. */
static int walk_indexed(struct indexed *d, const char *name, size_t len)
{
        const struct ext *e = d->w->e;
        uint64_t left = EXT2_I_SIZE(&d->inode.small) / e->fs->blocksize; /* there are no more, so that circles end */
        struct name_index x;
        uint32_t hash, block;
        bool all = false;
        unsigned kind;
        int r;

        r = index_open(&x, read_index_block, d, e->fs->blocksize, &kind);
        if (r == 0)
                r = hash_name(e, kind, name, len, &hash);
        if (r == 0)
                r = index_first(&x, hash, &block);
        while (r == 0) {
                r = left-- > 0 ? read_index_block(d, block, d->buf) : -EUCLEAN;
                if (r == 0)
                        r = walk_entries(d->w, d->buf, e->fs->blocksize, (uint64_t)block * e->fs->blocksize);
                if (r != 0)
                        break;
                r = index_next(&x, hash, &block);
                all = r > 0;
        }
        index_close(&x);
        return all ? 0 : r;
}

static int walk_to_ext(void *fs, uint32_t dir, const char *name, size_t len, file_name_fn *fn, void *ctx)
{
        const struct walk w = { .e = fs, .fn = fn, .ctx = ctx };
        struct indexed d = { .w = &w, .dir = dir };
        int r;

        r = read_dir_inode(w.e, dir, &d.inode);
        if (r < 0)
                return r;
        if (!has_index(w.e, &d.inode))
                return -ENOSYS;
        d.buf = malloc(w.e->fs->blocksize);
        r = d.buf ? walk_indexed(&d, name, len) : -EUCLEAN;
        free(d.buf);
        return r == -EUCLEAN ? -ENOSYS : r;
}

/* ---- what a directory is in ---- */

/* ".." is the second entry of a directory's first block, whatever is in it besides. */
static int find_above(const struct ext *e, uint32_t node, uint32_t *ret)
{
        struct inode i;
        uint64_t block;
        uint8_t *buf;
        int r;

        r = read_dir_inode(e, node, &i);
        if (r == 0 && (i.small.i_flags & EXT4_INLINE_DATA_FL)) {
                *ret = i.small.i_block[0];
                return 0;
        }
        if (r == 0)
                r = find_block(e, node, &i, 0, &block);
        if (r < 0)
                return r;
        buf = block ? malloc(e->fs->blocksize) : NULL;
        if (!buf || ext2fs_read_dir_block4(e->fs, block, buf, 0, node) || buf[8] != '.' || buf[4] != 12 || buf[5] != 0)
                r = -EUCLEAN;
        else
                memcpy(ret, buf + 12, sizeof(*ret)); /* as the library gives it: of this machine's order */
        free(buf);
        return r;
}

/* What is encrypted is shown, and not what is in it. */
static int is_in_ext(void *fs, uint32_t node, uint32_t dir)
{
        uint32_t above;
        int r = find_above(fs, node, &above);

        if (r == -EOPNOTSUPP)
                return 0;
        return r < 0 ? r : above == dir ? 0 : -EUCLEAN;
}

/* ---- links ---- */

static int link_ext(void *fs, uint32_t node, char *ret, size_t *ret_len)
{
        const struct ext *e = fs;
        struct inode i;
        uint64_t block, size;
        char *buf = NULL;
        size_t n;
        int r;

        r = read_inode(e, node, &i);
        if (r < 0)
                return r;
        if (!LINUX_S_ISLNK(i.small.i_mode))
                return -EINVAL;
        if (i.small.i_flags & EXT4_ENCRYPT_FL)
                return -EOPNOTSUPP;
        size = EXT2_I_SIZE(&i.small);
        if (size == 0 || size > GUEST_LINK_MAX)
                return -EUCLEAN;
        if (i.small.i_flags & EXT4_INLINE_DATA_FL) {
                r = read_inline(e, node, &i, &buf, &n);
        } else if (ext2fs_is_fast_symlink(&i.small)) {
                n = sizeof(i.small.i_block);
                buf = malloc(n);
                r = buf ? 0 : -EUCLEAN;
                if (r == 0)
                        memcpy(buf, i.small.i_block, n);
        } else {
                r = find_block(e, node, &i, 0, &block);
                n = e->fs->blocksize;
                buf = r == 0 && block ? malloc(n) : NULL;
                if (!buf || io_channel_read_blk64(e->fs->io, block, 1, buf))
                        r = -EUCLEAN;
        }
        if (r == 0 && size > n)
                r = -EUCLEAN;
        if (r == 0) {
                memcpy(ret, buf, size);
                *ret_len = size;
        }
        free(buf);
        return r;
}

/* ---- where files are ---- */

/* False: there is no more room. */
static bool add_extent(const struct ext *e, struct guest_map *m, uint64_t first, uint64_t n, uint64_t block)
{
        const uint64_t size = e->fs->blocksize;
        struct guest_extent *last = m->n > 0 ? &m->extent[m->n - 1] : NULL;

        if (last && last->off + last->len == first * size && last->at + last->len == block * size) {
                last->len += n * size;
                return true;
        }
        if (m->n == GUEST_EXTENTS_MAX)
                return false;
        m->extent[m->n++] = (struct guest_extent){ .off = first * size, .len = n * size, .at = block * size };
        return true;
}

/*
 * Takes one that is a leaf into the map. 1: the map ends before it. What the library shows a second time is passed over: it
 * goes down again into what it was sent to, when it comes up from there.
 */
static int take_extent(const struct ext *e, const struct ext2fs_extent *x, uint64_t first, uint64_t *from,
                       struct guest_map *m)
{
        const uint64_t blocks = ext2fs_blocks_count(e->fs->super);

        if (x->e_len == 0 || x->e_lblk > UINT32_MAX || x->e_pblk >= blocks || x->e_len > blocks - x->e_pblk)
                return -EUCLEAN;
        if (x->e_lblk + x->e_len <= *from)
                return 0;
        if (x->e_lblk < *from)
                return -EUCLEAN;
        if (x->e_lblk + x->e_len > first && !(x->e_flags & EXT2_EXTENT_FLAGS_UNINIT) &&
            !add_extent(e, m, x->e_lblk, x->e_len, x->e_pblk)) {
                m->end = x->e_lblk * e->fs->blocksize;
                return 1;
        }
        *from = x->e_lblk + x->e_len;
        return 0;
}

static int map_extents(const struct ext *e, uint32_t node, struct inode *i, uint64_t first, struct guest_map *m)
{
        struct ext2fs_extent x;
        ext2_extent_handle_t h;
        uint64_t from = 0;
        errcode_t error;
        int r = 0;

        if (ext2fs_extent_open2(e->fs, node, &i->small, &h))
                return -EUCLEAN;
        error = ext2fs_extent_goto(h, first); /* or to the one before, where that is a hole */
        if (error == 0 || error == EXT2_ET_EXTENT_NOT_FOUND)
                error = ext2fs_extent_get(h, EXT2_EXTENT_CURRENT, &x);
        m->end = UINT64_MAX;
        for (unsigned steps = 0; r == 0 && error == 0; steps++) {
                if (x.e_flags & EXT2_EXTENT_FLAGS_LEAF)
                        r = take_extent(e, &x, first, &from, m);
                if (r == 0 && steps == STEPS_MAX) { /* of what is not written yet, or of a tree without end */
                        m->end = from * e->fs->blocksize;
                        r = from > first ? 1 : -EUCLEAN;
                }
                if (r == 0)
                        error = ext2fs_extent_get(h, EXT2_EXTENT_NEXT, &x);
        }
        if (error && error != EXT2_ET_EXTENT_NO_NEXT && error != EXT2_ET_NO_CURRENT_NODE)
                r = -EUCLEAN;
        ext2fs_extent_free(h);
        return r < 0 ? r : 0;
}

static int map_blocks(const struct ext *e, uint32_t node, struct inode *i, uint64_t first, struct guest_map *m)
{
        const uint64_t size = e->fs->blocksize, all = (EXT2_I_SIZE(&i->small) + size - 1) / size;
        uint64_t n, block;

        for (n = first; n < all && n - first < BMAPS_MAX; n++) {
                int r = find_block(e, node, i, n, &block);

                if (r < 0)
                        return r;
                if (block && !add_extent(e, m, n, 1, block))
                        break;
        }
        m->end = n < all ? n * size : UINT64_MAX;
        return 0;
}

static int map_inline(const struct ext *e, uint32_t node, struct inode *i, struct guest_map *m)
{
        char *buf;
        size_t n;
        int r;

        r = read_inline(e, node, i, &buf, &n);
        if (r < 0)
                return r;
        memcpy(m->bytes, buf, n);
        m->inline_len = (uint32_t)n;
        m->end = UINT64_MAX;
        free(buf);
        return 0;
}

static int map_ext(void *fs, uint32_t node, uint64_t off, struct guest_map *m)
{
        const struct ext *e = fs;
        struct inode i;
        int r;

        r = read_inode(e, node, &i);
        if (r < 0)
                return r;
        if (!LINUX_S_ISREG(i.small.i_mode))
                return -EINVAL;
        if (i.small.i_flags & (EXT4_ENCRYPT_FL | EXT2_COMPRBLK_FL))
                return -EOPNOTSUPP;
        if (i.small.i_flags & EXT4_INLINE_DATA_FL)
                return map_inline(e, node, &i, m);
        if (i.small.i_flags & EXT4_EXTENTS_FL)
                return map_extents(e, node, &i, off / e->fs->blocksize, m);
        return map_blocks(e, node, &i, off / e->fs->blocksize, m);
}

const struct files_ops ext_files = {
        .open = open_ext,
        .close = close_ext,
        .root = root_ext,
        .stat = stat_ext,
        .walk = walk_ext,
        .walk_to = walk_to_ext,
        .is_in = is_in_ext,
        .link = link_ext,
        .map = map_ext,
};
