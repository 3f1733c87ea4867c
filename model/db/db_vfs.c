/* SPDX-License-Identifier: MIT */

/*
 * A layer over sqlite's own VFS, which passes on all that concerns bytes. Only the file of a database itself is wrapped:
 * its WAL and journals are the files of the VFS below.
 *
 * The WAL's index. sqlite keeps it in a file beside the database, DATABASE-shm, which all processes map. Where that file
 * cannot be given space (a full btrfs, which needs some for what is there already, or a quota) a store to the map is
 * SIGBUS, and no more daemon. One process needs no file for what its connections share: here it is pieces of the heap,
 * with the eight locks that sqlite's file format puts beside them (https://sqlite.org/walformat.html). They begin as
 * zeros whenever the first connection comes, which is how sqlite's own begins after a crash: it then reads the WAL
 * again.
 *
 * Everybody else. A connection of another process would make a -shm of its own, read the WAL into it, and take over and
 * reset a log that is being written here. So it must not come in. Each connection of sqlite's, whatever it wants and in
 * whichever journal mode, first takes a read lock on the database's lock bytes, and keeps it while it uses a WAL. A
 * write lock on all of these is what sqlite calls EXCLUSIVE, and is held here from the first connection's first look
 * until the last one is closed. It is an open file description lock, on a descriptor of its own: unlike those that
 * sqlite takes it is not lost when some descriptor of the file is closed in this process, and it also keeps out
 * connections of this process that do not come through here. (A reader that asks for no locks, by "immutable", sees the
 * database without its WAL, and disturbs nobody.)
 *
 * Ourselves. The lock is the process's, so the locks of connections against each other are counted here as well; they
 * never get to the VFS below, whose locks would wait for ours. What they mean is what os_unix.c makes of them inside one
 * process.
 *
 * A VFS is a process's, and so is the list of databases: by device and inode, so that two libraries have nothing in
 * common. Lock order: the list, a database.
 */

#include "model/db/db_vfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"

/* sqlite's file format: one byte for PENDING, one for RESERVED, 510 for SHARED. */
#define LOCK_BYTES_START 0x40000000
#define LOCK_BYTES_COUNT 512

struct database {
        struct database *next; /* under the list's mutex, as n_files */
        unsigned n_files;
        dev_t dev;
        ino_t ino;
        int fd; /* which has the lock; for nothing else */
        bool is_frozen; /* it can only be read, and so can only readers be let in beside us */

        pthread_mutex_t mutex; /* of all below, and of what each file holds */
        bool is_ours; /* others are locked out */
        int strongest; /* of the locks on the file: SQLITE_LOCK_… */
        unsigned n_shared; /* files with SHARED or more */

        void **regions; /* of the WAL's index */
        int n_regions;
        unsigned n_mapped; /* files that use them */
        int slots[SQLITE_SHM_NLOCK]; /* -1: held by one alone; else by how many */
};

struct file {
        sqlite3_file base;
        struct database *db;
        int level; /* SQLITE_LOCK_… */
        bool mapped;
        unsigned shared, alone; /* slots that this one holds: bits */
        sqlite3_file *real; /* of the VFS below, after this struct */
};

static struct {
        pthread_mutex_t mutex; /* of all here */
        struct database *databases;
        sqlite3_vfs shim;
        sqlite3_vfs *real; /* NULL: not registered; then it stays */
} vfs = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static struct file *of(sqlite3_file *f)
{
        return (struct file *)f;
}

/* ---- the database's file: locks ---- */

static int lock_others_out(struct database *db)
{
        struct flock whole = { .l_type = db->is_frozen ? F_RDLCK : F_WRLCK, .l_start = LOCK_BYTES_START,
                               .l_len = LOCK_BYTES_COUNT };

        if (db->is_ours)
                return SQLITE_OK;
        if (fcntl(db->fd, F_OFD_SETLK, &whole) < 0)
                return errno == EAGAIN || errno == EACCES ? SQLITE_BUSY : SQLITE_IOERR_LOCK;
        db->is_ours = true; /* until the descriptor is closed */
        return SQLITE_OK;
}

static int file_lock(sqlite3_file *f, int level)
{
        struct file *file = of(f);
        struct database *db = file->db;
        int code;

        LOCK_SCOPE(&db->mutex);
        if (file->level >= level)
                return SQLITE_OK;
        if (file->level != db->strongest && (db->strongest >= SQLITE_LOCK_PENDING || level > SQLITE_LOCK_SHARED))
                return SQLITE_BUSY;
        code = lock_others_out(db);
        if (code != SQLITE_OK)
                return code;
        if (level == SQLITE_LOCK_EXCLUSIVE && db->n_shared > 1) {
                file->level = db->strongest = SQLITE_LOCK_PENDING; /* and those that are there will go */
                return SQLITE_BUSY;
        }
        if (file->level == SQLITE_LOCK_NONE)
                db->n_shared++;
        file->level = level;
        if (db->strongest < level)
                db->strongest = level;
        return SQLITE_OK;
}

static int file_unlock(sqlite3_file *f, int level)
{
        struct file *file = of(f);
        struct database *db = file->db;

        LOCK_SCOPE(&db->mutex);
        if (file->level <= level)
                return SQLITE_OK;
        if (file->level > SQLITE_LOCK_SHARED)
                db->strongest = SQLITE_LOCK_SHARED; /* one has more at a time, and others SHARED */
        if (level == SQLITE_LOCK_NONE && --db->n_shared == 0)
                db->strongest = SQLITE_LOCK_NONE;
        file->level = level;
        return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *f, int *ret)
{
        struct database *db = of(f)->db;

        LOCK_SCOPE(&db->mutex);
        *ret = db->strongest > SQLITE_LOCK_SHARED;
        return SQLITE_OK;
}

/* ---- the WAL's index ---- */

/* Needs the database's mutex. Of sqlite's memory, as all that it uses: so its limit, if there is one, holds. */
static int add_region(struct database *db, int size)
{
        void **regions;
        void *region;

        regions = sqlite3_realloc64(db->regions, ((sqlite3_uint64)db->n_regions + 1) * sizeof(*regions));
        if (!regions)
                return SQLITE_IOERR_NOMEM;
        db->regions = regions;
        region = sqlite3_malloc64((sqlite3_uint64)size);
        if (!region)
                return SQLITE_IOERR_NOMEM;
        memset(region, 0, (size_t)size);
        db->regions[db->n_regions++] = region;
        return SQLITE_OK;
}

/* NULL for a piece that is not there, and is not to be made. SIZE is the same in all calls. */
static int file_shm_map(sqlite3_file *f, int i, int size, int extend, void volatile **ret)
{
        struct file *file = of(f);
        struct database *db = file->db;

        LOCK_SCOPE(&db->mutex);
        *ret = NULL;
        if (!file->mapped)
                db->n_mapped++;
        file->mapped = true;
        while (extend && db->n_regions <= i) {
                int code = add_region(db, size);

                if (code != SQLITE_OK)
                        return code;
        }
        if (i < db->n_regions)
                *ret = db->regions[i];
        return SQLITE_OK;
}

/* Needs the database's mutex. */
static void slots_release(struct file *file, unsigned mask)
{
        for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
                if (file->alone & mask & 1U << i)
                        file->db->slots[i] = 0;
                if (file->shared & mask & 1U << i)
                        file->db->slots[i]--;
        }
        file->alone &= ~mask;
        file->shared &= ~mask;
}

/* Needs the database's mutex. */
static int slots_take(struct file *file, unsigned mask, bool alone)
{
        struct database *db = file->db;
        unsigned *mine = alone ? &file->alone : &file->shared;

        for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
                if ((mask & ~*mine & 1U << i) && (alone ? db->slots[i] != 0 : db->slots[i] < 0))
                        return SQLITE_BUSY;
        }
        for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
                if (mask & ~*mine & 1U << i)
                        db->slots[i] = alone ? -1 : db->slots[i] + 1;
        }
        *mine |= mask;
        return SQLITE_OK;
}

static int file_shm_lock(sqlite3_file *f, int first, int n, int flags)
{
        struct file *file = of(f);
        unsigned mask = (1U << (first + n)) - (1U << first);

        assert(first >= 0 && n >= 1 && first + n <= SQLITE_SHM_NLOCK);
        LOCK_SCOPE(&file->db->mutex);
        if (!(flags & SQLITE_SHM_UNLOCK))
                return slots_take(file, mask, flags & SQLITE_SHM_EXCLUSIVE);
        slots_release(file, mask);
        return SQLITE_OK;
}

/*
 * Of two threads that come here, the one that comes later sees afterwards all that the other did before. That is all
 * that a barrier is for, and a mutex is seen by the thread sanitizer.
 */
static void file_shm_barrier(sqlite3_file *f)
{
        struct database *db = of(f)->db;

        lock(&db->mutex);
        unlock(&db->mutex);
}

/* There is no file that could be removed. */
static int file_shm_unmap(sqlite3_file *f, int remove)
{
        struct file *file = of(f);
        struct database *db = file->db;

        (void)remove;
        LOCK_SCOPE(&db->mutex);
        if (!file->mapped)
                return SQLITE_OK;
        slots_release(file, ~0U);
        file->mapped = false;
        if (--db->n_mapped > 0)
                return SQLITE_OK;
        while (db->n_regions > 0)
                sqlite3_free(db->regions[--db->n_regions]);
        sqlite3_free(TAKE_PTR(db->regions));
        return SQLITE_OK;
}

/* ---- databases ---- */

static void database_free(struct database *db)
{
        (void)pthread_mutex_destroy(&db->mutex);
        cleanup_close(&db->fd);
        free(db);
}

/* Takes ownership of FD on success. */
static struct database *database_new(int fd, const struct stat *st)
{
        struct database *db = calloc(1, sizeof(*db));

        if (!db)
                return NULL;
        if (pthread_mutex_init(&db->mutex, NULL) != 0)
                abort();
        db->dev = st->st_dev;
        db->ino = st->st_ino;
        db->fd = fd;
        return db;
}

/* That of the file with this path, which is there; given back by database_leave(). */
static int database_join(const char *path, struct database **ret)
{
        CLEANUP_CLOSE int fd = -1;
        bool is_frozen = false;
        struct database *db;
        struct stat st;

        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && errno == EROFS) {
                is_frozen = true;
                fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        }
        if (fd < 0 || fstat(fd, &st) < 0)
                return SQLITE_CANTOPEN;

        LOCK_SCOPE(&vfs.mutex);
        for (db = vfs.databases; db; db = db->next) {
                if (db->dev == st.st_dev && db->ino == st.st_ino)
                        break;
        }
        if (!db) {
                db = database_new(fd, &st);
                if (!db)
                        return SQLITE_NOMEM;
                (void)TAKE_FD(fd);
                db->is_frozen = is_frozen;
                db->next = vfs.databases;
                vfs.databases = db;
        }
        db->n_files++;
        *ret = db;
        return SQLITE_OK;
}

static void database_leave(struct database *db)
{
        struct database **at = &vfs.databases;

        LOCK_SCOPE(&vfs.mutex);
        if (--db->n_files > 0)
                return;
        while (*at != db)
                at = &(*at)->next;
        *at = db->next;
        database_free(db);
}

/* ---- what is passed on ---- */

static int file_close(sqlite3_file *f)
{
        struct file *file = of(f);
        int code;

        (void)file_shm_unmap(f, 0);
        (void)file_unlock(f, SQLITE_LOCK_NONE);
        code = file->real->pMethods->xClose(file->real);
        database_leave(file->db);
        return code;
}

static int file_read(sqlite3_file *f, void *buf, int n, sqlite3_int64 off)
{
        return of(f)->real->pMethods->xRead(of(f)->real, buf, n, off);
}

static int file_write(sqlite3_file *f, const void *buf, int n, sqlite3_int64 off)
{
        return of(f)->real->pMethods->xWrite(of(f)->real, buf, n, off);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        return of(f)->real->pMethods->xTruncate(of(f)->real, size);
}

/* sqlite asks for the time of the last change of the database, too, which is one more write at each checkpoint. */
static int file_sync(sqlite3_file *f, int flags)
{
        return of(f)->real->pMethods->xSync(of(f)->real, flags | SQLITE_SYNC_DATAONLY);
}

static int file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
        return of(f)->real->pMethods->xFileSize(of(f)->real, ret);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
        return of(f)->real->pMethods->xFileControl(of(f)->real, op, arg);
}

static int file_sector_size(sqlite3_file *f)
{
        return of(f)->real->pMethods->xSectorSize(of(f)->real);
}

static int file_characteristics(sqlite3_file *f)
{
        return of(f)->real->pMethods->xDeviceCharacteristics(of(f)->real);
}

static const sqlite3_io_methods methods = {
        .iVersion = 2, /* no maps of the database: the model uses none, and they have the same trouble */
        .xClose = file_close,
        .xRead = file_read,
        .xWrite = file_write,
        .xTruncate = file_truncate,
        .xSync = file_sync,
        .xFileSize = file_size,
        .xLock = file_lock,
        .xUnlock = file_unlock,
        .xCheckReservedLock = file_check_reserved,
        .xFileControl = file_control,
        .xSectorSize = file_sector_size,
        .xDeviceCharacteristics = file_characteristics,
        .xShmMap = file_shm_map,
        .xShmLock = file_shm_lock,
        .xShmBarrier = file_shm_barrier,
        .xShmUnmap = file_shm_unmap,
};

static int vfs_open(sqlite3_vfs *self, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
        struct file *file = of(f);
        int code, e;

        (void)self;
        if (!(flags & SQLITE_OPEN_MAIN_DB))
                return vfs.real->xOpen(vfs.real, name, f, flags, ret_flags);

        *file = (struct file){ .real = (sqlite3_file *)(file + 1) };
        code = vfs.real->xOpen(vfs.real, name, file->real, flags, ret_flags);
        if (code == SQLITE_OK)
                code = database_join(name, &file->db);
        if (code != SQLITE_OK) {
                e = errno;
                if (file->real->pMethods)
                        (void)file->real->pMethods->xClose(file->real);
                errno = e; /* which sqlite asks for */
                return code;
        }
        file->base.pMethods = &methods;
        return SQLITE_OK;
}

int db_vfs_register(void)
{
        LOCK_SCOPE(&vfs.mutex);
        if (vfs.real)
                return 0;
        vfs.real = sqlite3_vfs_find(NULL);
        if (!vfs.real)
                return -ENOMEM; /* for sqlite to begin with */
        /* Functions that have to do with paths, times and so on are those below, which do not look at whose they are. */
        vfs.shim = *vfs.real;
        vfs.shim.zName = DB_VFS;
        vfs.shim.szOsFile = (int)sizeof(struct file) + vfs.real->szOsFile;
        vfs.shim.pNext = NULL;
        vfs.shim.xOpen = vfs_open;
        if (sqlite3_vfs_register(&vfs.shim, 0) != SQLITE_OK) {
                vfs.real = NULL;
                return -ENOMEM;
        }
        return 0;
}
