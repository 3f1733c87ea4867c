/* SPDX-License-Identifier: MIT */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

/* The command line. --help is printed from the same table that it is read with. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define FUSE_USE_VERSION 312
#include <fuse_opt.h>

#include "fs/http/http.h"

/* As mount(8) has them. */
enum {
        EXIT_MOUNT_USAGE = 1,
        EXIT_MOUNT_FAILED = 32,
};

/* In which a request, and the disk of a blob store, is to be answered. */
#define SLOW_SECONDS_DEFAULT 30

/* RESTARTS_DEFAULT where there is a daemon, and a system that another process can go on with (supervise.h); else 0. */
#define RESTARTS_AS_CAN_BE UINT64_MAX
#define RESTARTS_DEFAULT   3

struct options {
        char *store, *mountpoint; /* with print_tree, STORE is the name of a directory of the tree, or NULL; with reexec, a mount point */
        bool foreground, debug, help, version, print_tree, print_tree_mdoc, reexec;
        bool fake; /* mount(8)'s -f: all but mounting */
        bool sloppy; /* mount(8)'s -s: an option that is not known is let pass */
        bool read_only, remount;
        bool allow_other;
        bool import_private;
        uint32_t uid, gid; /* who administers the library beside root; options_parse() begins with the caller's */
        uint64_t cache_bytes; /* 0: the default */
        uint64_t cache_disk_bytes; /* 0: none; UINT64_MAX: the default */
        char *cache_dir; /* NULL: in the store */
        uint64_t workers; /* 0: the default */
        uint64_t tidy_seconds; /* 0: never */
        uint64_t slow_seconds; /* 0: no request is */
        uint64_t lease_seconds; /* 0: the default */
        bool standby; /* another host's end is waited for */
        uint64_t restarts; /* in a minute; 0: never; RESTARTS_AS_CAN_BE: nobody said */
        char *http, *http_cert, *http_key, *http_name; /* NULL: not given */
        char *http_metrics_for; /* as it was given; NULL: not */
        enum http_metrics http_metrics;
        struct fuse_args fuse; /* what goes on to libfuse */
};

/*
 * Reads `imagefs STORE MOUNTPOINT …`, and where ARGV[0] is mount.imagefs or mount.fuse.imagefs what mount(8) calls it
 * with, whose -f, -n, -s, -v, -r, -w, -t and -N are its own. 0; -EINVAL after a message on standard error. Release with
 * options_done(), after a failure too.
 */
int options_parse(int argc, char **argv, struct options *ret);
void options_done(struct options *o);
void options_help(FILE *f);

#endif
