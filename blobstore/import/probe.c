/* SPDX-License-Identifier: MIT */

/*
 * Decides what a file is. Every signature is tried, also those of formats that are
 * not read, and at most one may match: a file that is two things at once was made
 * to be taken for one and used as the other. What matches none is raw; boot sectors,
 * partition tables and file systems are what raw disks begin with, so they are no
 * signatures here.
 */

#include "blobstore/import/source.h"

#include <errno.h>
#include <strings.h>
#include <sys/stat.h>

#include "blobstore/base/block.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/import/format_priv.h"

#define HEAD_BYTES 1024
#define TAIL_BYTES 512
#define ISO_OFFSET 0x8001

enum place {
        HEAD, /* counted from the start */
        TAIL, /* counted from the start of the last 512 bytes */
};

struct signature {
        const char *title; /* as the user knows it */
        const char *magic;
        uint8_t len;
        enum place place;
        uint16_t offset;
        enum image_format format; /* AUTO: known, but not read */
        enum image_packing packing;
        const char *advice; /* what to do instead */
};

#define SIG(place_, offset_, magic_) \
        .place = (place_), .offset = (offset_), .magic = (magic_), .len = sizeof(magic_) - 1

#define CONVERT "is not accepted yet: convert it with qemu-img convert -O qcow2"
#define UNPACK  "must be unpacked first"

static const struct signature signatures[] = {
        { "qcow2", SIG(HEAD, 0, "QFI\xfb"), .format = IMAGE_FORMAT_QCOW2 },
        { "VMDK", SIG(HEAD, 0, "KDMV"), .format = IMAGE_FORMAT_VMDK },
        { "VMDK", SIG(HEAD, 0, "COWD"), .advice = CONVERT },
        { "VMDK", SIG(HEAD, 0, "# Disk DescriptorFile"), .advice = "only describes other files, which hold its data: "
          "take those together with qemu-img convert -O qcow2" },
        { "VHD", SIG(TAIL, 1, "conectix"), .advice = "has a footer of 511 bytes, as old writers left it, and is not "
          "accepted: add a byte of zero to its end" },
        { "VHD", SIG(TAIL, 0, "conectix"), .format = IMAGE_FORMAT_VHD },
        { "VHD", SIG(HEAD, 0, "conectix"), .format = IMAGE_FORMAT_VHD },
        { "VHDX", SIG(HEAD, 0, "vhdxfile"), .format = IMAGE_FORMAT_VHDX },
        { "VDI", SIG(HEAD, 0x40, "\x7f\x10\xda\xbe"), .format = IMAGE_FORMAT_VDI },
        { "QED", SIG(HEAD, 0, "QED\0"), .advice = CONVERT },
        { "Parallels", SIG(HEAD, 0, "WithoutFreeSpace"), .advice = CONVERT },
        { "Parallels", SIG(HEAD, 0, "WithouFreSpacExt"), .advice = CONVERT },
        { "VMA backup", SIG(HEAD, 0, "VMA\0"), .advice = UNPACK },
        { "OVA or tar", SIG(HEAD, 257, "ustar"), .packing = IMAGE_PACKING_OVA },
        { "ISO 9660", SIG(HEAD, ISO_OFFSET, "CD001"), .format = IMAGE_FORMAT_ISO },
        { "ISO 9660", SIG(HEAD, ISO_OFFSET, "BEA01"), .format = IMAGE_FORMAT_ISO }, /* with UDF alone */
        { "gzip", SIG(HEAD, 0, "\x1f\x8b\x08"), .packing = IMAGE_PACKING_GZIP },
        { "xz", SIG(HEAD, 0, "\xfd" "7zXZ\0"), .packing = IMAGE_PACKING_XZ },
        { "zstd", SIG(HEAD, 0, "\x28\xb5\x2f\xfd"), .packing = IMAGE_PACKING_ZSTD },
        { "bzip2", SIG(HEAD, 4, "\x31\x41\x59\x26\x53\x59"), .advice = UNPACK },
        { "zip", SIG(HEAD, 0, "PK\x03\x04"), .advice = UNPACK },
        { "LUKS", SIG(HEAD, 0, "LUKS\xba\xbe"), .format = IMAGE_FORMAT_RAW },
};

/* The parts of the file that signatures look at, zeros where it is shorter. */
struct glimpse {
        uint8_t head[HEAD_BYTES + 1]; /* so that it also ends as a text */
        uint8_t iso[8];
        uint8_t tail[TAIL_BYTES];
        uint64_t file_bytes;
};

static int glimpse_read(int fd, uint64_t file_bytes, struct glimpse *ret)
{
        struct glimpse g = { .file_bytes = file_bytes };
        ssize_t n;

        n = pread_full(fd, g.head, HEAD_BYTES, 0);
        if (n >= 0)
                n = pread_full(fd, g.iso, sizeof(g.iso), ISO_OFFSET);
        if (n >= 0 && g.file_bytes >= TAIL_BYTES)
                n = pread_full(fd, g.tail, sizeof(g.tail), g.file_bytes - TAIL_BYTES);
        if (n < 0)
                return (int)n;
        *ret = g;
        return 0;
}

static bool signature_matches(const struct signature *s, const struct glimpse *g)
{
        const uint8_t *at;

        if (s->place == TAIL)
                at = g->tail + s->offset;
        else
                at = s->offset == ISO_OFFSET ? g->iso : g->head + s->offset;
        return memcmp(at, s->magic, s->len) == 0;
}

/*
 * The end of a file may be the end of a disk in it, to which a guest has written the footer of a VHD, as our own qcow2
 * files of such a disk are. Beside another format that counts only where the footer is of this very file: of a VHD
 * without tables, which has no other mark.
 */
static bool is_of_file(const struct signature *s, const struct glimpse *g)
{
        const uint8_t *footer = g->tail + s->offset;

        return s->place != TAIL || get_be64(footer + 48) == g->file_bytes - (TAIL_BYTES - s->offset);
}

/* *ret is NULL for a file without any. */
static int find_signature(const struct glimpse *g, const struct signature **ret, struct strbuf *reason)
{
        const struct signature *found = NULL;

        for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
                const struct signature *s = &signatures[i];

                if (!signature_matches(s, g))
                        continue;
                /* One format may show at several places: a VHD repeats its footer at the start. */
                if (found && strcmp(found->title, s->title) != 0) {
                        if (!is_of_file(s, g))
                                continue;
                        if (is_of_file(found, g))
                                return format_refuse(reason, "this file looks like %s and like %s at once: set the "
                                                     "format to raw if it is the content of a disk", found->title,
                                                     s->title);
                }
                found = s;
        }
        *ret = found;
        return 0;
}

/* A download that failed often leaves the server's page under the image's name. No disk has such a size and start. */
static bool is_web_page(const struct glimpse *g)
{
        static const char *const starts[] = { "<!doctype", "<html", "<?xml", "<head" };
        const char *text = (const char *)g->head;
        size_t blanks;

        if (g->file_bytes % 512 == 0)
                return false;
        blanks = strspn(text, " \t\r\n");
        for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
                if (strncasecmp(text + blanks, starts[i], strlen(starts[i])) == 0)
                        return true;
        }
        return false;
}

static bool is_plain(enum image_format f)
{
        return f == IMAGE_FORMAT_RAW || f == IMAGE_FORMAT_ISO;
}

bool image_begins_plain(const uint8_t *start, enum image_format wanted)
{
        struct strbuf ignored CLEANUP_STRBUF = { 0 };
        const struct signature *s;
        struct glimpse g = { 0 };

        if (wanted != IMAGE_FORMAT_AUTO && !is_plain(wanted))
                return false;
        memcpy(g.head, start, HEAD_BYTES);
        memcpy(g.iso, start + ISO_OFFSET, sizeof(g.iso));
        if (find_signature(&g, &s, &ignored) < 0)
                return wanted == IMAGE_FORMAT_RAW;
        return !s || (!s->packing && is_plain(s->format));
}

bool image_is_plain(const struct image_probe *probe)
{
        return !probe->packing && is_plain(probe->format);
}

bool image_is_encrypted(const void *start, uint64_t n)
{
        return n >= 6 && memcmp(start, "LUKS\xba\xbe", 6) == 0;
}

static int refuse_other(enum image_format wanted, struct strbuf *reason)
{
        return format_refuse(reason, "the format is set to %s, but this is no %s file", image_format_name(wanted),
                             image_format_name(wanted));
}

/* An OVA's description comes first, which its name tells; the rest is found out when it is taken apart. */
static int decide_packed(const struct glimpse *g, const struct signature *s, enum image_format wanted,
                         struct image_probe *ret, struct strbuf *reason)
{
        if (s->packing == IMAGE_PACKING_OVA) {
                size_t n = strnlen((const char *)g->head, 100);

                if (n <= 4 || strncasecmp((const char *)g->head + n - 4, ".ovf", 4) != 0)
                        return format_refuse(reason, "this is a tar archive, and no OVA, whose first file would be a "
                                             "description (OVF): unpack it first");
                if (wanted != IMAGE_FORMAT_AUTO && wanted != IMAGE_FORMAT_OVA)
                        return refuse_other(wanted, reason);
                ret->format = IMAGE_FORMAT_OVA;
        } else {
                if (wanted != IMAGE_FORMAT_AUTO && wanted != IMAGE_FORMAT_QCOW2)
                        return refuse_other(wanted, reason);
                ret->format = wanted;
        }
        ret->packing = s->packing;
        return 0;
}

/*
 * Raw is the bytes of a disk, which may look like two formats at once, have the end of a VHD, or be what is on an ISO: a
 * stick shows the same bytes. An image file that holds a disk in its own way is none, whatever it was called.
 */
static int decide_raw(const struct glimpse *g, struct image_probe *ret, struct strbuf *reason)
{
        struct strbuf ignored CLEANUP_STRBUF = { 0 };
        const struct signature *s = NULL;

        ret->format = IMAGE_FORMAT_RAW;
        if (find_signature(g, &s, &ignored) < 0 || !s || !is_of_file(s, g) || (!s->packing && is_plain(s->format)))
                return 0;
        if (s->packing)
                return format_refuse(reason, "the format is set to raw, but this is a file of format %s: set format to "
                                     "auto", s->title);
        if (s->format == IMAGE_FORMAT_AUTO)
                return format_refuse(reason, "the format is set to raw, but this is a file of format %s, which %s",
                                     s->title, s->advice);
        return format_refuse(reason, "the format is set to raw, but this is a file of format %s: set format to auto or "
                             "%s", s->title, image_format_name(s->format));
}

static int decide(const struct glimpse *g, enum image_format wanted, struct image_probe *ret, struct strbuf *reason)
{
        const struct signature *s = NULL;
        int r;

        if (wanted == IMAGE_FORMAT_RAW)
                return decide_raw(g, ret, reason);

        r = find_signature(g, &s, reason);
        if (r < 0)
                return r;
        if (s && s->packing)
                return decide_packed(g, s, wanted, ret, reason);
        if (s && s->format == IMAGE_FORMAT_AUTO)
                return format_refuse(reason, "this is a file of format %s, which %s", s->title, s->advice);
        ret->format = s ? s->format : IMAGE_FORMAT_RAW;
        if (wanted != IMAGE_FORMAT_AUTO && wanted != ret->format)
                return refuse_other(wanted, reason);
        if (ret->format == IMAGE_FORMAT_RAW && is_web_page(g))
                return format_refuse(reason, "this is a web page, not a disk image: the download may have failed");
        return 0;
}

int image_probe_within(int limit_ms, int fd, enum image_format wanted, struct image_probe *ret, struct strbuf *reason)
{
        struct image_probe p = { 0 };
        const struct format *f;
        struct glimpse g;
        CLEANUP(judgement_done) struct judgement j = { 0 };
        struct stat st;
        int r;

        r = fstat(fd, &st) < 0 ? -errno : glimpse_read(fd, (uint64_t)st.st_size, &g);
        if (r < 0) {
                strbuf_add(reason, "the file could not be read");
                return r;
        }
        if (g.file_bytes == 0)
                return format_refuse(reason, "the file is empty");

        r = decide(&g, wanted, &p, reason);
        if (r < 0)
                return r;
        if (p.packing) {
                *ret = p;
                return 0;
        }
        f = format_get(p.format);
        p.encrypted = image_is_encrypted(g.head, HEAD_BYTES);
        p.size_bytes = g.file_bytes;
        if (p.format == IMAGE_FORMAT_RAW) {
                r = reach_find(fd, &p.reach);
                if (r < 0) {
                        strbuf_add(reason, "the file could not be read");
                        return r;
                }
        }
        if (f->judged) {
                r = judge_file(fd, f, false, limit_ms, &j, reason);
                p.encrypted |= j.judged.encrypted;
                p.size_bytes = j.judged.size_bytes;
                p.flat = j.judged.flat;
        }
        ret->encrypted = p.encrypted;
        if (r < 0)
                return r;
        if (p.size_bytes == 0)
                return format_refuse(reason, "the disk in this file has no bytes");
        if (p.size_bytes > BLOB_SIZE_MAX)
                return format_refuse_size(reason);
        *ret = p;
        return 0;
}

int image_probe(int fd, enum image_format wanted, struct image_probe *ret, struct strbuf *reason)
{
        return image_probe_within(0, fd, wanted, ret, reason);
}
