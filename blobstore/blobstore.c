/* SPDX-License-Identifier: MIT */

/*
 * A store's directory:
 *
 *      format          "imagefs blob store 4", and the store's id in 32 hex digits with a hash; written last when a
 *                      store is made, so that it tells a whole one; "format.next" while an older one is brought to this
 *      lock            held with flock(2) by the process that has the store open, shared by those that only look
 *      index.db        see chunks/index.h; beside it its WAL, index.stale where it has to be made again, and
 *                      index.short where that could not count everything
 *      state           whether the index is current; see chunks/index_state.h
 *      segments/       see chunks/segment.h
 *      moved/          see chunks/moves.h
 *      maps/ab/<id>    see blobs/map.h; by the first byte of the id; "<id>.dead" while a removed one is taken back
 *      temp/           maps being written; emptied when the store is opened
 *      incoming/       the caller's
 *      catalogue/      likewise; made when it is needed
 *      claim           of one in a bucket: see objects/claim.h
 *      ranges          likewise: what was read there, and in ranges.index which; see objects/range_cache.h
 *      owner           the library that it belongs to; see owner.c
 *      reserve         space for the index to work with when the disk is full; see blobs/gc.c
 *      disks/          see disks/disk_files.c
 *
 * and, of one in a bucket, there:
 *
 *      format          as above: whose it is
 *      claim/<number>  which copy of it has it; see objects/claim.h
 *      segments/       those that were sealed; see chunks/segment_far.c
 *      maps/ab/<id>    of the blobs that are live
 *
 * Opening reads a few rows of the index, and the names in temp/; after a crash also those of segments and maps, to tell
 * it from an index that is older than the store.
 */

#include "blobstore/blobstore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "blobstore/base/parse.h"
#include "blobstore/blobs/account.h"
#include "blobstore/blobs/store.h"
#include "blobstore/disks/disks.h"
#include "blobstore/hash/hash.h"
#include "blobstore/store_bucket_priv.h"

/*
 * 2: segments do not describe themselves, and the index is made again, all of it. 3: no map borrows pages of another,
 * and the index has no table for that; nothing else differs.
 */
#define FORMAT_VERSION 4
#define FORMAT_REMAKE 3 /* the index of an older one is made again */
#define FORMAT_PREFIX "imagefs blob store "
#define FORMAT_TEXT_2 FORMAT_PREFIX "2\n"
#define FORMAT_TEXT FORMAT_PREFIX "%d\nid "
/* The id's digits, and a hash of it: another id would make every segment somebody else's. */
#define FORMAT_SIZE (sizeof(FORMAT_TEXT) + 2 * STORE_ID_SIZE + 1 + 16 + 1) /* of numbers up to 99 */

#define CACHE_DIR "cache"
#define CACHE_BYTES_DEFAULT (UINT64_C(64) << 20)
#define THREADS_MAX 256

static const char *const store_dirs[] = { "segments", "moved", "maps", "temp", "incoming", "disks" };

/* What a crash during creation may leave, so that creating goes on there. */
static const char *const store_files[] = {
        "lock",        "format.tmp",      "index.db",    "index.db.new",    "index.db-journal", "index.db-wal",
        "index.stale", "index.stale.tmp", "index.short", "index.short.tmp", "reserve",          "owner",
        "owner.tmp",   "state",           "state.tmp",   "format.next",     "format.next.tmp",  RANGES_FILE,
        RANGES_FILE ".index",
};

static int open_subdir(int dir_fd, const char *name, int *ret)
{
        int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return errno == ENOENT || errno == ENOTDIR ? -EUCLEAN : -errno;
        *ret = fd;
        return 0;
}

/* Is it what creation makes? -EUCLEAN. */
static int store_check_creatable_name(void *ctx, const char *name)
{
        (void)ctx;
        for (size_t i = 0; i < sizeof(store_dirs) / sizeof(store_dirs[0]); i++)
                if (strcmp(name, store_dirs[i]) == 0)
                        return 0;
        for (size_t i = 0; i < sizeof(store_files) / sizeof(store_files[0]); i++)
                if (strcmp(name, store_files[i]) == 0)
                        return 0;
        return -EUCLEAN;
}

/* ---- the format ---- */

static size_t store_print_format(int version, const uint8_t id[STORE_ID_SIZE], char ret[FORMAT_SIZE + 1])
{
        char digits[2 * STORE_ID_SIZE + 1];

        put_hex(digits, id, STORE_ID_SIZE);
        return (size_t)snprintf(ret, FORMAT_SIZE + 1, FORMAT_TEXT "%s %016" PRIx64 "\n", version, digits,
                                hash64(id, STORE_ID_SIZE, (uint64_t)version));
}

/*
 * The version that the text tells. -EUCLEAN: it is damaged; so it is where all but the number is a known version's.
 * -EPROTONOSUPPORT: of another version, whatever that writes behind the number.
 */
static int store_parse_format(const char *text, uint8_t ret_id[STORE_ID_SIZE])
{
        static const char id_word[] = "\nid ";
        const char *number = text + strlen(FORMAT_PREFIX), *rest = text + strcspn(text, "\n");
        const size_t digits = 2 * (size_t)STORE_ID_SIZE;
        char should[FORMAT_SIZE + 1];
        size_t known;
        bool has_id;

        if (strcmp(text, FORMAT_TEXT_2) == 0)
                return 2;
        if (strncmp(text, FORMAT_PREFIX, strlen(FORMAT_PREFIX)) != 0 || *rest != '\n' ||
            number + strspn(number, "0123456789") != rest || number == rest)
                return -EUCLEAN;
        has_id = strncmp(rest, id_word, strlen(id_word)) == 0 && strlen(rest) >= strlen(id_word) + digits &&
                 parse_hex(rest + strlen(id_word), digits, ret_id) == 0;
        for (int version = 3; version <= FORMAT_VERSION; version++) {
                (void)store_print_format(version, ret_id, should);
                if (has_id && strcmp(text, should) == 0)
                        return version;
                known = strcspn(should, "\n");
                if ((has_id && strcmp(rest, should + known) == 0) ||
                    (known == (size_t)(rest - text) && strncmp(text, should, known) == 0))
                        return -EUCLEAN;
        }
        return -EPROTONOSUPPORT;
}

/* Gives the version; 0: there is none. */
static int store_read_format(int dir_fd, const char *name, uint8_t ret_id[STORE_ID_SIZE])
{
        CLEANUP_CLOSE int fd = -1;
        char text[FORMAT_SIZE + 1] = { 0 };
        ssize_t n;

        fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        n = pread_full(fd, text, sizeof(text) - 1, 0);
        if (n < 0)
                return (int)n;
        return store_parse_format(text, ret_id);
}

static int store_write_format(struct blobstore *bs, const char *name, const uint8_t id[STORE_ID_SIZE])
{
        char text[FORMAT_SIZE + 1];
        size_t n = store_print_format(FORMAT_VERSION, id, text);

        return write_file_durable(bs->dir_fd, name, text, n, 0600);
}

/*
 * The id that the store of version VERSION will have, or has, noted before anything is written that carries it: an
 * interrupted migration, or creation, goes on with the same, also one that an older program began.
 */
static int store_choose_id(struct blobstore *bs, int version, uint8_t id[STORE_ID_SIZE])
{
        int r;

        if (version < 3) {
                r = store_read_format(bs->dir_fd, FORMAT_NEXT, id);
                if (r == FORMAT_VERSION)
                        return 0;
                if (r < 0 && r != -EUCLEAN)
                        return r;
                if (r < 3 && getrandom(id, STORE_ID_SIZE, 0) != STORE_ID_SIZE)
                        return -EIO;
        }
        return store_write_format(bs, FORMAT_NEXT, id);
}

static int store_finish_format(struct blobstore *bs)
{
        if (renameat(bs->dir_fd, FORMAT_NEXT, bs->dir_fd, FORMAT_FILE) < 0)
                return -errno;
        return fsync_dir(bs->dir_fd);
}

/* ---- opening ---- */

static int store_open_dir(const char *dir, const struct blobstore_opts *opts, int *ret)
{
        CLEANUP_CLOSE int parent = -1;
        int fd;

        if (!opts->read_only && !opts->existing && mkdir(dir, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret = fd;
        if (opts->read_only)
                return 0;

        /* Its name in the parent must be durable before anything in it is acknowledged. */
        parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0)
                return errno == EACCES ? 0 : -errno; /* then it was not made by us just now */
        return fsync_dir(parent);
}

static int store_lock(struct blobstore *bs)
{
        struct stat st;

        bs->lock_fd = openat(bs->dir_fd, "lock", (bs->read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC | O_NOFOLLOW,
                             0600);
        if (bs->lock_fd < 0)
                return bs->read_only && errno == ENOENT ? -EUCLEAN : -errno;
        if (flock(bs->lock_fd, (bs->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : -errno;
        if (!bs->read_only && futimens(bs->lock_fd, NULL) < 0)
                return -errno;
        if (fstat(bs->lock_fd, &st) < 0)
                return -errno;
        bs->opened = st.st_mtim;
        return 0;
}

int blobstore_hold(const struct blobstore *bs)
{
        int r;

        do {
                r = flock(bs->lock_fd, (bs->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB);
        } while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : 0;
}

static int store_open_subdirs(struct blobstore *bs)
{
        int disks_fd, *const fds[] = { &bs->segments_fd, &bs->moved_fd,    &bs->maps_fd,
                                       &bs->temp_fd,     &bs->incoming_fd, &disks_fd };
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof(fds) / sizeof(fds[0]); i++)
                r = open_subdir(bs->dir_fd, store_dirs[i], fds[i]);
        return r < 0 ? r : disks_open(bs, disks_fd);
}

static int store_create(struct blobstore *bs)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof(store_dirs) / sizeof(store_dirs[0]); i++)
                r = mkdir_durable(bs->dir_fd, store_dirs[i], 0700);
        return r;
}

static int store_remove_temp(void *ctx, const char *name)
{
        const struct blobstore *bs = ctx;

        return name[0] != '.' && unlinkat(bs->temp_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* Is the index the one that goes with the store? 1: yes; 0: it has been closed, to be made again. */
static int store_check_index(struct blobstore *bs)
{
        int r = 1;

        if (!index_is_certain(bs->chunks->index))
                r = account_fits(bs);
        if (r < 0)
                return r;
        if (r > 0) {
                r = index_recover(bs->chunks->index, bs->chunks->moves);
                return r < 0 && r != -ENOSPC ? r : 1; /* on a full disk it waits for the next opening */
        }
        return chunk_store_forget_index(bs->chunks);
}

static int store_rebuild_index(struct blobstore *bs)
{
        int r;

        r = rebuild_index(bs);
        if (r == 0)
                r = chunk_store_open_index(bs->chunks);
        return r < 0 ? r : index_recover(bs->chunks->index, bs->chunks->moves);
}

static int store_open_index(struct blobstore *bs, bool remake)
{
        int r = 0;

        if (remake)
                return store_rebuild_index(bs);
        if (!bs->read_only && account_is_short(bs))
                r = index_mark_stale(bs->dir_fd); /* perhaps all can be read by now */
        if (r == 0)
                r = chunk_store_open_index(bs->chunks);
        if (r == 0 && !bs->read_only) {
                r = store_check_index(bs);
                if (r != 0)
                        return r < 0 ? r : 0;
                r = -EUCLEAN;
        }
        if (r != -ENOENT && r != -EUCLEAN)
                return r;
        if (bs->read_only)
                return 0; /* left to the check to tell */
        return store_rebuild_index(bs);
}

/*
 * The cache of decoded blocks: in the store, where it lies on no disk that was not meant for images, and goes with
 * them; or in a directory of the store's own, as many stores can have theirs in one place. A store that nothing may be
 * written to, or whose file system is not made for it, is without one unless a place was named.
 */
static void store_open_blocks(struct blobstore *bs, const char *dir, const struct blobstore_caches *caches)
{
        char name[sizeof("imagefs-") + 2 * STORE_ID_SIZE] = "imagefs-";
        bool inside = !caches->dir;
        int r;

        if (caches->disk_bytes == 0 || (inside && bs->read_only))
                return;
        put_hex(name + strlen(name), bs->chunks->id, STORE_ID_SIZE);
        r = block_cache_new(inside ? dir : caches->dir, inside ? CACHE_DIR : name, caches->disk_bytes,
                            &bs->chunks->blocks);
        bs->blocks_inside = r == 0 && inside;
        bs->chunks->blocks_error = r == -EOPNOTSUPP && inside ? 0 : r;
}

static int store_open_parts(struct blobstore *bs, const char *dir, const struct blobstore_opts *opts)
{
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        unsigned threads = opts->threads ? opts->threads : processors > 0 ? (unsigned)processors : 1;
        uint8_t id[STORE_ID_SIZE] = { 0 };
        char format[FORMAT_SIZE + 1];
        int version, r;

        version = store_read_format(bs->dir_fd, FORMAT_FILE, id);
        if (version < 0)
                return version;
        if (version == 0 && opts->existing)
                return -ENOENT;
        if (version == 0 && bs->read_only)
                return -EUCLEAN;
        if (version != 0 && version < FORMAT_VERSION && (bs->read_only || opts->as_it_is))
                return -ESTALE;
        if (version == 0) {
                r = dir_each(bs->dir_fd, ".", store_check_creatable_name, NULL);
                if (r < 0)
                        return r;
        }

        r = store_lock(bs);
        if (r == 0 && version < FORMAT_VERSION)
                r = store_choose_id(bs, version, id);
        if (r == 0 && version < FORMAT_VERSION)
                r = store_create(bs);
        if (r == 0)
                r = store_open_subdirs(bs);
        if (r == 0 && !bs->read_only)
                r = dir_each(bs->temp_fd, ".", store_remove_temp, bs);
        if (r == 0)
                r = store_bucket_ranges(bs, id, &opts->caches);
        if (r == 0)
                r = chunk_store_new(bs->dir_fd, bs->segments_fd, bs->moved_fd, id, bs->read_only,
                                    bs->far.bucket ? &bs->far : NULL,
                                    opts->caches.memory_bytes ? opts->caches.memory_bytes : CACHE_BYTES_DEFAULT,
                                    threads < THREADS_MAX ? threads : THREADS_MAX, &bs->chunks);
        (void)store_print_format(FORMAT_VERSION, id, format);
        if (r == 0 && version > 0)
                r = store_bucket_expect(bs, format); /* before what opening the index may remove there */
        if (r == 0)
                r = store_open_index(bs, version < FORMAT_REMAKE || (opts->remake && !bs->read_only));
        if (r == 0 && !bs->read_only)
                gc_fill_reserve(bs);
        if (r == 0 && version < FORMAT_VERSION)
                r = store_finish_format(bs);
        if (r == 0)
                r = store_bucket_claim(bs, format, opts);
        if (r == 0)
                store_open_blocks(bs, dir, &opts->caches);
        return r;
}

int blobstore_open(const char *dir, const struct blobstore_opts *opts, struct blobstore **ret)
{
        struct blobstore_opts found = *opts;
        struct blobstore *bs;
        int r;

        bs = store_new(opts->read_only);
        if (!bs)
                return -ENOMEM;
        bs->progress = opts->progress;
        bs->progress_ctx = opts->progress_ctx;
        bs->kept = bs->read_only ? NULL : opts->kept;
        r = store_bucket_open(bs, dir, opts);
        if (r > 0)
                found.existing = false;
        if (r >= 0)
                r = store_open_dir(dir, &found, &bs->dir_fd);
        if (r == 0)
                r = store_open_parts(bs, dir, &found);
        if (r == 0)
                r = disks_adopt(bs);
        if (r < 0) {
                if (bs->far.bucket && opts->why && opts->why->len == 0)
                        (void)bucket_is_away(bs->far.bucket, opts->why);
                blobstore_close(bs);
                return r;
        }
        *ret = bs;
        return 0;
}

void blobstore_close(struct blobstore *bs)
{
        if (!bs)
                return;
        disks_close(bs);
        store_free(bs);
}

int blobstore_get_stats(struct blobstore *bs, struct blobstore_stats *ret)
{
        return bs->chunks->index ? index_stats(bs->chunks->index, ret) : -EBADMSG;
}

void blobstore_get_reads(struct blobstore *bs, struct blobstore_reads *ret)
{
        *ret = (struct blobstore_reads){
                .cache_hits = atomic_load_explicit(&bs->chunks->cache_hits, memory_order_relaxed),
                .cache_misses = atomic_load_explicit(&bs->chunks->cache_misses, memory_order_relaxed),
        };
}

void blobstore_get_disk_cache(struct blobstore *bs, struct block_cache_stats *ret)
{
        *ret = (struct block_cache_stats){ 0 };
        if (bs->chunks->blocks)
                block_cache_get_stats(bs->chunks->blocks, ret);
}

int blobstore_disk_cache_error(const struct blobstore *bs)
{
        return bs->chunks->blocks_error;
}

int blobstore_free_bytes(struct blobstore *bs, uint64_t *ret)
{
        struct block_cache_stats cache = { 0 };
        struct statvfs st;

        if (bs->chunks->blocks)
                block_cache_keep_room(bs->chunks->blocks); /* it may be on the same disk */
        if (fstatvfs(bs->dir_fd, &st) < 0)
                return -errno;
        if (bs->blocks_inside)
                block_cache_get_stats(bs->chunks->blocks, &cache);
        *ret = (uint64_t)st.f_bavail * st.f_frsize + cache.bytes;
        return 0;
}

int blobstore_disk_bytes(struct blobstore *bs, uint64_t *ret)
{
        struct statvfs st;

        if (fstatvfs(bs->dir_fd, &st) < 0)
                return -errno;
        *ret = (uint64_t)st.f_blocks * st.f_frsize;
        return 0;
}

bool blobstore_is_degraded(struct blobstore *bs)
{
        return atomic_load(&bs->chunks->degraded);
}

bool blobstore_withholds(struct blobstore *bs)
{
        return atomic_load(&bs->accounted) < 0;
}

int blobstore_incoming_dir(struct blobstore *bs)
{
        return bs->incoming_fd;
}

int blobstore_dir(struct blobstore *bs)
{
        return bs->dir_fd;
}

int blobstore_each(struct blobstore *bs, blob_each_fn *fn, void *ctx)
{
        struct index_blob page[64];
        struct blob_id after;
        int n, r;

        if (!bs->chunks->index)
                return -EBADMSG;
        for (n = index_blob_list(bs->chunks->index, true, NULL, page, 64); n > 0;
             n = index_blob_list(bs->chunks->index, true, &after, page, 64)) {
                for (int i = 0; i < n; i++) {
                        r = fn(ctx, &page[i].id, &page[i].info);
                        if (r < 0)
                                return r;
                }
                after = page[n - 1].id;
        }
        return n;
}

struct disk_report {
        blobstore_problem_fn *report;
        void *ctx;
        int problems;
};

static void report_disk(void *ctx, const char *text)
{
        struct disk_report *d = ctx;

        d->problems++;
        d->report(d->ctx, BLOBSTORE_PROBLEM_DISK, NULL, text);
}

int blobstore_check(struct blobstore *bs, bool read_data, blobstore_problem_fn *report, void *ctx)
{
        struct disk_report disks = { report, ctx, 0 };
        int problems, r;

        problems = blob_check_all(bs, read_data, report, ctx);
        if (problems < 0)
                return problems;
        r = disks_check(bs, report_disk, &disks);
        return r < 0 ? r : problems + disks.problems;
}
