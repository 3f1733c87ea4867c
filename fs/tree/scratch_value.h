/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_SCRATCH_VALUE_H
#define FS_TREE_SCRATCH_VALUE_H

/*
 * What the next process (supervise.h) has of a temporary file: for a draft a note, which goes with its file; for a value,
 * which is in memory, a slot (blobstore/base/kept.h) with all of it. Each slot is its file's alone, and has one writer of its note.
 */

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

struct kept;

#define SCRATCH_BYTES_MAX 65536 /* beside control files: as much as a command may have */
#define SCRATCH_VALUE_SLOT_BYTES (4096 + SCRATCH_BYTES_MAX)

struct scratch_note {
        uint64_t id, dir;
        uint32_t uid, gid;
        uint64_t makes_image;
        char name[NAME_MAX + 1];
};
#define SCRATCH_NOTE_HEAD offsetof(struct scratch_note, name)

struct scratch_value; /* a slot */

/* Begins one where *V is NULL, and changes it else. Without memory for it, the file is as short-lived as the process. */
void scratch_value_note(struct kept *values, struct scratch_value **v, const struct scratch_note *note);
/* What is not in it when the process dies was not answered. In bounds. */
void scratch_value_put(struct scratch_value *v, const void *buf, size_t n, uint64_t off);
void scratch_value_cut(struct scratch_value *v, uint32_t size);

/* A file of memory with what an earlier process had: its descriptor, owned by the caller. -EBADMSG. */
int scratch_value_open(const struct scratch_value *v, struct scratch_note *ret, uint32_t *ret_size);

#endif
