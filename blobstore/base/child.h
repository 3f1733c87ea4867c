/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_CHILD_H
#define BLOBSTORE_BASE_CHILD_H

/*
 * Runs a program on untrusted input with nothing but what it is given: without
 * privileges, network, other files or other processes, and with bounded memory
 * and time. Where the kernel cannot confine it, it is not started.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/base/strbuf.h"

#define CHILD_FDS_MAX 8

/* What of the child's standard output and error is kept. */
#define CHILD_OUTPUT_MAX 4096

struct child_fd {
        int fd; /* borrowed for the start */
        bool reopen; /* may be opened again for reading, as /proc/self/fd/N, whatever its mode (child_lend.h) */
};

struct child_opts {
        const char *const *argv; /* ends with NULL; argv[0] is the absolute path of the program */
        struct child_fd fds[CHILD_FDS_MAX]; /* what the child finds open as 3, 4, … beside its standard streams */
        size_t n_fds;
        bool socket_activation; /* tell it, as systemd does, that descriptor 3 is a listening socket */
        uint64_t memory_bytes; /* address space; 0: no limit */
        uint64_t cpu_seconds; /* 0: no limit */
};

struct child;

/* The path of a program of imagefs's own: beside this one, as in a build directory, or installed. -ENOENT. */
int child_find_program(const char *name, struct strbuf *ret);

/*
 * Starts the program; on 0 it is running confined. It is killed when the thread that started it ends, so start it
 * from the thread that uses it. Standard input is empty, standard output and error are captured.
 * -EOPNOTSUPP: the kernel lacks Landlock; -ENOENT: no such program; other: REASON names the step that failed.
 */
int child_start(const struct child_opts *opts, struct child **ret, struct strbuf *reason);

/* It has opened again what it may: what was lent for that is taken back, which else is done at the end. */
void child_has_opened(struct child *c);

/* Waits for the program to end by itself; *ret_status is as waitpid(2) gives it. -ETIMEDOUT. */
int child_wait(struct child *c, int timeout_ms, int *ret_status);

/* What it has written so far, cut to CHILD_OUTPUT_MAX printable characters. Borrowed until the next call. */
const char *child_output(struct child *c);

/* Kills the program where it still runs, and leaves no zombie. Accepts NULL. */
void child_kill_and_wait(struct child *c);

#endif
