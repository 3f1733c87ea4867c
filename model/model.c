/* SPDX-License-Identifier: MIT */

/*
 * Opening and closing a library. Its directory:
 *
 *      imagefs.db (-wal)   the database; -shm: an earlier version's, removed
 *      lock                locked while somebody has the library open
 *      blobs/              its own blob store
 *
 * The order at start: the lock, the database, the stores, what uploads and disks a crash left, and then the workers,
 * which take up the tasks that were running.
 */

#include "model/model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>

#include "blobstore/base/io.h"
#include "model/core/jobs.h"
#include "model/core/private.h"
#include "model/image/listing_cache.h"
#include "model/intake/uploads.h"
#include "model/machine/volume_gate.h"
#include "model/machine/volume_row.h"
#include "model/statements.h"
#include "model/work/runner.h"

#define LOCK_FILE       "lock"
#define DIR_MODE        0700 /* it holds everybody's images */
#define DEFAULT_WORKERS 2

/* How long a daemon that was unmounted may take to begin closing its library, and to have closed it. */
#define LOCK_PATIENCE_MS  3000
#define CLOSE_PATIENCE_MS 60000
#define CLOSING           " closing"

/* How long what a killed daemon had forked may live, and how often it is looked whether it does. */
#define ORPHAN_PATIENCE_MS 2000
#define ORPHAN_MOMENT_MS   10

/* ---- opening ---- */

static bool may_lie_beside(const char *name)
{
        static const char *const names[] = { ".", "..", LOCK_FILE, STORES_OWN_DIR, "lost+found" };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (strcmp(name, names[i]) == 0)
                        return true;
        }
        return strncmp(name, DB_FILE, strlen(DB_FILE)) == 0;
}

/* A directory of something else is left alone. What a start that was cut off leaves behind is fine. */
static int check_contents(int dir_fd, const char *path, struct diag *diag)
{
        const struct dirent *e;
        int r = 0;
        DIR *d;
        int fd;

        if (faccessat(dir_fd, DB_FILE, F_OK, 0) == 0)
                return 0;
        fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        d = fdopendir(fd);
        if (!d) {
                r = -errno;
                (void)close(fd);
                return r;
        }
        while (r == 0 && (e = readdir(d))) {
                if (!may_lie_beside(e->d_name))
                        r = diag_set(diag, -EUCLEAN, "%s: not a library, and not empty: choose an empty directory",
                                     path);
        }
        (void)closedir(d);
        return r;
}

/* The lock file says which process has the library open, and whether it is closing it. */
static int write_holder(int lock_fd, const char *what)
{
        char text[32];
        int n = snprintf(text, sizeof(text), "%ld%s", (long)getpid(), what);

        if (ftruncate(lock_fd, 0) < 0)
                return -errno;
        return pwrite_full(lock_fd, text, (size_t)n, 0);
}

static bool read_holder(int lock_fd, pid_t *ret, bool *ret_closing)
{
        char text[32] = { 0 };
        uint64_t pid;
        char *what;

        if (pread_full(lock_fd, text, sizeof(text) - 1, 0) < 0)
                return false;
        what = strchrnul(text, ' ');
        *ret_closing = strcmp(what, CLOSING) == 0;
        *what = '\0';
        if (parse_u64(text, &pid) < 0 || pid > INT_MAX)
                return false;
        *ret = (pid_t)pid;
        return true;
}

/*
 * The process that had the lock is dead, but not what it was just forking, which has the lock until it executes
 * something else, or finds that it has no parent. Who that is cannot be known, so it cannot be waited for by name.
 */
static void await_orphans(int lock_fd)
{
        const struct timespec moment = { .tv_nsec = ORPHAN_MOMENT_MS * 1000000L };

        for (int i = 0; i < ORPHAN_PATIENCE_MS / ORPHAN_MOMENT_MS && flock(lock_fd, LOCK_EX | LOCK_NB) < 0; i++)
                (void)nanosleep(&moment, NULL);
}

/* Waits for the process that has the lock to end; not for long unless it is about to, and not for ourselves. */
static void await_holder(int lock_fd)
{
        struct pollfd holder = { .events = POLLIN };
        bool closing;
        pid_t pid;

        if (!read_holder(lock_fd, &pid, &closing) || pid == getpid())
                return;
        holder.fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (holder.fd < 0) {
                if (errno == ESRCH)
                        await_orphans(lock_fd);
                return;
        }
        /* However it ends, the lock is tried again. */
        if (poll(&holder, 1, LOCK_PATIENCE_MS) == 0 && read_holder(lock_fd, &pid, &closing) && closing)
                (void)poll(&holder, 1, CLOSE_PATIENCE_MS);
        (void)close(holder.fd);
}

/* umount(8) returns before the daemon has closed its library: who comes at once finds it locked by one that ends. */
static int take_lock(struct model *m)
{
        if (flock(m->lock_fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK)
                        return -errno;
                await_holder(m->lock_fd);
                if (flock(m->lock_fd, LOCK_EX | LOCK_NB) < 0)
                        return -errno;
        }
        if (!m->read_only)
                (void)write_holder(m->lock_fd, ""); /* without it, nobody waits for us to end */
        return 0;
}

static int open_dir(struct model *m, const char *path, struct diag *diag)
{
        char real[PATH_MAX];
        int r;

        if (!m->read_only && mkdir(path, DIR_MODE) < 0 && errno != EEXIST)
                return diag_set(diag, -errno, "%s: cannot be made: %s", path, strerror(errno));
        m->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (m->dir_fd < 0)
                return diag_set(diag, -errno, "%s: cannot be opened: %s", path, strerror(errno));
        if (!realpath(path, real))
                return -errno;
        m->dir = strdup(real);
        if (!m->dir)
                return -ENOMEM;

        if (m->read_only && faccessat(m->dir_fd, DB_FILE, F_OK, 0) < 0)
                return diag_set(diag, -EUCLEAN, "%s: not a library of imagefs", path);
        r = check_contents(m->dir_fd, path, diag);
        if (r < 0)
                return r;
        m->lock_fd = openat(m->dir_fd, LOCK_FILE, (m->read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC | O_NOFOLLOW,
                            0600);
        if (m->lock_fd < 0)
                return diag_set(diag, -errno, "%s/" LOCK_FILE ": cannot be opened: %s", path, strerror(errno));
        r = take_lock(m);
        if (r < 0) {
                (void)close(m->lock_fd); /* it is another's */
                m->lock_fd = -1;
        }
        if (r == -EWOULDBLOCK)
                return diag_set(diag, -EBUSY, "%s: another imagefs serves this library: unmount that one first", path);
        if (r < 0)
                return diag_set(diag, r, "%s: cannot be locked: %s", path, strerror(-r));
        if (!m->read_only)
                private_entries(m->dir_fd); /* before anything is read from them */
        return 0;
}

static int set_mountpoint(struct model *m, const char *path, struct diag *diag)
{
        char real[PATH_MAX];
        size_t n;

        if (!path)
                return 0;
        m->mountpoint = strdup(realpath(path, real) ? real : path); /* what a crash left mounted has no real path */
        if (!m->mountpoint)
                return -ENOMEM;
        n = strlen(m->mountpoint);
        if (strncmp(m->dir, m->mountpoint, n) == 0 && (m->dir[n] == '/' || m->dir[n] == '\0'))
                return diag_set(diag, -EINVAL, "%s: the library cannot lie in its own mount point %s", m->dir, path);
        return 0;
}

#define STATEMENTS_POINTER(stem) &stem##_statements,
static const struct db_statements *const statements[] = { STATEMENT_TABLES(STATEMENTS_POINTER) NULL };

static int open_db(struct model *m, struct diag *diag)
{
        const struct db_opts opts = { .read_only = m->read_only, .tables = statements };
        int r;

        r = db_open(m->dir_fd, &opts, &m->db);
        switch (r) {
        case 0:
                return 0;
        case -EUCLEAN:
                return diag_set(diag, r, "%s/" DB_FILE ": not the database of a library", m->dir);
        case -EPROTONOSUPPORT:
                return diag_set(diag, r, "%s/" DB_FILE ": made by another version of imagefs: use that one", m->dir);
        case -ESTALE:
                return diag_set(diag, r, "%s/" DB_FILE ": made by an earlier version of imagefs: mount the library "
                                         "once, which brings it up to date", m->dir);
        case -EBADMSG:
                return diag_set(diag, r, "%s/" DB_FILE ": damaged: restore the library from a backup", m->dir);
        case -EBUSY:
                return diag_set(diag, r, "%s/" DB_FILE ": another program has it open: close that first", m->dir);
        }
        return diag_set(diag, r, "%s/" DB_FILE ": cannot be opened: %s", m->dir, strerror(-r));
}

DEFINE_CLEANUP(struct model *, cleanup_model, model_close)

int model_open(const char *dir, const struct model_opts *opts, struct diag *diag, struct model **ret)
{
        CLEANUP(cleanup_model) struct model *m = NULL;
        int r;

        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->dir_fd = -1;
        m->lock_fd = -1;
        m->read_only = opts->read_only;
        m->import_private = opts->import_private;
        m->listener = opts->listener;
        m->listener_ctx = opts->listener_ctx;

        r = open_dir(m, dir, diag);
        if (r == 0)
                r = set_mountpoint(m, opts->mountpoint, diag);
        if (r == 0)
                r = open_db(m, diag);
        if (r == 0)
                r = listings_new(&m->listings);
        if (r == 0)
                r = stores_open(m, opts->cache_bytes, diag);
        if (r == 0 && !m->read_only) {
                r = uploads_open(m, &m->uploads);
                m->image_hooks = &uploads_hooks;
                if (r == 0)
                        r = volumes_open(&m->volumes);
                if (r == 0)
                        r = jobs_new(&m->jobs);
                if (r == 0)
                        r = uploads_recover(m);
                if (r == 0)
                        r = volumes_recover(m);
                if (r == 0)
                        r = runner_start(m, opts->workers ? opts->workers : DEFAULT_WORKERS, &m->runner);
        }
        if (r < 0)
                return diag_set(diag, r, "%s: the library cannot be opened: %s", dir, strerror(-r));
        *ret = TAKE_PTR(m);
        return 0;
}

void model_close(struct model *m)
{
        if (!m)
                return;
        if (m->lock_fd >= 0 && !m->read_only)
                (void)write_holder(m->lock_fd, CLOSING);
        runner_stop(m->runner);
        uploads_close(m->uploads);
        volumes_close(m->volumes);
        stores_close(m->stores);
        jobs_free(m->jobs);
        listings_free(m->listings);
        db_close(m->db);
        cleanup_close(&m->lock_fd);
        cleanup_close(&m->dir_fd);
        free(m->mountpoint);
        free(m->dir);
        free(m);
}

/* ---- statistics ---- */

static int add_stats(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct model_stats *sum = ctx;
        struct blobstore_stats one;
        int r;

        (void)id;
        r = blobstore_get_stats(bs, &one);
        if (r < 0)
                return r;
        sum->blobs.logical_bytes += one.logical_bytes;
        sum->blobs.unique_bytes += one.unique_bytes;
        sum->blobs.stored_bytes += one.stored_bytes;
        sum->blobs.blobs += one.blobs;
        sum->blobs.chunks += one.chunks;
        return 0;
}

/* Of the disk that the library's own store is on; while that is offline, of the one that it would be on. */
static int add_disk(struct model *m, uint64_t own_id, struct model_stats *sum)
{
        struct blobstore *own;
        struct statvfs st;
        int r;

        if (stores_is_offline(m, own_id)) {
                if (fstatvfs(m->dir_fd, &st) < 0)
                        return -errno;
                sum->free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
                sum->disk_bytes = (uint64_t)st.f_blocks * st.f_frsize;
                return 0;
        }
        r = stores_get(m, own_id, NULL, &own);
        if (r == 0)
                r = blobstore_free_bytes(own, &sum->free_bytes);
        if (r == 0)
                r = blobstore_disk_bytes(own, &sum->disk_bytes);
        return r;
}

int model_get_stats(struct model *m, struct model_stats *ret)
{
        struct model_stats stats = { 0 };
        uint64_t own_id;
        int r;

        r = stores_own(m, &own_id, &stats.changed_us);
        if (r == 0)
                r = add_disk(m, own_id, &stats);
        if (r == 0)
                r = stores_each(m, add_stats, &stats);
        if (r < 0)
                return r;
        *ret = stats;
        return 0;
}
