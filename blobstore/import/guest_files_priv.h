/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_GUEST_FILES_PRIV_H
#define BLOBSTORE_IMPORT_GUEST_FILES_PRIV_H

/*
 * Between guest_files.c and imagefs-inside, which is asked by its hello to serve files: a question is a struct guest_question,
 * and then come its requests to read (inside_reader/protocol.h), which are answered, and one answer.
 */

#include "blobstore/import/guest_files.h"
#include "blobstore/import/inside_reader/protocol.h"

enum guest_ask {
        GUEST_ROOT = 1,
        GUEST_STAT,
        GUEST_FIND,
        GUEST_LINK,
        GUEST_MAP,
        GUEST_LIST,
        GUEST_NAMES, /* as that, without attributes */
        GUEST_ASKS,
};

struct guest_question {
        uint32_t ask;
        uint32_t node;
        uint64_t pos; /* in a file or directory */
        uint32_t max; /* entries */
        char name[GUEST_NAME_MAX + 1];
};

/* Of a directory, one after the other in the bytes of an answer; the name follows, without a NUL. */
struct guest_listed {
        struct guest_attr attr;
        uint64_t next;
        uint32_t name_len, has_attr;
};

#define GUEST_ANSWER_BYTES ((size_t)32 << 10)

/* As long as its bytes are. ERROR is an errno, or 0; what the bytes are is the question's. */
struct guest_answer {
        uint32_t kind; /* INSIDE_ANSWER */
        uint32_t len;
        uint64_t error;
        _Alignas(8) uint8_t bytes[GUEST_ANSWER_BYTES];
};
#define GUEST_ANSWER_SIZE(n) (offsetof(struct guest_answer, bytes) + (n))

/* The half of it that trusts nobody: what the other side of FD says to the question Q that it was sent. -EPROTO, -ETIMEDOUT; READ's. */
int guest_files_answer(int fd, const struct inside_disk *disk, const struct inside_part *part, int wait_ms,
                       const struct guest_question *q, struct guest_answer *ret);
/* As guest_files_list(), of an answer. -EPROTO */
int guest_files_each(const struct guest_answer *a, uint64_t pos, guest_entry_fn *fn, void *ctx);

#endif
