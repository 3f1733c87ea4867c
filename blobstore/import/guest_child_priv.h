/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_IMPORT_GUEST_CHILD_PRIV_H
#define BLOBSTORE_IMPORT_GUEST_CHILD_PRIV_H

/*
 * A confined program that reads a guest's disks, and the socket by which it asks for their bytes (SOCK_SEQPACKET, so that
 * a packet is a request). Whatever it says is taken as said by the guest.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "blobstore/base/child.h"

struct guest_child {
        const char *program; /* of imagefs's own */
        const void *hello; /* the first packet */
        size_t hello_len;
        uint64_t memory_bytes, cpu_seconds;
};

/* -ENOENT: it is not built; as child_start(). *RET_FD is the caller's. */
int guest_child_start(const struct guest_child *what, int *ret_fd, struct child **ret);

/* The next packet, of SIZE bytes at the most; 0: the other side is done. *LEFT_MS is what may be spent on waiting. -EPROTO, -ETIMEDOUT */
ssize_t guest_child_receive(int fd, int64_t *left_ms, void *buf, size_t size);

/* Answers one. A packet is never waited to be taken: who asks has room for the answer. */
int guest_child_answer(int fd, const void *buf, size_t n);

/* It is done, and has ended well: else -EIO. R, where that says that it has not, is given back. Takes the child. */
int guest_child_end(struct child *c, const char *program, int r);

#endif
