/* SPDX-License-Identifier: MIT */

/*
 * A VFS of sqlite's that hands everything to the machine's own, whose file follows its own in memory, as sqlite's
 * documentation of shims has it.
 */

#include "tests/lib/fault.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "model/db/db_vfs.h"

static struct {
        atomic_uint count, fail_from;
        atomic_bool full;
} faults[FAULT_OP_COUNT];

static struct {
        fault_sync_fn *fn; /* set while nobody syncs */
        void *ctx;
} watch;

static sqlite3_vfs *real_vfs;

struct shim_file {
        sqlite3_file base;
        sqlite3_file *real; /* after this struct */
};

static sqlite3_file *real_of(sqlite3_file *f)
{
        return ((struct shim_file *)f)->real;
}

static bool fails(enum fault_op op)
{
        unsigned n = atomic_fetch_add(&faults[op].count, 1) + 1;
        unsigned from = atomic_load(&faults[op].fail_from);

        return from != 0 && n >= from;
}

void fault_watch_syncs(fault_sync_fn *fn, void *ctx)
{
        watch.ctx = ctx;
        watch.fn = fn;
}

static int shim_close(sqlite3_file *f)
{
        return real_of(f)->pMethods->xClose(real_of(f));
}

static int shim_read(sqlite3_file *f, void *buf, int n, sqlite3_int64 off)
{
        return real_of(f)->pMethods->xRead(real_of(f), buf, n, off);
}

static int shim_write(sqlite3_file *f, const void *buf, int n, sqlite3_int64 off)
{
        if (fails(FAULT_WRITE))
                return atomic_load(&faults[FAULT_WRITE].full) ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        return real_of(f)->pMethods->xWrite(real_of(f), buf, n, off);
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int shim_sync(sqlite3_file *f, int flags)
{
        if (watch.fn)
                watch.fn(watch.ctx);
        if (fails(FAULT_SYNC))
                return SQLITE_IOERR_FSYNC;
        return real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *ret)
{
        return real_of(f)->pMethods->xFileSize(real_of(f), ret);
}

static int shim_lock(sqlite3_file *f, int level)
{
        return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int shim_unlock(sqlite3_file *f, int level)
{
        return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int shim_reserved(sqlite3_file *f, int *ret)
{
        return real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret);
}

static int shim_control(sqlite3_file *f, int op, void *arg)
{
        return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int shim_sector(sqlite3_file *f)
{
        return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int shim_characteristics(sqlite3_file *f)
{
        return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int shim_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret)
{
        return real_of(f)->pMethods->xShmMap(real_of(f), region, size, extend, ret);
}

static int shim_shm_lock(sqlite3_file *f, int off, int n, int flags)
{
        return real_of(f)->pMethods->xShmLock(real_of(f), off, n, flags);
}

static void shim_shm_barrier(sqlite3_file *f)
{
        real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int shim_shm_unmap(sqlite3_file *f, int remove)
{
        return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

static const sqlite3_io_methods shim_methods = {
        .iVersion = 2, /* no memory maps: the model uses none */
        .xClose = shim_close,
        .xRead = shim_read,
        .xWrite = shim_write,
        .xTruncate = shim_truncate,
        .xSync = shim_sync,
        .xFileSize = shim_size,
        .xLock = shim_lock,
        .xUnlock = shim_unlock,
        .xCheckReservedLock = shim_reserved,
        .xFileControl = shim_control,
        .xSectorSize = shim_sector,
        .xDeviceCharacteristics = shim_characteristics,
        .xShmMap = shim_shm_map,
        .xShmLock = shim_shm_lock,
        .xShmBarrier = shim_shm_barrier,
        .xShmUnmap = shim_shm_unmap,
};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
        struct shim_file *file = (struct shim_file *)f;
        int code;

        (void)vfs;
        file->real = (sqlite3_file *)(file + 1);
        code = real_vfs->xOpen(real_vfs, name, file->real, flags, ret_flags);
        file->base.pMethods = file->real->pMethods ? &shim_methods : NULL;
        return code;
}

void fault_install(void)
{
        static sqlite3_vfs shim;

        if (real_vfs)
                return;
        real_vfs = sqlite3_vfs_find(NULL);
        if (!real_vfs || sqlite3_vfs_find(DB_VFS)) /* too late: nothing would fail */
                abort();
        shim = *real_vfs;
        shim.zName = "fault";
        shim.szOsFile = (int)sizeof(struct shim_file) + real_vfs->szOsFile;
        shim.pNext = NULL;
        shim.xOpen = shim_open;
        if (sqlite3_vfs_register(&shim, 1) != SQLITE_OK)
                abort();
}

void fault_set(enum fault_op op, unsigned n, int full)
{
        atomic_store(&faults[op].count, 0);
        atomic_store(&faults[op].full, full != 0);
        atomic_store(&faults[op].fail_from, n);
}

unsigned fault_count(enum fault_op op)
{
        return atomic_load(&faults[op].count);
}
