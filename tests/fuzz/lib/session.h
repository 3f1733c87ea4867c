/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_LIB_SESSION_H
#define TESTS_FUZZ_LIB_SESSION_H

/*
 * What is mounted, without the kernel: a library in a directory of its own, all that fs/mount.c puts around it, and a session
 * of libfuse's, which is given requests as the kernel would send them, by one thread, each answered before the next.
 */

#include <stddef.h>
#include <stdint.h>

struct session;

#define ANSWER_MAX ((size_t)256 << 10)

struct answer {
        int error; /* 0, or a negative errno */
        size_t n;
        uint8_t bytes[ANSWER_MAX];
};

/*
 * The session of this process. It is made anew after some hundred calls, so that what inputs leave in it has an end: in it
 * are a region r1, with an image "web" and a machine "vm1" of it with a disk, a volume "data", and an image "new" that waits
 * for its upload, all of alice's.
 */
struct session *session_get(void);

enum session_user { SESSION_ROOT, SESSION_ALICE, SESSION_BOB, SESSION_USERS };

/* OPCODE and the N bytes behind the header as in linux/fuse.h. Borrowed until the next. */
const struct answer *session_ask(struct session *s, uint32_t opcode, uint64_t node, enum session_user user, const void *bytes,
                                 size_t n);

#endif
