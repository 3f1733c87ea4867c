/* SPDX-License-Identifier: MIT */

#include "fs/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/parse.h"

enum option_type {
        OPTION_FLAG, /* bool */
        OPTION_NUMBER, /* uint64_t */
        OPTION_SIZE, /* uint64_t, with K, M, G, T */
        OPTION_TEXT, /* char * */
        OPTION_FUSE, /* libfuse's or the kernel's: passed on */
};

struct option {
        const char *name; /* "-f" stands alone, others come after -o */
        const char *help;
        enum option_type type;
        size_t offset; /* in struct options; for OPTION_FUSE of a flag that is set too, or 0 */
};

#define TIDY_SECONDS_DEFAULT 600

#define AT(field) offsetof(struct options, field)

static const struct option option_table[] = {
        { "-f", "stay in the foreground", OPTION_FLAG, AT(foreground) },
        { "-d", "stay in the foreground and say what happens", OPTION_FLAG, AT(debug) },
        { "-h", "this text", OPTION_FLAG, AT(help) },
        { "--help", NULL, OPTION_FLAG, AT(help) },
        { "-V", "the version", OPTION_FLAG, AT(version) },
        { "--version", NULL, OPTION_FLAG, AT(version) },
        { "--print-tree", "every file of the mounted tree, with a line about it; a name after it: of that directory",
          OPTION_FLAG, AT(print_tree) },
        { "allow_other", "every user may use the mount, each as themselves", OPTION_FUSE, AT(allow_other) },
        { "ro", "nothing can be changed through the mount", OPTION_FUSE, 0 },
        { "cache=SIZE", "memory for decoded data, each store (64M)", OPTION_SIZE, AT(cache_bytes) },
        { "import-private", "everybody may import from this machine and private networks", OPTION_FLAG,
          AT(import_private) },
        { "workers=N", "long operations at the same time (2)", OPTION_NUMBER, AT(workers) },
        { "tidy=SECONDS", "make what is stored smaller after so long without work; 0: never (600)", OPTION_NUMBER,
          AT(tidy_seconds) },
        { "http=ADDRESS:PORT", "serve downloads there (off)", OPTION_TEXT, AT(http) },
        { "http-cert=FILE", "with TLS: the certificate, PEM", OPTION_TEXT, AT(http_cert) },
        { "http-key=FILE", "its key, PEM", OPTION_TEXT, AT(http_key) },
        { "http-name=HOST", "what addresses name, or HOST:PORT (where it listens)", OPTION_TEXT, AT(http_name) },
        /* what mount(8) and fstab add by themselves */
        { "rw", NULL, OPTION_FUSE, 0 },
        { "dev", NULL, OPTION_FUSE, 0 },
        { "nodev", NULL, OPTION_FUSE, 0 },
        { "suid", NULL, OPTION_FUSE, 0 },
        { "nosuid", NULL, OPTION_FUSE, 0 },
        { "exec", NULL, OPTION_FUSE, 0 },
        { "noexec", NULL, OPTION_FUSE, 0 },
        { "atime", NULL, OPTION_FUSE, 0 },
        { "noatime", NULL, OPTION_FUSE, 0 },
        { "auto_unmount", NULL, OPTION_FUSE, 0 },
        { "default_permissions", NULL, OPTION_FUSE, 0 }, /* always on */
};

void options_help(FILE *f)
{
        (void)fprintf(f, "imagefs STORE MOUNTPOINT [-o OPTION,…] [-f] [-d]\n"
                         "imagefs check STORE [--read-data] [--repair] [--restore-catalogue]\n\n"
                         "Mounts the library of virtual machine images kept in directory STORE (made if it is "
                         "missing).\n\n");
        for (size_t i = 0; i < sizeof(option_table) / sizeof(option_table[0]); i++) {
                const struct option *o = &option_table[i];
                bool alone = o->name[0] == '-';

                if (o->help)
                        (void)fprintf(f, "  %s%-*s %s\n", alone ? "" : "-o ", alone ? 20 : 17, o->name, o->help);
        }
        (void)fprintf(f, "\nUnmount with `umount MOUNTPOINT` or `fusermount3 -u MOUNTPOINT`.\n");
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

/* Takes one option, NAME or NAME=VALUE. */
static int option_take(struct options *opts, const char *text)
{
        size_t len = strcspn(text, "=");
        const char *value = text[len] ? text + len + 1 : NULL;

        for (size_t i = 0; i < sizeof(option_table) / sizeof(option_table[0]); i++) {
                const struct option *o = &option_table[i];
                void *field = (char *)opts + o->offset;
                bool wants_value = o->type == OPTION_NUMBER || o->type == OPTION_SIZE || o->type == OPTION_TEXT;

                if (strcspn(o->name, "=") != len || strncmp(o->name, text, len) != 0)
                        continue;
                if (wants_value != (value != NULL))
                        return option_fail(wants_value ? "a value is missing" : "takes no value", text);

                switch (o->type) {
                case OPTION_FLAG:
                        *(bool *)field = true;
                        return 0;
                case OPTION_NUMBER:
                        return parse_u64(value, field) < 0 ? option_fail("not a number", text) : 0;
                case OPTION_SIZE:
                        return parse_size(value, field) < 0 ? option_fail("not a size (64M, 1G …)", text) : 0;
                case OPTION_TEXT:
                        return option_set_text(field, value);
                case OPTION_FUSE:
                        if (o->offset)
                                *(bool *)field = true;
                        if (fuse_opt_add_arg(&opts->fuse, "-o") < 0 || fuse_opt_add_arg(&opts->fuse, text) < 0)
                                return -ENOMEM;
                        return 0;
                }
        }
        return option_fail("no such option", text);
}

static int option_take_list(struct options *opts, const char *list)
{
        char *copy = strdup(list), *rest = copy, *text;
        int r = copy ? 0 : -ENOMEM;

        while (r == 0 && (text = strsep(&rest, ",")))
                if (text[0])
                        r = option_take(opts, text);
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

int options_parse(int argc, char **argv, struct options *ret)
{
        bool words_only = false;
        int r;

        *ret = (struct options){ .tidy_seconds = TIDY_SECONDS_DEFAULT };
        if (fuse_opt_add_arg(&ret->fuse, "imagefs") < 0)
                return -ENOMEM;

        for (int i = 1; i < argc; i++) {
                const char *arg = argv[i];

                if (words_only || arg[0] != '-' || !arg[1]) {
                        r = option_take_word(ret, arg);
                } else if (strcmp(arg, "--") == 0) {
                        words_only = true;
                        r = 0;
                } else if (strncmp(arg, "-o", 2) == 0) {
                        if (!arg[2] && ++i == argc)
                                return option_fail("a list of options is missing", arg);
                        r = option_take_list(ret, arg[2] ? arg + 2 : argv[i]);
                } else {
                        r = option_take(ret, arg);
                }
                if (r < 0)
                        return r;
        }
        if (ret->help || ret->version)
                return 0;
        if (ret->print_tree)
                return ret->mountpoint ? option_fail("--print-tree takes one directory's name", ret->mountpoint) : 0;
        if (!ret->store || !ret->mountpoint)
                return option_fail("say where the library is and where to mount it", "STORE MOUNTPOINT");
        if (!ret->http && (ret->http_cert || ret->http_key || ret->http_name))
                return option_fail("means something only beside http=ADDRESS:PORT", "http-…");
        return 0;
}

void options_done(struct options *o)
{
        free(o->store);
        free(o->mountpoint);
        free(o->http);
        free(o->http_cert);
        free(o->http_key);
        free(o->http_name);
        fuse_opt_free_args(&o->fuse);
}
