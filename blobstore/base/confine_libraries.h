/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_CONFINE_LIBRARIES_H
#define BLOBSTORE_BASE_CONFINE_LIBRARIES_H

/* The files that a program takes to start: its loader and its libraries. */

typedef int confine_library_fn(void *ctx, const char *path);

/*
 * Calls FN with the path of each; a negative errno of it ends that. A program without a loader, or that is none, has
 * none. -ENOEXEC: the loader does not find all of them.
 */
int confine_libraries_each(const char *program, confine_library_fn *fn, void *ctx);

#endif
