/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MACHINE_VOLUME_GATE_PRIV_H
#define MODEL_MACHINE_VOLUME_GATE_PRIV_H

/* The list of open volumes, as the gate (volume_gate.c) and open files (volume_file.c) share it. */

#include <stdatomic.h>
#include <sys/queue.h>

#include "blobstore/disks/disk.h"
#include "model/core/state.h"
#include "model/machine/volume_gate.h"

struct open_volume {
        uint64_t id;
        _Atomic(struct disk *) disk; /* set once, under the list's mutex */
        unsigned users, writers; /* under the list's mutex, as the rest */
        unsigned leaving; /* writers that are being released */
        LIST_HEAD(, volume_file) flushed; /* writers whose release may follow */
        uint64_t instance; /* that its writers make run */
        LIST_ENTRY(open_volume) link;
};

struct volume_file {
        struct model *m;
        struct open_volume *v;
        bool writable;
        atomic_bool resized; /* through this file */
        bool leaving; /* under the list's mutex, as the rest */
        int64_t flushed_us; /* by the monotonic clock; 0: it is not among v->flushed */
        LIST_ENTRY(volume_file) link;
};

#define VOLUMES_GROWING 64 /* volumes whose numbers are as far apart wait for each other */

struct volumes {
        pthread_mutex_t gate;
        pthread_mutex_t growing[VOLUMES_GROWING]; /* before the gate: who makes a disk's files longer has it for itself */
        pthread_mutex_t mutex;
        pthread_cond_t left; /* a writer has begun to leave, or has left */
        unsigned waiting; /* for that; under the mutex, as the rest */
        LIST_HEAD(, open_volume) open;
};

/* The list's entry, one more user. With WRITER, of INSTANCE; *ret_first: it is the first to write to the volume. */
int volumes_join(struct volumes *vs, uint64_t id, bool writer, uint64_t instance, struct open_volume **ret,
                 bool *ret_first);
/* One less, which FILE was. Gives the instance that has one volume less that is written to, or 0. */
uint64_t volumes_leave(struct volume_file *file);

/* FILE was flushed: its release may follow. */
void volumes_announce(struct volume_file *file);
/* The release of a writer begins; volumes_leave() ends it. */
void volumes_leave_begin(struct volume_file *file);

#endif
