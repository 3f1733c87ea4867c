/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_STATE_H
#define MODEL_CORE_STATE_H

/*
 * The open library, as the rooms of model/ share it. What a room keeps between calls it keeps behind a pointer that no
 * other room looks through; model.c, which opens the rooms in their order and closes them again, sets it. Private to
 * model/.
 *
 * Whoever takes a struct db_txn needs it to be DB_WRITE unless it says otherwise, and neither begins nor, unless it
 * says so, ends it. Lock order: upload, the gate of volumes, database transaction, jobs.
 */

#include <stdatomic.h>

#include "model/core/object.h"
#include "model/db/db.h"

struct guest_turns;
struct guests;
struct image_hooks;
struct insides;
struct jobs;
struct listings;
struct outlooks;
struct history;
struct refusals;
struct runner;
struct secret;
struct store_hang;
struct stores;
struct texts;
struct turns;
struct briefs;
struct uploads;
struct volumes;

struct model {
        struct db *db;
        int dir_fd; /* the library's directory */
        int lock_fd; /* its file "lock", held as long as the library is open */
        bool made_dir, made_lock; /* which go again where no library came to be (home.c) */
        char *dir; /* its absolute path */
        char *catalogue; /* the address of the database, where that is on a server; NULL: it is in the directory */
        uint64_t place; /* this directory's: core/place.h */
        char *mountpoint; /* may be NULL */
        char *left_down; /* why it was not served before; may be NULL */
        bool read_only;
        bool import_private;
        bool followed; /* another process may go on when this one dies */
        bool left; /* and is about to */
        struct stores *stores; /* core/stores.c */
        struct store_hang *hang; /* core/store_hang.c; NULL: nothing is worked on */
        atomic_int catalogue_error; /* core/catalogue.c */
        struct secret *secret; /* core/secret.c; NULL: there is none, and nothing makes one */
        struct jobs *jobs; /* core/jobs.c; NULL: nothing is worked on */
        struct refusals *refusals; /* core/refusal.c */
        struct texts *texts; /* core/text.c */
        struct turns *turns; /* core/turns.c */
        struct user_names *user_names, *user_numbers; /* core/user_name.c */
        struct listings *listings; /* image/listing_cache.c */
        struct insides *insides; /* image/inside.c */
        struct guests *guests; /* image/guests.c */
        struct guest_turns *guest_turns; /* image/guest_turns.c */
        const struct image_hooks *image_hooks; /* image/image_row.h; NULL: nothing comes in */
        /* What stands against handing an upstream over: intake/follow.c, for machine/handover.c. */
        int (*hand_follow)(struct db_txn *t, uint64_t id, uid_t uid, struct diag *diag);
        struct volumes *volumes; /* machine/volume_gate.c */
        struct uploads *uploads; /* intake/uploads.c */
        struct briefs *briefs; /* intake/brief.c; there with uploads */
        struct runner *runner; /* work/runner.c */
        struct outlooks *outlooks; /* work/instance_warning.c */
        struct history *history; /* work/history.c */
        model_listener_fn *listener;
        void *listener_ctx;
        model_ended_fn *ended; /* of the same context; may be NULL */
        void (*notice)(void *ctx, const char *line); /* of what is found in the background; likewise */
        bool remake; /* the indices of blob stores, as they are opened */
        void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t total); /* of what takes long in opening; of the same context; may be NULL */
};

#endif
