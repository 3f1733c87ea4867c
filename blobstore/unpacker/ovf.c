/* SPDX-License-Identifier: MIT */

#include "blobstore/unpacker/ovf.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/unpacker/unpacker.h"

#define DAMAGED "the description (OVF) in this OVA is damaged"

/* An element's start, between its angle brackets. */
struct tag {
        const char *name; /* without its prefix */
        size_t name_len;
        const char *attributes, *end;
};

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *skip_blanks(const char *p, const char *end)
{
        while (p < end && is_blank(*p))
                p++;
        return p;
}

/* Cuts off "ovf:" and the like. */
static void cut_prefix(const char **name, size_t *len)
{
        const char *colon = memchr(*name, ':', *len);

        if (colon) {
                *len -= (size_t)(colon + 1 - *name);
                *name = colon + 1;
        }
}

static bool is_named(const char *name, size_t len, const char *wanted)
{
        return strlen(wanted) == len && memcmp(name, wanted, len) == 0;
}

/* Copies text, with its entities replaced. */
static void copy_text(const char *from, const char *end, char *ret, size_t size)
{
        static const struct {
                const char *name;
                char c;
        } entities[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' } };
        size_t n = 0;

        while (from < end) {
                char c = *from++;

                if (c == '&') {
                        size_t i = 0;

                        while (i < 5 && strncmp(from - 1, entities[i].name, strlen(entities[i].name)) != 0)
                                i++;
                        if (i == 5)
                                refuse("the description (OVF) in this OVA uses entities, which are not accepted");
                        c = entities[i].c;
                        from += strlen(entities[i].name) - 1;
                }
                if (n + 1 == size)
                        refuse(DAMAGED ": a value is too long");
                ret[n++] = c;
        }
        ret[n] = '\0';
}

/* The value of an attribute; false where it is not there. */
static bool get_attribute(const struct tag *t, const char *wanted, char ret[OVF_VALUE_MAX])
{
        const char *p = skip_blanks(t->attributes, t->end);
        bool found = false;

        while (p < t->end && *p != '/') {
                const char *name = p, *value, *close;
                size_t len;

                while (p < t->end && !is_blank(*p) && *p != '=')
                        p++;
                len = (size_t)(p - name);
                p = skip_blanks(p, t->end);
                if (p == t->end || *p != '=')
                        refuse(DAMAGED);
                p = skip_blanks(p + 1, t->end);
                if (p == t->end || (*p != '"' && *p != '\''))
                        refuse(DAMAGED);
                value = p + 1;
                close = memchr(value, *p, (size_t)(t->end - value));
                if (!close)
                        refuse(DAMAGED);
                p = skip_blanks(close + 1, t->end);
                cut_prefix(&name, &len);
                if (is_named(name, len, wanted) && !found) {
                        copy_text(value, close, ret, OVF_VALUE_MAX);
                        found = true;
                }
        }
        return found;
}

static void note_file(struct ovf *o, const struct tag *t)
{
        char other[OVF_VALUE_MAX];

        if (o->n_files == OVF_FILES_MAX)
                refuse("this OVA names more than %d files", OVF_FILES_MAX);
        if (!get_attribute(t, "id", o->file[o->n_files].id) || !get_attribute(t, "href", o->file[o->n_files].name))
                refuse(DAMAGED);
        if ((get_attribute(t, "compression", other) && strcmp(other, "identity") != 0 && other[0]) ||
            get_attribute(t, "chunkSize", other))
                refuse("this OVA holds compressed or divided files, which are not accepted: unpack it first");
        o->n_files++;
}

/* Disks without a file are empty ones, made when the machine is. */
static void note_disk(struct ovf *o, const struct tag *t)
{
        char file[OVF_VALUE_MAX], other[OVF_VALUE_MAX];

        if (get_attribute(t, "parentRef", other))
                refuse("a disk of this OVA is the difference to another one, its parent");
        if (!get_attribute(t, "fileRef", file))
                return;
        if (o->n_disks == OVF_DISKS_MAX)
                refuse("this OVA has more than %d disks", OVF_DISKS_MAX);
        for (size_t i = 0; i < o->n_files; i++) {
                if (strcmp(o->file[i].id, file) != 0)
                        continue;
                for (size_t k = 0; k < o->n_disks; k++) {
                        if (o->disk[k] == i)
                                refuse("two disks of this OVA are the same file");
                }
                o->disk[o->n_disks++] = i;
                return;
        }
        refuse("a disk of this OVA names a file that its description does not list");
}

/* What stands in the element up to the next bracket. */
static void note_text(const struct tag *t, const char *wanted, char ret[OVF_VALUE_MAX])
{
        const char *from = t->end + 1;

        if (!is_named(t->name, t->name_len, wanted) || ret[0] || t->end[-1] == '/')
                return;
        copy_text(from, from + strcspn(from, "<"), ret, OVF_VALUE_MAX);
}

static void note_tag(struct ovf *o, const struct tag *t, bool *in_os, bool *in_system)
{
        if (is_named(t->name, t->name_len, "File")) {
                note_file(o, t);
        } else if (is_named(t->name, t->name_len, "Disk")) {
                note_disk(o, t);
        } else if (is_named(t->name, t->name_len, "VirtualSystem")) {
                if (*in_system)
                        refuse("this OVA holds several machines");
                *in_system = true;
        } else if (is_named(t->name, t->name_len, "VirtualSystemCollection")) {
                refuse("this OVA holds several machines");
        } else if (is_named(t->name, t->name_len, "OperatingSystemSection")) {
                *in_os = true;
        } else if (*in_os) {
                note_text(t, "Description", o->os);
        } else if (*in_system) {
                note_text(t, "Name", o->system);
        }
}

/* Past a comment or an instruction that P begins; NULL where it begins an element. */
static const char *skip_markup(const char *p)
{
        const char *end;

        if (strncmp(p, "<!--", 4) == 0)
                end = strstr(p + 4, "-->");
        else if (strncmp(p, "<?", 2) == 0)
                end = strstr(p + 2, "?>");
        else if (strncmp(p, "<!", 2) == 0)
                refuse("the description (OVF) in this OVA has a document type, which is not accepted");
        else
                return NULL;
        if (!end)
                refuse(DAMAGED);
        return end + (end[0] == '-' ? 3 : 2);
}

/* The bracket that closes an element, which does not count within quotes. */
static const char *find_end(const char *p)
{
        char quote = '\0';

        for (; *p; p++) {
                if (quote)
                        quote = *p == quote ? '\0' : quote;
                else if (*p == '"' || *p == '\'')
                        quote = *p;
                else if (*p == '>')
                        return p;
        }
        refuse(DAMAGED);
}

void ovf_parse(const char *text, struct ovf *ret)
{
        bool in_os = false, in_system = false;
        const char *p = text, *after;

        memset(ret, 0, sizeof(*ret));
        while ((p = strchr(p, '<'))) {
                struct tag t = { .name = p + 1 };
                bool closes = p[1] == '/';

                after = skip_markup(p);
                if (after) {
                        p = after;
                        continue;
                }
                t.name += closes;
                t.end = find_end(p);
                t.name_len = strcspn(t.name, " \t\r\n/>");
                t.attributes = t.name + t.name_len;
                cut_prefix(&t.name, &t.name_len);
                if (!closes)
                        note_tag(ret, &t, &in_os, &in_system);
                else if (is_named(t.name, t.name_len, "OperatingSystemSection"))
                        in_os = false;
                p = t.end + 1;
        }
        if (ret->n_disks == 0)
                refuse("this OVA has no disk");
}
