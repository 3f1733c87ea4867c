/* SPDX-License-Identifier: MIT */
/*
 * Source of the layout: cloud-init's documentation of the NoCloud data source (a file system labelled cidata with the
 * files user-data and meta-data, and vendor-data and network-config where they are). libarchive writes the ISO; times are the instance's, so that nothing in it changes by
 * itself.
 */

#include "fs/tree/seed.h"

#ifdef HAVE_LIBARCHIVE

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <time.h>

static la_ssize_t seed_write(struct archive *a, void *ctx, const void *bytes, size_t n)
{
        struct strbuf *out = ctx;

        (void)a;
        strbuf_add_bytes(out, bytes, n);
        return strbuf_error(out) < 0 ? -1 : (la_ssize_t)n;
}

static int seed_add(struct archive *a, const char *name, const struct strbuf *text, time_t when)
{
        struct archive_entry *e = archive_entry_new();
        int r = ARCHIVE_OK;

        if (!e)
                return ARCHIVE_FATAL;
        archive_entry_set_pathname(e, name);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0444);
        archive_entry_set_size(e, (la_int64_t)text->len);
        archive_entry_set_mtime(e, when, 0);
        archive_entry_set_birthtime(e, when, 0);
        archive_entry_set_ctime(e, when, 0);
        archive_entry_set_atime(e, when, 0);
        r = archive_write_header(a, e);
        if (r == ARCHIVE_OK && text->len && archive_write_data(a, text->text, text->len) != (la_ssize_t)text->len)
                r = ARCHIVE_FATAL;
        archive_entry_free(e);
        return r;
}

static int seed_archive(const struct instance_seed *seed, time_t when, struct strbuf *out)
{
        const struct {
                const char *name;
                const struct strbuf *text;
        } files[] = {
                { "meta-data", &seed->meta_data },
                { "network-config", &seed->network_config },
                { "user-data", &seed->user_data },
                { "vendor-data", &seed->vendor_data },
        };
        struct archive *a = archive_write_new();
        int r = a ? ARCHIVE_OK : ARCHIVE_FATAL;

        if (r == ARCHIVE_OK)
                r = archive_write_set_format_iso9660(a);
        /*
         * Joliet keeps the names as they are; without Rock Ridge there are fewer times to mend; and the 300 KiB of zeros
         * at the end are for drives that read too far, while every machine has such a file.
         */
        if (r == ARCHIVE_OK)
                r = archive_write_set_options(a, "volume-id=cidata,joliet,!rockridge,!pad");
        if (r == ARCHIVE_OK)
                r = archive_write_open(a, out, NULL, seed_write, NULL);
        for (size_t i = 0; r == ARCHIVE_OK && i < sizeof(files) / sizeof(files[0]); i++) {
                if (files[i].text->len)
                        r = seed_add(a, files[i].name, files[i].text, when);
        }
        if (r == ARCHIVE_OK)
                r = archive_write_close(a);
        archive_write_free(a);
        if (r != ARCHIVE_OK)
                return strbuf_error(out) < 0 ? strbuf_error(out) : -EIO;
        return 0;
}

/* ECMA-119: descriptors from sector 16 on; 8.4 tells what is where in them, 9.1 in a directory record. */
#define ISO_SECTOR           2048
#define ISO_FIRST_DESCRIPTOR 16
#define ISO_TERMINATOR       255
#define ISO_ROOT_RECORD      156
#define ISO_CREATED          813 /* and modified, 17 bytes further */
#define ISO_RECORD_EXTENT    2
#define ISO_RECORD_SIZE      10
#define ISO_RECORD_TIME      18

static uint32_t seed_le32(const char *p)
{
        const unsigned char *u = (const unsigned char *)p;

        return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static void seed_set_record_time(char *record, const struct tm *tm)
{
        const char when[] = { (char)tm->tm_year, (char)(tm->tm_mon + 1), (char)tm->tm_mday, (char)tm->tm_hour,
                              (char)tm->tm_min, (char)tm->tm_sec, 0 };

        memcpy(record + ISO_RECORD_TIME, when, sizeof(when));
}

/* libarchive stamps volume and root with the present time; the same instance gives the same bytes. */
static int seed_set_times(struct strbuf *iso, time_t when)
{
        char text[18];
        struct tm tm;

        if (!gmtime_r(&when, &tm) || strftime(text, sizeof(text), "%Y%m%d%H%M%S00", &tm) == 0)
                return -EINVAL;
        for (size_t at = ISO_FIRST_DESCRIPTOR * ISO_SECTOR; at + ISO_SECTOR <= iso->len; at += ISO_SECTOR) {
                char *d = iso->text + at, *root = d + ISO_ROOT_RECORD;
                size_t dir = (size_t)seed_le32(root + ISO_RECORD_EXTENT) * ISO_SECTOR;
                size_t end = dir + seed_le32(root + ISO_RECORD_SIZE);

                if ((unsigned char)d[0] == ISO_TERMINATOR) {
                        /* the sector after it is libarchive's note of when and how it was written; nobody reads that */
                        if (at + 2 * ISO_SECTOR <= iso->len)
                                memset(d + ISO_SECTOR, 0, ISO_SECTOR);
                        return 0;
                }
                memcpy(d + ISO_CREATED, text, 16);
                d[ISO_CREATED + 16] = 0; /* UTC */
                memcpy(d + ISO_CREATED + 17, d + ISO_CREATED, 17);
                /* Effective; the one between says that it does not expire. */
                memcpy(d + ISO_CREATED + 3 * 17, d + ISO_CREATED, 17);
                seed_set_record_time(root, &tm);
                for (; dir < end && end <= iso->len && iso->text[dir]; dir += (unsigned char)iso->text[dir])
                        seed_set_record_time(iso->text + dir, &tm);
        }
        return -EIO;
}

static int seed_make(const struct instance_seed *seed, time_t when, struct strbuf *out)
{
        int r = seed_archive(seed, when, out);

        return r < 0 ? r : seed_set_times(out, when);
}

int seed_show(struct req *rq, struct strbuf *out)
{
        CLEANUP(instance_seed_done) struct instance_seed seed = { 0 };
        const struct instance *i;
        int r;

        r = req_instance(rq, rq->oid, &i);
        if (r < 0)
                return r;
        r = instance_seed(rq->fs->model, rq->oid, &seed);
        return r < 0 ? r : seed_make(&seed, (time_t)(i->o.updated_us / 1000000), out);
}

int seed_check(struct req *rq)
{
        (void)rq;
        return 0;
}

#else

int seed_check(struct req *rq)
{
        return diag_set(&rq->diag, -EOPNOTSUPP, "this imagefs was built without libarchive, which makes seed.iso: set "
                        "it in the guest, or in the image");
}

int seed_show(struct req *rq, struct strbuf *out)
{
        (void)out;
        return seed_check(rq);
}

#endif
