/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

/*
 * The library: regions, images, snapshots, their lives and the work done on them, over one
 * database and one or more blob stores. Any number of threads may use a struct model.
 *
 * Order of durability: bytes first, then the row that names them; a row goes first, its
 * bytes are collected later. Lock order: upload, the gate of volumes, database transaction, jobs.
 */

#include "blobstore/blobstore.h"
#include "model/core/library.h"
#include "model/core/object.h"
#include "model/core/refusal.h"
#include "model/core/user_name.h"
#include "model/machine/access.h"

/* What is being made again of a blob store, and how much of it is done; TOTAL 0: of how much is not known. */
typedef void model_progress_fn(void *ctx, const char *what, uint64_t done, uint64_t total);

/*
 * What the calling thread changed is going to outlive the process, and (DONE) does from here on; it is not yet answered
 * for. LAZY: nor is it going to be, being nothing that anybody was promised.
 */
typedef void model_committed_fn(void *ctx, bool done, bool lazy);

struct model_opts {
        bool make; /* a new library; -EEXIST where there is one */
        const char *catalogue; /* of it: where its catalogue is to be, "postgresql://…"; NULL: in the directory */
        bool read_only; /* nothing is changed, nor anything worked on; -EROFS for who wants to */
        bool idle; /* for checks and repairs: nothing is worked on, nothing comes in, and nothing that has no name is removed */
        bool remake; /* the indices of blob stores are made again */
        bool import_private; /* files are fetched from this machine and the networks of the site for everybody */
        unsigned workers; /* threads that run tasks; 0: two */
        struct blobstore_caches caches; /* of each blob store; the directory is borrowed until model_close() */
        uint64_t tidy_seconds; /* without work, after which stores are made smaller; 0: never */
        struct kept *kept; /* of the machines' disks, of DISKS_KEPT_BYTES (blobstore/disks/disks.h), borrowed; may be NULL */
        bool followed; /* when the process dies, another one goes on with what was being uploaded */
        bool goes_on; /* that is this one: model_went_on() is called when it has done so */
        const char *mountpoint; /* no store may lie in it; may be NULL */
        uint64_t lease_seconds; /* of a catalogue on a server: as struct db_host, as the next, with the listener's context */
        void (*wait)(void *ctx, bool waits, const char *who);
        model_listener_fn *listener; /* may be NULL */
        void *listener_ctx;
        model_ended_fn *ended; /* with the same context; may be NULL */
        model_committed_fn *committed; /* with the same context; may be NULL */
        model_health_fn *notice; /* what a person should know of, when it is found; likewise */
        model_progress_fn *progress; /* of what takes long in opening, with the same context; may be NULL */
};

/*
 * Opens the library in directory DIR, takes up interrupted work and starts the
 * workers. DIAG says what is wrong and what to do: another daemon has it (-EBUSY), not a library (-EUCLEAN), …
 * A blob store that cannot be opened is no failure: model_health() says so.
 */
int model_open(const char *dir, const struct model_opts *opts, struct diag *diag, struct model **ret);

/*
 * Makes a directory in which another host serves the library whose catalogue is at that address. Errors as model_open(); -ENOENT:
 * there is none.
 */
int model_join(const char *dir, const char *catalogue, struct diag *diag);

/* Is NAME the address of a catalogue, where a directory may stand, too? */
bool model_is_address(const char *name);
/*
 * In which directory below BASE this host has what it needs of the library whose catalogue is at that address. Owned by the caller.
 * -EINVAL: that is no address; -ENAMETOOLONG.
 */
int model_directory_of(const char *base, const char *address, struct diag *diag, char **ret);
/* Makes the directories above one of those. */
int model_make_above(const char *dir, struct diag *diag);
/*
 * Sees that DIR is that directory: makes it as model_join(), which gives 1; or has one that is there use the
 * address, whatever password or the like has changed in it. -EEXIST: it is another library's.
 */
int model_meet(const char *dir, const char *address, struct diag *diag);

/* Ends what a process before this one had on its way in, and nobody has gone on with (upload_resume()). */
int model_went_on(struct model *m);

/* What is open when it is closed next is left for another process to go on with. */
void model_leave(struct model *m);

/* Stops the workers (what they were doing goes on at the next open) and closes everything. Accepts NULL. */
void model_close(struct model *m);

/* Returns when all that can be seen now is durable, also what an earlier process did. -EIO: it will never be. */
int model_settle(struct model *m);

/* The process on this host that has the library in DIR open, where that can be seen from here; 0, or a negative errno. */
pid_t model_holder(const char *dir);

/*
 * Is the library still ours? A negative errno: its lock is lost, or another host has taken it over, which WHY says, and nothing
 * may be written to it any more, not even to close it. Waits for who keeps the lock. Any thread.
 */
int model_hold(const struct model *m, char *why, size_t size);
/* Likewise the blob stores that are online, of which it gives the path of the first that is not. */
int model_hold_stores(struct model *m, char *buf, size_t size);

/*
 * Looks which blob stores do not answer, where somebody has waited for more than LIMIT_US: they count as offline until they
 * do. For one thread alone, now and then. Gives how many.
 */
int model_look_at_stores(struct model *m, int64_t limit_us);

/* Does the store lie elsewhere than in the library? Gives how many do, in any case. */
bool model_is_elsewhere(struct model *m, uint64_t store, unsigned *ret);
/* That of the object's region; 0: it is gone, or in none. */
uint64_t model_store_of_object(struct model *m, enum object_kind kind, uint64_t id);
/* The store of an open blob or disk; 0: it is in none that the library has. */
uint64_t model_store_of(struct model *m, const struct blobstore *bs);
/* -EIO, with a sentence: it is offline, or does not answer. */
int model_refuse_offline(struct model *m, uint64_t store, struct diag *diag);

/*
 * Calls FN for each blob store but the library's own: the directory that it lies in, and the sentence that is to be said of
 * it where that does not answer. Stops at a negative value, which it gives.
 */
typedef int model_elsewhere_fn(void *ctx, const char *path, const char *sentence);
int model_each_elsewhere(struct model *m, model_elsewhere_fn *fn, void *ctx);

/* The end has begun: jobs stop, and what waits for a bucket's server fails, since that may take as long as it likes. */
void model_stop_waiting(struct model *m);

/* Sum over all stores that are online; the disk's bytes are those of the library's own. */
struct model_stats {
        bool uncounted; /* it can only be read: a store whose index a crash has left in need of work counts for nothing */
        struct blobstore_stats blobs;
        struct blobstore_reads reads; /* of a store that went offline, no more; this, too: */
        struct block_cache_stats disk_cache;
        uint64_t free_bytes, disk_bytes;
        int64_t changed_us; /* when the last blob came or went */
};
int model_get_stats(struct model *m, struct model_stats *ret);

#endif
