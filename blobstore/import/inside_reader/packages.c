/* SPDX-License-Identifier: MIT */

/*
 * What is installed, from the databases of dpkg, rpm and apk. The first of a disk's file systems that has one of them
 * with a package in it is asked, and the first of that in this order.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/import/inside_reader/inside_reader.h"

#define DATABASE_MAX ((size_t)256 << 20)
#define FIELD_MAX    256

/* ---- the list ---- */

static void copy_field(char *ret, const char *text)
{
        size_t n = 0;

        for (; n < FIELD_MAX - 1 && text[n]; n++)
                ret[n] = (char)(text[n] > ' ' && text[n] <= '~' ? text[n] : '?');
        ret[n] = '\0';
}

void packages_add(struct packages *ps, const char *name, const char *version, const char *arch)
{
        char field[3][FIELD_MAX], *line;

        if (!name[0])
                return;
        if (ps->n == ps->size) {
                ps->size = ps->size ? ps->size * 2 : 1024;
                ps->line = reallocarray(ps->line, ps->size, sizeof(*ps->line));
                if (!ps->line)
                        _exit(1);
        }
        copy_field(field[0], name);
        copy_field(field[1], version);
        copy_field(field[2], arch);
        if (asprintf(&line, "%s %s %s\n", field[0], field[1], field[2]) < 0)
                _exit(1);
        ps->line[ps->n++] = line;
}

static int compare(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- dpkg's status, and apk's installed: paragraphs of "Key: value" ---- */

/* The values of a paragraph's first lines with these keys, which lose their newlines. */
struct paragraph {
        const char *const *key; /* ends with NULL */
        const char *value[4];
};

/* Gives the end of the paragraph at TEXT; NULL: there is none. */
static char *read_paragraph(char *text, struct paragraph *p)
{
        for (size_t k = 0; p->key[k]; k++)
                p->value[k] = "";
        while (*text == '\n')
                text++;
        if (!*text)
                return NULL;
        while (*text && *text != '\n') {
                char *end = strchrnul(text, '\n');
                const bool last = !*end;

                *end = '\0';
                for (size_t k = 0; p->key[k]; k++) {
                        const size_t n = strlen(p->key[k]);

                        if (strncmp(text, p->key[k], n) == 0 && !p->value[k][0])
                                p->value[k] = text + n + strspn(text + n, " ");
                }
                text = last ? end : end + 1;
        }
        return text;
}

/* "install ok installed": what was removed and kept its configuration is not there, nor what did not get that far. */
static bool is_installed(const char *status)
{
        const char *word = strrchr(status, ' ');

        return word && (strcmp(word, " installed") == 0 || strncmp(word, " triggers-", 10) == 0);
}

static void list_dpkg(char *text, size_t len, struct packages *ret)
{
        static const char *const keys[] = { "Package:", "Version:", "Architecture:", "Status:", NULL };
        struct paragraph p = { .key = keys };

        (void)len;
        while ((text = read_paragraph(text, &p))) {
                if (is_installed(p.value[3]))
                        packages_add(ret, p.value[0], p.value[1], p.value[2]);
        }
}

static void list_apk(char *text, size_t len, struct packages *ret)
{
        static const char *const keys[] = { "P:", "V:", "A:", NULL };
        struct paragraph p = { .key = keys };

        (void)len;
        while ((text = read_paragraph(text, &p)))
                packages_add(ret, p.value[0], p.value[1], p.value[2]);
}

/* ---- where they are ---- */

static const struct {
        const char *path;
        void (*list)(char *text, size_t len, struct packages *ret);
} databases[] = {
        { "/var/lib/dpkg/status", list_dpkg },
        { "/usr/lib/sysimage/rpm/rpmdb.sqlite", rpm_list },
        { "/var/lib/rpm/rpmdb.sqlite", rpm_list },
        { "/usr/share/rpm/rpmdb.sqlite", rpm_list },
        { "/lib/apk/db/installed", list_apk },
        { "/usr/lib/apk/db/installed", list_apk },
};

static void search(struct ext *e, struct packages *ret)
{
        for (size_t i = 0; i < sizeof(databases) / sizeof(databases[0]) && ret->n == 0; i++) {
                size_t len;
                char *text = ext_read_file(e, databases[i].path, DATABASE_MAX, &len);

                if (text)
                        databases[i].list(text, len, ret);
                free(text);
        }
}

int find_packages(struct guest_disk *d, struct packages *ret)
{
        bool readable = false, ext = false;

        disk_list_areas(d);
        for (size_t i = 0; i < d->n_areas && ret->n == 0; i++) {
                struct ext *e = d->area[i].ext ? ext_open(&d->area[i]) : NULL;

                ext = ext || d->area[i].ext;
                readable = readable || e;
                if (e)
                        search(e, ret);
                ext_close(e);
        }
        if (ret->n == 0)
                return readable ? -ENODATA : ext && !ext_is_built() ? -ENOPKG : -ENOMEDIUM;
        qsort(ret->line, ret->n, sizeof(*ret->line), compare);
        return 0;
}
