/* SPDX-License-Identifier: MIT */

/*
 * Put before the libraries of the process that serves a mount: it dies in place of the next answer of the kind that is in the
 * file at UNANSWERED. All that was to be done is done then, and nobody was told. The file is removed before.
 */

#define FUSE_USE_VERSION 35

#include <dlfcn.h>
#include <fuse_lowlevel.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void die_for(const char *kind)
{
        const char *path = getenv("UNANSWERED");
        FILE *file = path ? fopen(path, "re") : NULL;
        char wanted[16] = "";

        if (!file)
                return;
        if (fscanf(file, "%15s", wanted) == 1 && strcmp(wanted, kind) == 0 && unlink(path) == 0)
                (void)raise(SIGKILL);
        (void)fclose(file);
}

/* ARGUMENTS: of the library's function, with their types; NAMES: without. */
#define ANSWER(function, arguments, names, kind, dies)          \
        int function arguments                                  \
        {                                                       \
                int(*real) arguments;                           \
                                                                \
                if (dies)                                       \
                        die_for(kind);                          \
                *(void **)&real = dlsym(RTLD_NEXT, #function);  \
                return real names;                              \
        }

ANSWER(fuse_reply_create, (fuse_req_t req, const struct fuse_entry_param *e, const struct fuse_file_info *fi), (req, e, fi),
       "create", 1)
ANSWER(fuse_reply_entry, (fuse_req_t req, const struct fuse_entry_param *e), (req, e), "entry", e->ino)
ANSWER(fuse_reply_attr, (fuse_req_t req, const struct stat *attr, double timeout), (req, attr, timeout), "attr", 1)
ANSWER(fuse_reply_open, (fuse_req_t req, const struct fuse_file_info *fi), (req, fi), "open", 1)
ANSWER(fuse_reply_write, (fuse_req_t req, size_t count), (req, count), "write", 1)
ANSWER(fuse_reply_err, (fuse_req_t req, int err), (req, err), "success", err == 0)
