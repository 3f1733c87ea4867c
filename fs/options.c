/* SPDX-License-Identifier: MIT */

#include "fs/options.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/parse.h"

enum option_type {
        OPTION_FLAG, /* bool */
        OPTION_NUMBER, /* uint64_t */
        OPTION_SIZE, /* uint64_t, with K, M, G, T */
        OPTION_TEXT, /* char * */
        OPTION_USER, /* uint32_t, a user's name or number */
        OPTION_GROUP, /* likewise */
        OPTION_FUSE, /* libfuse's or the kernel's: passed on; sets a bool too, if there is one */
        OPTION_FUSE_NOT, /* likewise; takes it back */
        OPTION_NOTHING, /* mount(8)'s or systemd's own, or without a meaning here */
};

struct option {
        const char *name; /* "-f" stands alone, others come after -o */
        const char *help;
        enum option_type type;
        size_t offset; /* in struct options; 0: of none */
        uint64_t least, most; /* of a number, and the former of a size; MOST 0: as many as there are */
};

#define TIDY_SECONDS_DEFAULT 600
#define SLOW_SECONDS_MAX     86400
#define LEASE_SECONDS_MAX    3600

/* A time is kept of each. */
#define RESTARTS_MAX 1000000

#define AT(field) .offset = offsetof(struct options, field)

static const struct option flag_table[] = {
        { "-f", "stay in the foreground", OPTION_FLAG, AT(foreground) },
        { "-d", "stay in the foreground and say what happens", OPTION_FLAG, AT(debug) },
        { "-h", "this text", OPTION_FLAG, AT(help) },
        { "--help", NULL, OPTION_FLAG, AT(help) },
        { "-V", "the version", OPTION_FLAG, AT(version) },
        { "--version", NULL, OPTION_FLAG, AT(version) },
        { "--print-tree", "every file of the mounted tree, with a line about it; a name after it: of that directory",
          OPTION_FLAG, AT(print_tree) },
        { "--reexec", "put the program that is installed by now under a mount in use, whose mount point comes after it",
          OPTION_FLAG, AT(reexec) },
        { "--print-tree-mdoc", NULL, OPTION_FLAG, AT(print_tree_mdoc) }, /* for the build: see fs/man */
        { NULL },
};

/* mount(8), "External helpers". */
static const struct option helper_table[] = {
        { "-f", NULL, OPTION_FLAG, AT(fake) },
        { "-s", NULL, OPTION_FLAG, AT(sloppy) },
        { "-r", NULL, OPTION_FLAG, AT(read_only) },
        { "-w", NULL, .type = OPTION_NOTHING },
        { "-n", NULL, .type = OPTION_NOTHING },
        { "-v", NULL, .type = OPTION_NOTHING },
        { "-h", NULL, OPTION_FLAG, AT(help) },
        { "--help", NULL, OPTION_FLAG, AT(help) },
        { "-V", NULL, OPTION_FLAG, AT(version) },
        { "--version", NULL, OPTION_FLAG, AT(version) },
        { NULL },
};

/* What comes after -o. */
static const struct option option_table[] = {
        { "allow_other", "every user may use the mount, each as themselves", OPTION_FUSE, AT(allow_other) },
        { "ro", "nothing can be changed through the mount", OPTION_FUSE, AT(read_only) },
        { "uid=USER", "who administers the library beside root (who mounts it)", OPTION_USER, AT(uid) },
        { "gid=GROUP", "the group of what belongs to nobody (of who mounts it)", OPTION_GROUP, AT(gid) },
        { "cache=SIZE", "memory for decoded data, each store (64M)", OPTION_SIZE, AT(cache_bytes), .least = 1 },
        { "cache-dir=DIR", "keep there what small reads of images decode, as on a fast disk (the store)", OPTION_TEXT,
          AT(cache_dir) },
        { "cache-disk=SIZE", "so much of that, each store; 0: none (a tenth of its disk, at most 32G)", OPTION_SIZE,
          AT(cache_disk_bytes) },
        { "import-private", "everybody may import from this machine and private networks", OPTION_FLAG,
          AT(import_private) },
        { "workers=N", "long operations at the same time (2)", OPTION_NUMBER, AT(workers), .least = 1 },
        { "tidy=SECONDS", "make what is stored smaller after so long without work; 0: never (600)", OPTION_NUMBER,
          AT(tidy_seconds) },
        { "slow-request=SECONDS", "log what a request waits for after so long; 0: never (30)", OPTION_NUMBER,
          AT(slow_seconds), .most = SLOW_SECONDS_MAX },
        { "http=ADDRESS:PORT", "serve downloads there (off)", OPTION_TEXT, AT(http) },
        { "http-cert=FILE", "with TLS: the certificate, PEM", OPTION_TEXT, AT(http_cert) },
        { "http-key=FILE", "its key, PEM", OPTION_TEXT, AT(http_key) },
        { "http-name=HOST", "what addresses name, or HOST:PORT (where it listens)", OPTION_TEXT, AT(http_name) },
        { "http-metrics=WHO", "/metrics there for `loopback`, any user of this machine, or for `all` (nobody)", OPTION_TEXT,
          AT(http_metrics_for) },
        { "lease=SECONDS", "with a catalogue in PostgreSQL: how long another host must not hear of this one to take over (15)",
          OPTION_NUMBER, AT(lease_seconds), .least = 1, .most = LEASE_SECONDS_MAX },
        { "standby", "likewise: where another host serves the library, wait until it does so no more", OPTION_FLAG, AT(standby) },
        { "restarts=N", "when it dies, go on without anybody noticing, as often in a minute; 0: never (3; 0 with -f)", OPTION_NUMBER,
          AT(restarts), .most = RESTARTS_MAX },
        { "remount", "with ro or rw: change that of what is mounted", OPTION_FLAG, AT(remount) },
        /* what stands in fstab, or mount(8) adds by itself */
        { "rw", NULL, OPTION_FUSE_NOT, AT(read_only) },
        { "dev", NULL, .type = OPTION_FUSE },
        { "nodev", NULL, .type = OPTION_FUSE },
        { "suid", NULL, .type = OPTION_FUSE },
        { "nosuid", NULL, .type = OPTION_FUSE },
        { "exec", NULL, .type = OPTION_FUSE },
        { "noexec", NULL, .type = OPTION_FUSE },
        { "sync", NULL, .type = OPTION_FUSE },
        { "async", NULL, .type = OPTION_FUSE },
        { "dirsync", NULL, .type = OPTION_FUSE },
        { "auto_unmount", NULL, .type = OPTION_FUSE },
        { "default_permissions", NULL, .type = OPTION_FUSE }, /* always on */
        { "defaults", NULL, .type = OPTION_NOTHING },
        { "auto", NULL, .type = OPTION_NOTHING },
        { "noauto", NULL, .type = OPTION_NOTHING },
        { "nofail", NULL, .type = OPTION_NOTHING },
        { "_netdev", NULL, .type = OPTION_NOTHING },
        { "user", NULL, .type = OPTION_NOTHING },
        { "nouser", NULL, .type = OPTION_NOTHING },
        { "users", NULL, .type = OPTION_NOTHING },
        { "nousers", NULL, .type = OPTION_NOTHING },
        { "owner", NULL, .type = OPTION_NOTHING },
        { "noowner", NULL, .type = OPTION_NOTHING },
        { "group", NULL, .type = OPTION_NOTHING },
        { "nogroup", NULL, .type = OPTION_NOTHING },
        { "silent", NULL, .type = OPTION_NOTHING },
        { "loud", NULL, .type = OPTION_NOTHING },
        /* no read changes a time here */
        { "atime", NULL, .type = OPTION_NOTHING },
        { "noatime", NULL, .type = OPTION_NOTHING },
        { "diratime", NULL, .type = OPTION_NOTHING },
        { "nodiratime", NULL, .type = OPTION_NOTHING },
        { "relatime", NULL, .type = OPTION_NOTHING },
        { "norelatime", NULL, .type = OPTION_NOTHING },
        { "strictatime", NULL, .type = OPTION_NOTHING },
        { "nostrictatime", NULL, .type = OPTION_NOTHING },
        { "lazytime", NULL, .type = OPTION_NOTHING },
        { "nolazytime", NULL, .type = OPTION_NOTHING },
        /* what /proc/mounts says of a mount, which a remount gives back */
        { "user_id=UID", NULL, .type = OPTION_NOTHING },
        { "group_id=GID", NULL, .type = OPTION_NOTHING },
        { "max_read=SIZE", NULL, .type = OPTION_NOTHING },
        /* each object has a mode of its own */
        { "umask=MASK", NULL, .type = OPTION_NOTHING },
        { "comment=TEXT", NULL, .type = OPTION_NOTHING },
        { NULL },
};

/* Of mount(8), its callers and systemd, with or without a value: x-systemd.automount, X-mount.mkdir. */
static bool is_application_specific(const char *text)
{
        return strncmp(text, "x-", 2) == 0 || strncmp(text, "X-", 2) == 0;
}

static void table_help(FILE *f, const struct option *table, const char *before)
{
        for (const struct option *o = table; o->name; o++)
                if (o->help)
                        (void)fprintf(f, "  %s%-*s %s\n", before, (int)(20 - strlen(before)), o->name, o->help);
}

void options_help(FILE *f)
{
        (void)fprintf(f, "imagefs STORE MOUNTPOINT [-o OPTION,…] [-f] [-d]\n"
                         "imagefs init STORE\n"
                         "imagefs check STORE [--read-data] [--repair] [--restore-catalogue]\n"
                         "imagefs scrub STORE\n"
                         "imagefs migrate STORE --catalogue ADDRESS\n"
                         "imagefs stat STORE|MOUNTPOINT [--json]\n"
                         "imagefs top MOUNTPOINT [--count N]\n"
                         "imagefs --reexec MOUNTPOINT\n\n"
                         "Mounts the library of virtual machine images kept in directory STORE, which init has made, or whose catalogue is\n"
                         "at an address, as postgresql://USER@HOST/DATABASE, in a directory of this host's own.\n"
                         "imagefs COMMAND --help says more of a command.\n\n");
        table_help(f, flag_table, "");
        table_help(f, option_table, "-o ");
        (void)fprintf(f, "\nWhat fstab has besides, such as defaults, nofail, _netdev, noatime, user or x-systemd.…, may be "
                         "there.\nUnmount with `umount MOUNTPOINT` or `fusermount3 -u MOUNTPOINT`.\n");
}

static int option_fail(const char *what, const char *text)
{
        (void)fprintf(stderr, "imagefs: %s: %s (imagefs --help shows what there is)\n", text, what);
        return -EINVAL;
}

/* The last one counts. */
static int option_set_text(char **field, const char *value)
{
        char *copy = strdup(value);

        if (!copy)
                return -ENOMEM;
        free(*field);
        *field = copy;
        return 0;
}

/* A user or group by NUMBER, or by name. */
static int option_set_id(uint32_t *field, const char *value, bool group)
{
        uint64_t number;

        if (parse_u64(value, &number) == 0 && number < UINT32_MAX) {
                *field = (uint32_t)number;
                return 0;
        }
        if (group) {
                const struct group *g = getgrnam(value);

                if (g)
                        *field = g->gr_gid;
                return g ? 0 : -ENOENT;
        }
        const struct passwd *p = getpwnam(value);

        if (p)
                *field = p->pw_uid;
        return p ? 0 : -ENOENT;
}

static int option_pass_on(struct options *opts, const char *text)
{
        return fuse_opt_add_arg(&opts->fuse, "-o") < 0 || fuse_opt_add_arg(&opts->fuse, text) < 0 ? -ENOMEM : 0;
}

/* As O->least and O->most have it. */
static int option_set_number(uint64_t *field, const struct option *o, const char *text, const char *value)
{
        char why[80];
        uint64_t n;

        if (parse_u64(value, &n) < 0)
                return option_fail("not a number", text);
        if (n < o->least || (o->most && n > o->most)) {
                (void)snprintf(why, sizeof(why), o->most ? "not a number from %" PRIu64 " to %" PRIu64 : "not a number from %" PRIu64 " on",
                               o->least, o->most);
                return option_fail(why, text);
        }
        *field = n;
        return 0;
}

/* Takes O, written as TEXT. VALUE may be NULL. */
static int option_apply(struct options *opts, const struct option *o, const char *text, const char *value)
{
        void *field = (char *)opts + o->offset;

        switch (o->type) {
        case OPTION_FLAG:
                *(bool *)field = true;
                return 0;
        case OPTION_NUMBER:
                return option_set_number(field, o, text, value);
        case OPTION_SIZE:
                return parse_size(value, field) < 0 || *(uint64_t *)field < o->least ?
                               option_fail("not a size (64M, 1G …)", text) : 0;
        case OPTION_TEXT:
                return option_set_text(field, value);
        case OPTION_USER:
                return option_set_id(field, value, false) < 0 ? option_fail("no such user", text) : 0;
        case OPTION_GROUP:
                return option_set_id(field, value, true) < 0 ? option_fail("no such group", text) : 0;
        case OPTION_FUSE:
        case OPTION_FUSE_NOT:
                if (o->offset)
                        *(bool *)field = o->type == OPTION_FUSE;
                return option_pass_on(opts, text);
        case OPTION_NOTHING:
                return 0;
        }
        return -EINVAL;
}

/* Takes one option of TABLE, NAME or NAME=VALUE. */
static int option_take(struct options *opts, const struct option *table, const char *text)
{
        size_t len = strcspn(text, "=");
        const char *value = text[len] ? text + len + 1 : NULL;

        for (const struct option *o = table; o->name; o++) {
                bool wants_value = strchr(o->name, '=');

                if (strcspn(o->name, "=") != len || strncmp(o->name, text, len) != 0)
                        continue;
                if (wants_value != (value != NULL))
                        return option_fail(wants_value ? "a value is missing" : "takes no value", text);
                return option_apply(opts, o, text, value);
        }
        return opts->sloppy ? 0 : option_fail("no such option", text);
}

static int option_take_list(struct options *opts, const char *list)
{
        char *copy = strdup(list), *rest = copy, *text;
        int r = copy ? 0 : -ENOMEM;

        while (r == 0 && (text = strsep(&rest, ",")))
                if (text[0] && !is_application_specific(text))
                        r = option_take(opts, option_table, text);
        free(copy);
        return r;
}

static int option_take_word(struct options *opts, const char *word)
{
        char **place = !opts->store ? &opts->store : &opts->mountpoint;

        if (*place)
                return option_fail("one argument too many", word);
        *place = strdup(word);
        return *place ? 0 : -ENOMEM;
}

/* -fd is -f -d. */
static int option_take_letters(struct options *opts, const struct option *table, const char *arg)
{
        int r = 0;

        if (arg[1] == '-')
                return option_take(opts, table, arg);
        for (const char *letter = arg + 1; r == 0 && *letter; letter++)
                r = option_take(opts, table, (const char[]){ '-', *letter, '\0' });
        return r;
}

static int options_read(struct options *opts, const struct option *flags, const char *with_value, int argc, char **argv)
{
        bool words_only = false;
        int r = 0;

        for (int i = 1; r == 0 && i < argc; i++) {
                const char *arg = argv[i], *value;

                if (words_only || arg[0] != '-' || !arg[1]) {
                        r = option_take_word(opts, arg);
                } else if (strcmp(arg, "--") == 0) {
                        words_only = true;
                } else if (strchr(with_value, arg[1])) {
                        value = arg[2] ? arg + 2 : argv[++i];
                        if (!value)
                                return option_fail("something is missing after it", arg);
                        r = arg[1] == 'o' ? option_take_list(opts, value) : 0;
                } else {
                        r = option_take_letters(opts, flags, arg);
                }
        }
        return r;
}

static int options_check(struct options *opts)
{
        if (opts->help || opts->version || opts->print_tree_mdoc)
                return 0;
        if (opts->print_tree)
                return opts->mountpoint ? option_fail("--print-tree takes one directory's name", opts->mountpoint) : 0;
        if (opts->reexec && (!opts->store || opts->mountpoint))
                return option_fail("--reexec takes one mount point", opts->mountpoint ? opts->mountpoint : "--reexec");
        if (opts->reexec)
                return 0;
        if (!opts->store || !opts->mountpoint)
                return option_fail("say where the library is and where to mount it", "STORE MOUNTPOINT");
        if (opts->http_metrics_for && strcmp(opts->http_metrics_for, "loopback") == 0)
                opts->http_metrics = HTTP_METRICS_LOOPBACK;
        else if (opts->http_metrics_for && strcmp(opts->http_metrics_for, "all") == 0)
                opts->http_metrics = HTTP_METRICS_ALL;
        else if (opts->http_metrics_for)
                return option_fail("say http-metrics=loopback or http-metrics=all", opts->http_metrics_for);
        if (!opts->http && (opts->http_cert || opts->http_key || opts->http_name || opts->http_metrics_for))
                return option_fail("means something only beside http=ADDRESS:PORT", "http-…");
        return 0;
}

int options_parse(int argc, char **argv, struct options *ret)
{
        const char *slash = strrchr(argv[0], '/');
        bool is_helper = strncmp(slash ? slash + 1 : argv[0], "mount.", strlen("mount.")) == 0;
        int r;

        *ret = (struct options){
                .cache_disk_bytes = UINT64_MAX,
                .tidy_seconds = TIDY_SECONDS_DEFAULT,
                .slow_seconds = SLOW_SECONDS_DEFAULT,
                .restarts = RESTARTS_AS_CAN_BE,
                .uid = getuid(),
                .gid = getgid(),
        };
        if (fuse_opt_add_arg(&ret->fuse, "imagefs") < 0)
                return -ENOMEM;
        r = options_read(ret, is_helper ? helper_table : flag_table, is_helper ? "otN" : "o", argc, argv);
        if (r == 0 && is_helper && ret->read_only)
                r = option_pass_on(ret, "ro");
        return r < 0 ? r : options_check(ret);
}

void options_done(struct options *o)
{
        free(o->store);
        free(o->mountpoint);
        free(o->cache_dir);
        free(o->http);
        free(o->http_cert);
        free(o->http_key);
        free(o->http_name);
        free(o->http_metrics_for);
        fuse_opt_free_args(&o->fuse);
}
