/* SPDX-License-Identifier: MIT */

#include "blobstore/import/unpacker/ovf.h"

#include <expat.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/import/unpacker/unpacker.h"

struct reading {
        XML_Parser parser;
        struct ovf *ovf;
        bool in_os, in_system;
        char *text; /* of the element at hand, OVF_VALUE_MAX bytes; NULL: not wanted */
};

/* Without "ovf:" and the like: people who write these by hand do not always declare their prefixes. */
static const char *local_name(const char *name)
{
        const char *colon = strchr(name, ':');

        return colon ? colon + 1 : name;
}

static const char *find_attribute(const char **attributes, const char *wanted)
{
        for (; attributes[0]; attributes += 2) {
                if (strcmp(local_name(attributes[0]), wanted) == 0)
                        return attributes[1];
        }
        return NULL;
}

static void copy_value(const char *value, char ret[OVF_VALUE_MAX])
{
        if (!value)
                refuse("the description (OVF) in this OVA leaves out the name of a file");
        if (strlen(value) >= OVF_VALUE_MAX)
                refuse("the description (OVF) in this OVA has a value that is too long");
        (void)snprintf(ret, OVF_VALUE_MAX, "%s", value);
}

static void note_file(struct ovf *o, const char **attributes)
{
        const char *compression = find_attribute(attributes, "compression");

        if (o->n_files == OVF_FILES_MAX)
                refuse("this OVA names more than %d files", OVF_FILES_MAX);
        copy_value(find_attribute(attributes, "id"), o->file[o->n_files].id);
        copy_value(find_attribute(attributes, "href"), o->file[o->n_files].name);
        if ((compression && compression[0] && strcmp(compression, "identity") != 0) ||
            find_attribute(attributes, "chunkSize"))
                refuse("this OVA holds compressed or divided files, which are not accepted: unpack it first");
        o->n_files++;
}

/* Disks without a file are empty ones, made when the machine is. */
static void note_disk(struct ovf *o, const char **attributes)
{
        const char *file = find_attribute(attributes, "fileRef");

        if (find_attribute(attributes, "parentRef"))
                refuse("a disk of this OVA is the difference to another one, its parent");
        if (!file)
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

static void XMLCALL on_start(void *ctx, const char *name, const char **attributes)
{
        struct reading *rd = ctx;

        name = local_name(name);
        rd->text = NULL;
        if (strcmp(name, "File") == 0) {
                note_file(rd->ovf, attributes);
        } else if (strcmp(name, "Disk") == 0) {
                note_disk(rd->ovf, attributes);
        } else if (strcmp(name, "VirtualSystemCollection") == 0 ||
                   (strcmp(name, "VirtualSystem") == 0 && rd->in_system)) {
                refuse("this OVA holds several machines");
        } else if (strcmp(name, "VirtualSystem") == 0) {
                rd->in_system = true;
        } else if (strcmp(name, "OperatingSystemSection") == 0) {
                rd->in_os = true;
        } else if (rd->in_os && strcmp(name, "Description") == 0 && !rd->ovf->os[0]) {
                rd->text = rd->ovf->os;
        } else if (rd->in_system && !rd->in_os && strcmp(name, "Name") == 0 && !rd->ovf->system[0]) {
                rd->text = rd->ovf->system;
        }
}

static void XMLCALL on_end(void *ctx, const char *name)
{
        struct reading *rd = ctx;

        rd->text = NULL;
        if (strcmp(local_name(name), "OperatingSystemSection") == 0)
                rd->in_os = false;
}

static void XMLCALL on_text(void *ctx, const char *bytes, int n)
{
        struct reading *rd = ctx;
        size_t len;

        if (!rd->text)
                return;
        len = strlen(rd->text);
        if ((size_t)n >= OVF_VALUE_MAX - len)
                refuse("the description (OVF) in this OVA has a value that is too long");
        (void)snprintf(rd->text + len, OVF_VALUE_MAX - len, "%.*s", n, bytes);
}

/* Entities are declared in document types: without one there are none that expand, or name a file. */
static void XMLCALL on_doctype(void *ctx, const char *name, const char *system, const char *public, int internal)
{
        (void)ctx;
        (void)name;
        (void)system;
        (void)public;
        (void)internal;
        refuse("the description (OVF) in this OVA has a document type, which is not accepted");
}

void ovf_parse(const char *text, struct ovf *ret)
{
        struct reading rd = { .parser = XML_ParserCreate(NULL), .ovf = ret };

        memset(ret, 0, sizeof(*ret));
        if (!rd.parser)
                refuse("there was not enough memory");
        XML_SetUserData(rd.parser, &rd);
        XML_SetElementHandler(rd.parser, on_start, on_end);
        XML_SetCharacterDataHandler(rd.parser, on_text);
        XML_SetStartDoctypeDeclHandler(rd.parser, on_doctype);
        if (XML_Parse(rd.parser, text, (int)strlen(text), XML_TRUE) != XML_STATUS_OK)
                refuse("the description (OVF) in this OVA is damaged: line %lu: %s",
                       XML_GetCurrentLineNumber(rd.parser), XML_ErrorString(XML_GetErrorCode(rd.parser)));
        XML_ParserFree(rd.parser);
        if (ret->n_disks == 0)
                refuse("this OVA has no disk");
}
