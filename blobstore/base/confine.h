/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_CONFINE_H
#define BLOBSTORE_BASE_CONFINE_H

/*
 * What a confined process may still do: a Landlock ruleset for files and network,
 * and a seccomp filter for what Landlock leaves open. Both are made in the parent,
 * where memory may be allocated, and entered between vfork and exec.
 */

#include <linux/filter.h>
#include <stddef.h>

#define CONFINE_FILTER_MAX 192

struct confine {
        int ruleset_fd;
        struct sock_filter filter[CONFINE_FILTER_MAX];
        unsigned short filter_len;
};

/*
 * Prepares for PROGRAM (a path) and the N_FILES open files at FILE_FDS, which stay readable by opening them
 * again. -EOPNOTSUPP: no Landlock in this kernel. Release with confine_done().
 */
int confine_prepare(const char *program, const int *file_fds, size_t n_files, struct confine *ret);
void confine_done(struct confine *c);

/* Enters it, for good. Async-signal-safe; the caller has set no_new_privs. */
int confine_enter(const struct confine *c);

#endif
