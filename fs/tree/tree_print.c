/* SPDX-License-Identifier: MIT */
/*
 * The tree as its tables say it, for people: each file with its line of help, below the directory that it is in. What is
 * asked for by name is searched for in the same walk, by the paths that it makes.
 */

#include "fs/tree/tree_print.h"

#include <string.h>

#include "blobstore/base/strbuf.h"
#include "fs/tree/tree.h"

static void tree_print_kind(FILE *f, enum node_kind k, int depth)
{
        const struct dir_kind *kind = tree_kind(k);

        for (const struct entry *e = kind->entries; e && e->name; e++) {
                int width = 32 - 2 * depth - (e->dir ? 1 : 0);

                (void)fprintf(f, "%*s%s%s%*s %s\n", 2 * depth, "", e->name, e->dir ? "/" : "",
                              width > (int)strlen(e->name) ? width - (int)strlen(e->name) : 0, "", e->help);
                /* the classes hold the same kind of image: spelled out once */
                if (e->dir && (e->dir != KIND_IMAGES || e->arg == CLASS_PRIVATE))
                        tree_print_kind(f, e->dir, depth + 1);
        }
        if (kind->child != KIND_NONE) {
                (void)fprintf(f, "%*s%s/\n", 2 * depth, "", kind->child_name);
                tree_print_kind(f, kind->child, depth + 1);
        }
}

void tree_print(FILE *f)
{
        tree_print_kind(f, KIND_ROOT, 0);
}

/* ---- one directory's part ---- */

/* Names of directories, as paths have them: images/<image>/disks. */
#define PATH_SIZE 256

struct part {
        FILE *f;
        const char *name; /* NULL: all names are listed instead, each once */
        bool found;
        struct strbuf names;
};

/* Is NAME how PATH ends? <image> may be written without its brackets. */
static bool is_end_of(const char *path, const char *name)
{
        size_t p = strlen(path), n = strlen(name);

        while (n > 0 && name[n - 1] == '/')
                n--;
        if (n == 0)
                return false;
        while (n > 0 && p > 0) {
                if (path[p - 1] == name[n - 1]) {
                        p--;
                        n--;
                } else if (path[p - 1] == '<' || path[p - 1] == '>') {
                        p--;
                } else {
                        return false;
                }
        }
        while (p > 0 && path[p - 1] == '<')
                p--;
        return n == 0 && (p == 0 || path[p - 1] == '/');
}

static void part_list(struct part *part, const char *path)
{
        const char *last = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        const char *names = strbuf_text(&part->names);
        const size_t n = strlen(last);

        for (const char *p = strstr(names, last); p; p = strstr(p + 1, last))
                if ((p == names || p[-1] == ' ') && (p[n] == ',' || !p[n]))
                        return;
        strbuf_addf(&part->names, "%s%s", part->names.len ? ", " : "", last);
}

static void part_walk(struct part *part, enum node_kind k, const char *path);

static void part_visit(struct part *part, enum node_kind k, const char *above, const char *name, bool again)
{
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "%s%s%s", above, above[0] ? "/" : "", name);
        if (!part->name) {
                part_list(part, path);
        } else if (is_end_of(path, part->name)) {
                (void)fprintf(part->f, "%s%s/\n", part->found ? "\n" : "", path);
                tree_print_kind(part->f, k, 1);
                part->found = true;
                return;
        }
        if (!again)
                part_walk(part, k, path);
}

static void part_walk(struct part *part, enum node_kind k, const char *path)
{
        const struct dir_kind *kind = tree_kind(k);

        for (const struct entry *e = kind->entries; e && e->name; e++)
                if (e->dir)
                        part_visit(part, e->dir, path, e->name, e->dir == KIND_IMAGES && e->arg != CLASS_PRIVATE);
        if (kind->child != KIND_NONE)
                part_visit(part, kind->child, path, kind->child_name, false);
}

bool tree_print_part(FILE *f, const char *name)
{
        struct part part = { .f = f, .name = name };

        part_walk(&part, KIND_ROOT, "");
        return part.found;
}

void tree_print_names(FILE *f)
{
        struct part part = { 0 };

        part_walk(&part, KIND_ROOT, "");
        (void)fprintf(f, "%s\n", strbuf_text(&part.names));
        strbuf_done(&part.names);
}
