/* SPDX-License-Identifier: MIT */
#ifndef FS_LASTING_H
#define FS_LASTING_H

/*
 * What lasts longer than the process that serves a mount: memory that it shares with its supervisor (supervise.h), which
 * hands it to the next one, and the kernel's end of the session. As long as somebody has that open, whoever has asked
 * something of the mount merely waits.
 */

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/ops/resent.h"
#include "fs/ops/split.h"

/* How all that lasts is laid out: a process finds its own number in it, or takes over nothing. */
#define LASTING_LAYOUT 4

/* By which the file of that memory is known. */
#define LASTING_NAME "imagefs session"

/* A request for INIT, which the kernel makes once. */
#define LASTING_INIT_BYTES 256

struct lasting_memory {
        uint32_t layout;
        _Atomic uint32_t serving; /* the last process that was started came to serve */
        _Atomic uint32_t resends; /* the kernel brings back what was not answered, if it is told to */
        _Atomic uint32_t init_bytes; /* 0: the kernel has not begun yet */
        uint8_t init[LASTING_INIT_BYTES];
        struct resent_notes notes;
        struct split_slots splits;
        int32_t handles_fd, disks_fd, fuse_fd; /* the descriptors that a process inherits */
        char store[PATH_MAX], mountpoint[PATH_MAX]; /* absolute, as the first process found them */
        char directory[PATH_MAX]; /* in which options were given */
};

/*
 * What processes hand down besides, since a later version than that of the layout above: a supervisor that is older has none of
 * it, and a process that is older knows nothing of it, and leaves there what has been changed since.
 */
struct lasting_more {
        _Atomic int32_t known_to; /* the last process that knew of it */
        _Atomic uint32_t outdated; /* one did not: what is there is of before */
        int32_t grants_fd, values_fd;
};

struct lasting {
        struct lasting_memory *memory;
        struct lasting_more *more; /* NULL: the supervisor is older */
        int memory_fd, more_fd;
        int handles_fd, disks_fd; /* files for slots: of open files, and of the disks' bits */
        int grants_fd, values_fd; /* and of grants, and temporary files of values; -1: with MORE */
        int fuse_fd; /* the kernel's end of the session; -1: there is none yet */
        int sockets[2]; /* over which it comes: the supervisor's, and that of the first process; -1: not any more */
};

/* A process that ends with this wants to be followed by the next. */
#define EXIT_SERVE_AGAIN 75

/* All but the session. Release with lasting_done(). */
int lasting_make(struct lasting *ret);
void lasting_done(struct lasting *l);

/* The process that it was inherited by, or made for, has died; before the next is started. */
void lasting_died(struct lasting *l, int pid);
/* Has the next program that this process becomes inherit it: its descriptors, and where they are. */
int lasting_pass_on(const struct lasting *l);
/* 1: this process was begun to go on with what is put into *RET; 0: it was not. -EPROTO: by another version. */
int lasting_inherit(struct lasting *ret);

/* Gives the supervisor the kernel's end of the session; and takes it: -EAGAIN, it has not come. */
int lasting_send_fuse(const struct lasting *l, int fuse_fd);
int lasting_receive_fuse(struct lasting *l);

#endif
