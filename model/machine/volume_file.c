/* SPDX-License-Identifier: MIT */

/*
 * Open volumes as files: their disks, once there is one, and their sizes. Which are open, and who writes, is in
 * volume_gate.c.
 *
 * A volume that has no size yet can be opened: that is how truncate(1) gives it one. Its disk comes with the size.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "blobstore/base/cleanup.h"
#include "model/core/clock.h"
#include "model/core/place.h"
#include "model/core/unnamed.h"
#include "model/machine/volume_gate_priv.h"
#include "model/machine/volume_life.h"
#include "model/machine/volume_row.h"

enum { TOUCH, SET_STARTED, NAMES_DISK, NOTE_DISK, TRASH };

/* What is known of a disk that was found. */
enum { DISK_NO_NAME, DISK_KNOWN, DISK_NO_PLACE, DISK_NOT_MADE };

static const char *const volume_file_sql[] = {
        [TOUCH] = "UPDATE volume SET updated = max(?2, updated + 1) WHERE id = ?1",
        [SET_STARTED] = "UPDATE instance SET started = 1 WHERE started = 0 "
                        "AND id = (SELECT instance FROM volume WHERE id = ?1)",
        [NAMES_DISK] = "SELECT max(named) FROM (SELECT iif(volume.made = 0, 3, iif(volume.place IS NULL, 2, 1)) AS named FROM volume "
                       "JOIN region ON region.id = volume.region WHERE region.store = ?1 AND volume.key = ?2 "
                       "UNION ALL SELECT 1 FROM trash WHERE store = ?1 AND key = ?2 UNION ALL SELECT 0) AS names",
        [NOTE_DISK] = "UPDATE volume SET place = ifnull(place, ?2), made = 1 WHERE key = ?1",
        [TRASH] = "INSERT INTO trash (store, key, place) VALUES (?1, ?2, ?3)",
};
const struct db_statements volume_file_statements = DB_STATEMENTS(volume_file_sql);

int volume_flush(struct volume_file *f)
{
        int r = 0;

        if (!f->writable)
                return 0;
        if (f->v->disk)
                r = disk_sync(f->v->disk); /* so that the release has little to do */
        volumes_announce(f);
        return r;
}

/* ---- opening ---- */

/* Opens the disk where nobody did before, and mends the row of one that had grown when a crash came. */
static int open_disk(struct model *m, struct open_volume *v, struct diag *diag)
{
        struct volume_disk_ref ref;
        struct disk *d;
        int r;

        if (v->disk)
                return 0;
        r = volume_disk_open(m, v->id, diag, &ref, &d);
        if (r < 0 || !d)
                return r;

        if (disk_get_size(d) > ref.disk.size_bytes)
                (void)volume_note_size(m, v->id, disk_get_size(d)); /* the next one tries again */

        lock(&m->volumes->mutex);
        if (!v->disk) {
                v->disk = d;
                d = NULL;
        }
        unlock(&m->volumes->mutex);
        disk_close(d);
        return 0;
}

/* May it be opened for writing now? With the gate held. */
static int check_writer(struct model *m, uint64_t id, uint64_t *ret_instance, struct diag *diag)
{
        struct volume v;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = volume_load(&t, id, &v);
        if (r == 0)
                r = volume_life_ask(m, &t, &v, NULL, VOLUME_OPEN, diag);
        if (r == 0)
                *ret_instance = v.instance;
        return r;
}

static int join_as_writer(struct model *m, uint64_t id, struct open_volume **ret, uint64_t *ret_started,
                          struct diag *diag)
{
        uint64_t instance = 0;
        bool first;
        int r;
        LOCK_SCOPE(&m->volumes->gate);

        r = check_writer(m, id, &instance, diag);
        if (r == 0)
                r = volumes_join(m->volumes, id, true, instance, ret, &first);
        if (r == 0)
                *ret_started = first ? instance : 0;
        return r;
}

int volume_open(struct model *m, uint64_t id, bool writable, struct diag *diag, struct volume_file **ret)
{
        CLEANUP_FREE struct volume_file *f = NULL;
        uint64_t started = 0;
        bool first;
        int r;

        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->m = m;
        f->writable = writable;
        r = writable ? join_as_writer(m, id, &f->v, &started, diag) :
                       volumes_join(m->volumes, id, false, 0, &f->v, &first);
        if (r < 0)
                return r;
        r = open_disk(m, f->v, diag);
        if (r < 0) {
                (void)volumes_leave(f);
                return r;
        }
        if (started)
                changes_send(m, OBJECT_INSTANCE, started);
        *ret = TAKE_PTR(f);
        return 0;
}

struct disk *volume_disk(struct volume_file *f)
{
        return f->v->disk;
}

int volume_file_make(struct volume_file *f)
{
        struct disk *d = f->v->disk;

        return d && disk_is_young(d) ? volume_disk_make(f->m, f->v->id, d) : 0;
}

int volume_file_set_size(struct volume_file *f, const struct caller *c, uint64_t size_bytes, struct diag *diag)
{
        int r;

        (void)c; /* it is open: that was asked before */
        f->resized = true;
        r = volume_grow(f->m, f->v->id, f, size_bytes, diag);
        return r < 0 ? r : open_disk(f->m, f->v, diag);
}

/* The disk has other bytes now, and its instance has run. */
static int note_written(struct model *m, uint64_t id)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = db_run(&t, volume_file_sql[TOUCH], DB_INT(id), DB_INT(clock_now_us()));
        if (r >= 0)
                r = db_run(&t, volume_file_sql[SET_STARTED], DB_INT(id));
        return r < 0 ? r : db_commit(&t);
}

/*
 * The last writer's data must be safe before it counts as gone: an image may be made of the disk from then on, again
 * after a crash. What cannot be synced has been told to who called disk_sync() before. Giving a disk its size is not
 * running it.
 */
void volume_close(struct volume_file *f)
{
        uint64_t id, stopped;

        if (!f)
                return;
        if (f->writable)
                volumes_leave_begin(f);
        if (f->writable && f->v->disk)
                (void)disk_sync(f->v->disk);
        if (f->writable && !f->resized)
                (void)note_written(f->m, f->v->id); /* at worst it looks older than it is */
        id = f->v->id;
        stopped = volumes_leave(f);
        if (f->writable)
                changes_send(f->m, OBJECT_VOLUME, id);
        if (stopped)
                changes_send(f->m, OBJECT_INSTANCE, stopped);
        free(f);
}

/* ---- after a crash ---- */

struct recovery {
        struct model *m;
        struct blobstore *bs;
        uint64_t store, place;
};

/*
 * It is found here: a catalogue on a server that an earlier version made does not say where, and that it was made is not waited
 * for. What is forgotten is noted again.
 */
static int note_disk(const struct recovery *rec, const struct disk_id *id)
{
        DB_TXN(t);
        int r;

        r = db_begin_lazy(rec->m->db, &t);
        if (r == 0)
                r = db_run(&t, volume_file_sql[NOTE_DISK], DB_BLOB(id->bytes, sizeof(id->bytes)), DB_ID(rec->place));
        return r < 0 ? r : db_commit(&t);
}

static bool is_to_be_noted(const struct recovery *rec, const struct disk_id *id, int64_t named)
{
        struct disk *d;

        if (named == DISK_NO_PLACE)
                return rec->place != 0;
        if (named != DISK_NOT_MADE || disk_open(rec->bs, id, &d) < 0) /* a crash came while it was made */
                return false;
        disk_close(d);
        return true;
}

static int recover_disk(void *ctx, const struct disk_id *id)
{
        const struct recovery *rec = ctx;
        int64_t named;
        int r;

        {
                DB_TXN(t);

                r = db_begin(rec->m->db, DB_READ, &t);
                if (r == 0)
                        r = db_int(&t, volume_file_sql[NAMES_DISK], &named, DB_INT(rec->store),
                                   DB_BLOB(id->bytes, sizeof(id->bytes)));
                if (r < 0)
                        return r;
        }
        if (named != DISK_NO_NAME)
                return is_to_be_noted(rec, id, named) ? note_disk(rec, id) : 0;

        DB_TXN(t);

        r = db_begin(rec->m->db, DB_WRITE, &t);
        if (r == 0)
                r = unnamed_stays(&t, rec->store, id->bytes);
        if (r == 0)
                r = db_run(&t, volume_file_sql[TRASH], DB_INT(rec->store), DB_BLOB(id->bytes, sizeof(id->bytes)),
                           DB_ID(rec->place));
        return r < 0 ? r : db_commit(&t);
}

static int recover_store(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct recovery rec = { .m = ctx, .bs = bs, .store = id, .place = place_of_store(ctx, id) };

        if (!stores_are_ours(ctx, id))
                return 0;
        return disk_each(bs, recover_disk, &rec);
}

int volumes_recover(struct model *m)
{
        return stores_each(m, recover_store, m);
}
