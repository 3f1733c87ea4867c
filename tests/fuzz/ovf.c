/* SPDX-License-Identifier: MIT */

/* The description in an OVA. A refusal ends imagefs-unpack: here it goes back, and what expat has allocated is released. */

#include <expat.h>
#include <setjmp.h>
#include <stdlib.h>

#include "tests/fuzz/lib/fuzz.h"

static XML_Parser parser;

static XML_Parser make_parser(const XML_Char *encoding)
{
        parser = XML_ParserCreate(encoding);
        return parser;
}

/* There may be none any more: what leaves out a disk is refused after it was read. */
static void free_parser(XML_Parser p)
{
        XML_ParserFree(p);
        parser = NULL;
}

#define XML_ParserCreate make_parser
#define XML_ParserFree free_parser
#include "blobstore/import/unpacker/ovf.c" /* with those */

static jmp_buf refused;

void refuse(const char *fmt, ...)
{
        MUST(fmt[0]);
        longjmp(refused, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        static struct ovf ovf;
        static char *text;

        free(text);
        text = input_text(&in);
        memset(&ovf, 0, sizeof(ovf));
        if (setjmp(refused)) {
                XML_ParserFree(parser);
                return 0;
        }
        ovf_parse(text, &ovf);
        MUST(ovf.n_disks <= OVF_DISKS_MAX && ovf.n_files <= OVF_FILES_MAX);
        for (size_t i = 0; i < ovf.n_disks; i++)
                MUST(ovf.disk[i] < ovf.n_files);
        MUST(strlen(ovf.system) < OVF_VALUE_MAX && strlen(ovf.os) < OVF_VALUE_MAX);
        return 0;
}
