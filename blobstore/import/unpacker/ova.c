/* SPDX-License-Identifier: MIT */

/*
 * An OVA: a tar of plain files, the description (OVF) first, then in any order disks, a manifest with digests of all,
 * a certificate, and what else the machine needs. Members are told by name but never unpacked to a path; still a
 * name that would lead elsewhere, a link, or the same name twice shows that somebody meant harm, and is refused.
 *
 * A disk is passed on while its digests are worked out, and the manifest is compared at the end; what was passed on
 * is thrown away then where it is wrong. One with digests that are not known here is refused: nobody should take for
 * checked what was not.
 */

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "blobstore/base/parse.h"
#include "blobstore/import/digest.h"
#include "blobstore/import/unpacker/ovf.h"
#include "blobstore/import/unpacker/unpacker.h"

#define MEMBERS_MAX     128
#define MEMBER_NAME_MAX 256
#define OVF_MAX         (1 << 20)
#define MANIFEST_MAX    (64 << 10)
#define BLOCK_BYTES     (64 << 10)

static const struct {
        const char *name; /* in a manifest */
        enum digest_kind kind;
} digests[] = {
        { "SHA1", DIGEST_SHA1 },
        { "SHA256", DIGEST_SHA256 },
        { "SHA384", DIGEST_SHA384 },
        { "SHA512", DIGEST_SHA512 },
};

#define N_DIGESTS (sizeof(digests) / sizeof(digests[0]))

struct member {
        char name[MEMBER_NAME_MAX];
        uint8_t digest[N_DIGESTS][DIGEST_BYTES_MAX];
};

struct ova {
        struct archive *archive;
        struct member member[MEMBERS_MAX];
        size_t n_members;
        struct ovf ovf;
        bool found[OVF_DISKS_MAX];
        char manifest[MANIFEST_MAX + 1];
        unsigned unwanted; /* digests that the manifest, once it is known, does not have: a bit each */
};

static bool has_ending(const char *name, const char *ending)
{
        size_t n = strlen(name), e = strlen(ending);

        return n > e && strcasecmp(name + n - e, ending) == 0;
}

static struct member *add_member(struct ova *o, struct archive_entry *entry)
{
        const char *name = archive_entry_pathname(entry);
        struct member *m = &o->member[o->n_members];

        if (!name || !name[0] || strlen(name) >= sizeof(m->name))
                refuse("this OVA has a file whose name is empty or too long");
        if (strchr(name, '/') || strchr(name, '\\') || name[0] == '.')
                refuse("this OVA has a file whose name leads elsewhere");
        if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) ||
            archive_entry_symlink(entry) || archive_entry_sparse_count(entry) > 0)
                refuse("this OVA has a link, directory or device where only plain files may be");
        if (o->n_members == MEMBERS_MAX)
                refuse("this OVA has more than %d files", MEMBERS_MAX);
        for (size_t i = 0; i < o->n_members; i++) {
                if (strcmp(o->member[i].name, name) == 0)
                        refuse("this OVA has two files of the same name");
        }
        (void)snprintf(m->name, sizeof(m->name), "%s", name);
        o->n_members++;
        return m;
}

/* Reads a member to its end: passes it on if DISK, and keeps it in TEXT, SIZE bytes with a NUL, if that is given. */
static void read_member(struct ova *o, struct member *m, bool disk, char *text, size_t size)
{
        static char buf[BLOCK_BYTES];
        struct digest *state[N_DIGESTS] = { 0 };
        size_t total = 0;
        la_ssize_t n;

        for (size_t i = 0; i < N_DIGESTS; i++) {
                if (!(o->unwanted & 1U << i) && digest_new(digests[i].kind, &state[i]) < 0)
                        refuse("there was not enough memory");
        }
        while ((n = archive_read_data(o->archive, buf, sizeof(buf))) > 0) {
                for (size_t i = 0; i < N_DIGESTS; i++) {
                        if (state[i])
                                digest_add(state[i], buf, (size_t)n);
                }
                if (disk)
                        put_data(buf, (size_t)n);
                if (text && total + (size_t)n >= size)
                        refuse("the description or manifest in this OVA is too long");
                if (text)
                        memcpy(text + total, buf, (size_t)n);
                total += (size_t)n;
        }
        if (n < 0)
                refuse("this OVA is damaged, or truncated");
        if (text)
                text[total] = '\0';
        for (size_t i = 0; i < N_DIGESTS; i++) {
                if (state[i])
                        digest_finish(state[i], m->digest[i]);
                digest_free(state[i]);
        }
}

static void read_description(struct ova *o, struct member *m)
{
        char *text = malloc(OVF_MAX);
        char hint[OVF_VALUE_MAX + 16];
        int n;

        if (!text)
                refuse("there was not enough memory");
        if (!has_ending(m->name, ".ovf"))
                refuse("this is a tar archive and no OVA: its first file is no description (OVF)");
        read_member(o, m, false, text, OVF_MAX);
        ovf_parse(text, &o->ovf);
        free(text);

        if (o->ovf.os[0]) {
                n = snprintf(hint, sizeof(hint), "platform=%s", o->ovf.os);
                put_frame(UNPACK_HINT, hint, (size_t)n);
                n = snprintf(hint, sizeof(hint), "os=%s", strcasestr(o->ovf.os, "windows") ? "windows" : "linux");
                if (strcasestr(o->ovf.os, "windows") || strcasestr(o->ovf.os, "linux") ||
                    strcasestr(o->ovf.os, "ubuntu") || strcasestr(o->ovf.os, "debian"))
                        put_frame(UNPACK_HINT, hint, (size_t)n);
        }
        if (o->ovf.system[0]) {
                n = snprintf(hint, sizeof(hint), "description=%s", o->ovf.system);
                put_frame(UNPACK_HINT, hint, (size_t)n);
        }
}

/* The number of the disk that is the member's, or none. */
static bool find_disk(const struct ova *o, const char *name, uint8_t *ret)
{
        for (size_t i = 0; i < o->ovf.n_disks; i++) {
                if (strcmp(o->ovf.file[o->ovf.disk[i]].name, name) == 0) {
                        *ret = (uint8_t)i;
                        return true;
                }
        }
        return false;
}

static void read_other(struct ova *o, struct member *m)
{
        uint8_t disk;

        if (has_ending(m->name, ".ovf"))
                refuse("this OVA has two descriptions (OVF), and nobody can tell which of them counts: take one out of "
                       "the archive");
        if (find_disk(o, m->name, &disk)) {
                put_frame(UNPACK_DISK, &disk, 1);
                read_member(o, m, true, NULL, 0);
                o->found[disk] = true;
        } else if (has_ending(m->name, ".mf")) {
                if (o->manifest[0])
                        refuse("this OVA has two manifests");
                read_member(o, m, false, o->manifest, sizeof(o->manifest));
                for (size_t i = 0; i < N_DIGESTS; i++)
                        o->unwanted |= strcasestr(o->manifest, digests[i].name) ? 0 : 1U << i;
        } else {
                read_member(o, m, false, NULL, 0);
        }
}

/* "SHA256(name)= hex" */
static void check_line(const struct ova *o, const char *line)
{
        uint8_t wanted[DIGEST_BYTES_MAX];
        const char *open = strchr(line, '(');
        const char *close = strrchr(line, ')');
        size_t d = 0, i = 0, hex;

        if (!line[0])
                return;
        if (!open || !close || close < open || close[1] != '=')
                refuse("the manifest of this OVA makes no sense");
        while (d < N_DIGESTS && (strlen(digests[d].name) != (size_t)(open - line) ||
                                 strncasecmp(digests[d].name, line, (size_t)(open - line)) != 0))
                d++;
        if (d == N_DIGESTS)
                refuse("the manifest of this OVA has digests other than SHA-1, SHA-256, SHA-384 and SHA-512, which "
                       "cannot be checked here: take it out of the archive");
        while (i < o->n_members && (strlen(o->member[i].name) != (size_t)(close - open - 1) ||
                                    strncmp(o->member[i].name, open + 1, (size_t)(close - open - 1)) != 0))
                i++;
        if (i == o->n_members)
                refuse("the manifest of this OVA lists a file that is not there");

        line = close + 2 + strspn(close + 2, " ");
        hex = strspn(line, "0123456789abcdefABCDEF");
        if (hex != 2 * digest_bytes(digests[d].kind) || parse_hex(line, hex, wanted) < 0)
                refuse("the manifest of this OVA makes no sense");
        if (memcmp(wanted, o->member[i].digest[d], hex / 2) != 0)
                refuse("the file %s in this OVA is not what its manifest says", o->member[i].name);
}

static void check_manifest(struct ova *o)
{
        char *rest = NULL;

        for (char *line = strtok_r(o->manifest, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
                check_line(o, line);
}

void unpack_ova(void)
{
        struct ova *o = calloc(1, sizeof(*o));
        struct archive_entry *entry;
        int r;

        if (o)
                o->archive = archive_read_new();
        if (!o || !o->archive)
                refuse("there was not enough memory");
        if (archive_read_support_format_tar(o->archive) != ARCHIVE_OK ||
            archive_read_open_fd(o->archive, UNPACK_INPUT_FD, BLOCK_BYTES) != ARCHIVE_OK)
                refuse("this OVA is damaged");

        while ((r = archive_read_next_header(o->archive, &entry)) == ARCHIVE_OK) {
                struct member *m = add_member(o, entry);

                if (o->n_members == 1)
                        read_description(o, m);
                else
                        read_other(o, m);
        }
        if (r != ARCHIVE_EOF)
                refuse("this OVA is damaged, or truncated");
        for (size_t i = 0; i < o->ovf.n_disks; i++) {
                if (!o->found[i])
                        refuse("this OVA is incomplete: its disk %s is missing", o->ovf.file[o->ovf.disk[i]].name);
        }
        check_manifest(o);
        (void)archive_read_free(o->archive);
        free(o);
}
