/* SPDX-License-Identifier: MIT */

/*
 * The directory of a library:
 *
 *      imagefs.db (-wal)        the database; -shm: an earlier version's, removed
 *      database                 or where that is, on a server (address.h)
 *      imagefs.db.schema-2      as it was before it was brought up to date; kept until a person removes it
 *      imagefs.db.….damaged     what a restored one took the place of; likewise
 *      epoch                    when it was last served from here, of such a one (succession.h)
 *      ….aside                  what was in use before the catalogue went to a server, or back (transfer.h); likewise
 *      secret                   what the database's secrets are sealed with (core/secret.h), in no copy of it
 *      left-down                why it was not served any more, for the next start to tell
 *      lock                     locked while somebody has the library open, who says in it who that is; where no library
 *                               came to be, that one removes it, so who comes to hold it looks whether it is still there
 *      blobs/                   its own blob store
 */

#include "model/home.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "blobstore/base/parse.h"
#include "model/address.h"
#include "model/core/catalogue.h"
#include "model/core/place.h"
#include "model/core/private.h"
#include "model/core/secret.h"
#include "model/core/stores.h"
#include "model/model.h"

#define LOCK_FILE       "lock"
#define DIR_MODE        0700 /* it holds everybody's images */

/* How long a daemon that was unmounted may take to begin closing its library, and to have closed it. */
#define LOCK_PATIENCE_MS  3000
#define CLOSE_PATIENCE_MS 60000
#define CLOSING           " closing"

/* What the lock file says, and the kernel's name of a host's start. */
#define HOLDER_MAX 256
#define BOOT_MAX   64

/* How long what a killed daemon had forked may live, and how often it is looked whether it does. */
#define ORPHAN_PATIENCE_MS 2000
#define ORPHAN_MOMENT_MS   10

static bool may_lie_beside(const char *name)
{
        static const char *const names[] = { LOCK_FILE, SECRET_FILE, SECRET_FILE ".tmp", PLACE_FILE, PLACE_FILE ".tmp",
                                             STORES_OWN_DIR, "lost+found" };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (strcmp(name, names[i]) == 0)
                        return true;
        }
        return strncmp(name, DB_FILE, strlen(DB_FILE)) == 0;
}

static int refuse_stranger(void *ctx, const char *name)
{
        (void)ctx;
        return may_lie_beside(name) ? 0 : -EUCLEAN;
}

/* Why not to make one there is said: a disk that is not mounted leaves an empty directory, or none. */
#define NO_LIBRARY "%s: no library of imagefs: is the disk that it lies on mounted? \"imagefs init %s\" makes a new one"

/*
 * A directory of something else is left alone. What a start that was cut off leaves behind is fine, for a library to be
 * made there; copies of a catalogue say that there was one.
 */
static int check_contents(struct model *m, const char *path, enum home_purpose purpose, struct diag *diag)
{
        const bool is_far = address_is_there(m->dir_fd);
        bool has_copies = faccessat(m->dir_fd, STORES_OWN_DIR "/" CATALOGUE_DIR, F_OK, 0) == 0;
        struct stat st;
        int r;

        if (is_far && purpose == HOME_USE)
                return 0;
        if (is_far && purpose == HOME_MAKE)
                return diag_set(diag, -EEXIST, "%s: there is a library already", path);
        if (is_far)
                return diag_set(diag, -EOPNOTSUPP, "%s: the catalogue of this library is on a server of PostgreSQL: bring it "
                                                   "back there, from what pg_dump or pg_basebackup made", path);
        if (fstatat(m->dir_fd, DB_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_size > 0 || !has_copies)) {
                if (purpose != HOME_MAKE || st.st_size == 0)
                        return 0;
                return diag_set(diag, -EEXIST, "%s: there is a library already", path);
        }
        if (has_copies && purpose == HOME_RESTORE)
                return 0;
        if (has_copies)
                return diag_set(diag, -EUCLEAN, "%s/" DB_FILE " is missing or empty: \"imagefs check %s "
                                                "--restore-catalogue\" brings back the newest copy that there is",
                                path, path);
        if (purpose != HOME_MAKE)
                return diag_set(diag, -EUCLEAN, NO_LIBRARY, path, path);
        r = dir_each(m->dir_fd, ".", refuse_stranger, NULL);
        return r != -EUCLEAN ? r : diag_set(diag, r, "%s: not empty: choose an empty directory", path);
}

/*
 * The lock file says which process has the library open, and whether it is closing it; in a second line on which host,
 * by its name, for people, and since it was started by a name of its own: containers' processes can be known by number,
 * another host's can not. Earlier versions wrote no such line.
 */
struct holder {
        pid_t pid;
        bool closing;
        bool elsewhere; /* on another host */
        char host[HOST_NAME_MAX + 1];
};

static void read_boot(char *ret, size_t size)
{
        CLEANUP_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : pread_full(fd, ret, size - 1, 0);

        ret[n < 0 ? 0 : n] = '\0';
        ret[strcspn(ret, "\n")] = '\0';
}

/* That inode's lock is ours: whoever had it, in this start of the system, has ended. */
void home_here(const struct model *m, char *buf, size_t size)
{
        char boot[BOOT_MAX];
        struct stat st;

        read_boot(boot, sizeof(boot));
        if (!boot[0] || fstat(m->lock_fd, &st) < 0)
                (void)snprintf(buf, size, "%s", "");
        else
                (void)snprintf(buf, size, "%s %llx:%llx", boot, (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
}

static int write_holder(int lock_fd, const char *what)
{
        char text[HOLDER_MAX], host[HOST_NAME_MAX + 1] = "", boot[BOOT_MAX];
        int n;

        (void)gethostname(host, sizeof(host) - 1); /* cannot fail with that size */
        read_boot(boot, sizeof(boot));
        n = snprintf(text, sizeof(text), "%ld%s\n%s %s\n", (long)getpid(), what, boot, host);
        if (ftruncate(lock_fd, 0) < 0)
                return -errno;
        return pwrite_full(lock_fd, text, (size_t)n, 0);
}

static bool read_holder(int lock_fd, struct holder *ret)
{
        char text[HOLDER_MAX] = { 0 }, boot[BOOT_MAX];
        struct holder h = { 0 };
        char *what, *where, *host;
        uint64_t pid;

        if (pread_full(lock_fd, text, sizeof(text) - 1, 0) < 0)
                return false;
        where = strchrnul(text, '\n');
        if (*where) {
                *where++ = '\0';
                where[strcspn(where, "\n")] = '\0';
                host = strchrnul(where, ' ');
                if (*host)
                        *host++ = '\0';
                read_boot(boot, sizeof(boot));
                h.elsewhere = *where && boot[0] && strcmp(where, boot) != 0;
                (void)snprintf(h.host, sizeof(h.host), "%s", host);
        }
        what = strchrnul(text, ' ');
        h.closing = strcmp(what, CLOSING) == 0;
        *what = '\0';
        if (parse_u64(text, &pid) < 0 || pid > INT_MAX)
                return false;
        h.pid = (pid_t)pid;
        *ret = h;
        return true;
}

pid_t model_holder(const char *dir)
{
        CLEANUP_CLOSE int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), lock_fd = -1;
        struct holder h;

        lock_fd = dir_fd < 0 ? -1 : openat(dir_fd, LOCK_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (lock_fd < 0)
                return -errno;
        return read_holder(lock_fd, &h) && !h.elsewhere ? h.pid : 0;
}

/* Or it cannot be seen from here. Of another host's process that is not known. */
static bool holder_is_gone(int lock_fd)
{
        struct holder h;

        return !read_holder(lock_fd, &h) || (!h.elsewhere && kill(h.pid, 0) < 0 && errno == ESRCH);
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
        struct holder h;

        if (!read_holder(lock_fd, &h) || h.elsewhere || h.pid == getpid())
                return;
        holder.fd = (int)syscall(SYS_pidfd_open, h.pid, 0);
        if (holder.fd < 0) {
                if (errno == ESRCH)
                        await_orphans(lock_fd);
                return;
        }
        /* However it ends, the lock is tried again. */
        if (poll(&holder, 1, LOCK_PATIENCE_MS) == 0 && read_holder(lock_fd, &h) && h.closing)
                (void)poll(&holder, 1, CLOSE_PATIENCE_MS);
        (void)close(holder.fd);
}

/* Is that process's namespace NAME ours? It is, where it cannot be known. */
static bool shares_namespace(pid_t pid, const char *name)
{
        char path[64];
        struct stat ours, its;

        (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
        if (stat(path, &ours) < 0)
                return true;
        (void)snprintf(path, sizeof(path), "/proc/%ld/ns/%s", (long)pid, name);
        return stat(path, &its) < 0 || (ours.st_dev == its.st_dev && ours.st_ino == its.st_ino);
}

/* Who has the lock, as far as can be seen from here: not through the wall of a container. */
static int refuse_held(int lock_fd, const char *path, struct diag *diag)
{
        struct holder h;

        if (holder_is_gone(lock_fd) || !read_holder(lock_fd, &h))
                return diag_set(diag, -EBUSY, "%s: another imagefs serves this library, which cannot be seen from here "
                                              "(in a container, or on another host): unmount it there first", path);
        if (h.elsewhere)
                return diag_set(diag, -EBUSY, "%s: another imagefs serves this library: process %ld of the host %s: "
                                              "unmount it there first", path, (long)h.pid, h.host);
        return diag_set(diag, -EBUSY, "%s: another imagefs serves this library: process %ld%s: unmount that one first",
                        path, (long)h.pid, shares_namespace(h.pid, "mnt") ? "" : ", in another mount namespace");
}

/* umount(8) returns before the daemon has closed its library: who comes at once finds it locked by one that ends. */
static int take_lock(struct model *m)
{
        if (flock(m->lock_fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK)
                        return -errno;
                await_holder(m->lock_fd);
                /* It may have ended just after that; and what it was forking, still later. */
                if (flock(m->lock_fd, LOCK_EX | LOCK_NB) < 0 && holder_is_gone(m->lock_fd))
                        await_orphans(m->lock_fd);
                if (flock(m->lock_fd, LOCK_EX | LOCK_NB) < 0)
                        return -errno;
        }
        if (!m->read_only)
                (void)write_holder(m->lock_fd, ""); /* without it, nobody waits for us to end */
        return 0;
}

/* Is what has that name what FD is? */
static bool is_there(int dir_fd, const char *name, int fd)
{
        struct stat named, open;

        return fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &open) == 0 && named.st_dev == open.st_dev &&
               named.st_ino == open.st_ino;
}

/* Some file systems know of no links: the name has to tell, too. */
static bool lock_is_gone(const struct model *m)
{
        struct stat st;

        return fstat(m->lock_fd, &st) == 0 && st.st_nlink == 0 && !is_there(m->dir_fd, LOCK_FILE, m->lock_fd);
}

void home_init(struct model *m)
{
        m->dir_fd = -1;
        m->lock_fd = -1;
}

static int open_dir(struct model *m, const char *path, enum home_purpose purpose, struct diag *diag)
{
        char real[PATH_MAX];

        m->made_dir = purpose == HOME_MAKE && mkdir(path, DIR_MODE) == 0;
        if (purpose == HOME_MAKE && !m->made_dir && errno != EEXIST)
                return diag_set(diag, -errno, "%s: cannot be made: %s", path, strerror(errno));
        m->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (m->dir_fd < 0 && errno == ENOENT)
                return diag_set(diag, -ENOENT, NO_LIBRARY, path, path);
        if (m->dir_fd < 0)
                return diag_set(diag, -errno, "%s: cannot be opened: %s", path, strerror(errno));
        if (!realpath(path, real))
                return -errno;
        m->dir = strdup(real);
        return m->dir ? 0 : -ENOMEM;
}

static int open_lock(struct model *m, const char *path, enum home_purpose purpose, struct diag *diag)
{
        const int flags = (m->read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC | O_NOFOLLOW;
        int r;

        if (purpose == HOME_MAKE)
                m->lock_fd = openat(m->dir_fd, LOCK_FILE, flags | O_EXCL, 0600);
        m->made_lock = m->lock_fd >= 0;
        if (!m->made_lock)
                m->lock_fd = openat(m->dir_fd, LOCK_FILE, flags, 0600);
        if (m->lock_fd < 0)
                return diag_set(diag, -errno, "%s/" LOCK_FILE ": cannot be opened: %s", path, strerror(errno));
        r = take_lock(m);
        if (r == -EWOULDBLOCK)
                r = refuse_held(m->lock_fd, path, diag);
        if (r < 0) {
                (void)close(m->lock_fd); /* it is another's */
                m->lock_fd = -1;
        }
        return r < 0 && r != -EBUSY ? diag_set(diag, r, "%s: cannot be locked: %s", path, strerror(-r)) : r;
}

int home_open(struct model *m, const char *path, enum home_purpose purpose, struct diag *diag)
{
        bool again;
        int r;

        do {
                r = open_dir(m, path, purpose, diag);
                if (r == 0)
                        r = check_contents(m, path, purpose, diag);
                if (r == 0)
                        r = open_lock(m, path, purpose, diag);
                if (r < 0)
                        return r;
                again = lock_is_gone(m);
                if (again)
                        home_close(m);
        } while (again);
        if (purpose == HOME_MAKE) /* another may have made one while the lock was waited for */
                r = check_contents(m, path, purpose, diag);
        if (r == 0 && !m->read_only)
                private_entries(m->dir_fd); /* before anything is read from them */
        return r;
}

int home_hold(const struct model *m)
{
        int r;

        do {
                r = flock(m->lock_fd, LOCK_EX | LOCK_NB);
        } while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : 0;
}

void home_closing(struct model *m)
{
        if (m->lock_fd >= 0 && !m->read_only)
                (void)write_holder(m->lock_fd, CLOSING);
}

/* A dir_each_fn. */
static int refuse_but_lock(void *ctx, const char *name)
{
        (void)ctx;
        return strcmp(name, LOCK_FILE) == 0 ? 0 : -ENOTEMPTY;
}

/* No library came to be. Whoever waits for the lock begins anew. */
static void remove_made(const struct model *m)
{
        if (!m->made_lock || !is_there(m->dir_fd, LOCK_FILE, m->lock_fd) ||
            dir_each(m->dir_fd, ".", refuse_but_lock, NULL) < 0)
                return;
        (void)unlinkat(m->dir_fd, LOCK_FILE, 0);
        if (m->made_dir && is_there(AT_FDCWD, m->dir, m->dir_fd))
                (void)rmdir(m->dir);
}

void home_close(struct model *m)
{
        if (m->lock_fd >= 0)
                remove_made(m);
        cleanup_close(&m->lock_fd);
        cleanup_close(&m->dir_fd);
        free(TAKE_PTR(m->dir));
        free(TAKE_PTR(m->catalogue));
}
