/* SPDX-License-Identifier: MIT */

/*
 * rpm's database, which is SQLite's: a row of the table Packages for each, with its header as rpm itself has it in
 * memory. That is, in network order:
 *
 *      number of tags, bytes of data
 *      for each tag: which, type, where in the data, how many
 *      the data
 *
 * The file is opened as it was read, in memory. What rpm has written beside it only, to its -wal, is not in it: rpm takes
 * that in when it ends.
 */

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "blobstore/import/inside_reader/inside_reader.h"

enum {
        RPM_NAME = 1000,
        RPM_VERSION = 1001,
        RPM_RELEASE = 1002,
        RPM_EPOCH = 1003,
        RPM_ARCH = 1022,
};

enum {
        TYPE_INT32 = 4,
        TYPE_STRING = 6,
};

#define HEAD_BYTES 8
#define TAG_BYTES  16

struct header {
        const uint8_t *tags, *data;
        uint32_t n, data_len;
};

static uint32_t get_be32(const uint8_t *p)
{
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return be32toh(v);
}

static bool read_header(const uint8_t *p, size_t len, struct header *ret)
{
        if (len < HEAD_BYTES)
                return false;
        ret->n = get_be32(p);
        ret->data_len = get_be32(p + 4);
        len -= HEAD_BYTES;
        if (ret->n > len / TAG_BYTES || ret->data_len > len - (size_t)ret->n * TAG_BYTES)
                return false;
        ret->tags = p + HEAD_BYTES;
        ret->data = ret->tags + (size_t)ret->n * TAG_BYTES;
        return true;
}

/* The first value of the tag: N bytes that are there. NULL: it has none of the type. */
static const uint8_t *find_tag(const struct header *h, uint32_t tag, uint32_t type, uint32_t n)
{
        for (uint32_t i = 0; i < h->n; i++) {
                const uint8_t *p = h->tags + (size_t)i * TAG_BYTES;
                const uint32_t off = get_be32(p + 8);

                if (get_be32(p) != tag || get_be32(p + 4) != type)
                        continue;
                return off <= h->data_len && n <= h->data_len - off ? h->data + off : NULL;
        }
        return NULL;
}

static const char *find_text(const struct header *h, uint32_t tag)
{
        const uint8_t *p = find_tag(h, tag, TYPE_STRING, 1);

        return p && memchr(p, '\0', (size_t)(h->data + h->data_len - p)) ? (const char *)p : "";
}

static void add_package(const struct header *h, struct packages *ret)
{
        const uint8_t *epoch = find_tag(h, RPM_EPOCH, TYPE_INT32, 4);
        const char *arch = find_text(h, RPM_ARCH);
        char version[512], number[16] = "";

        if (epoch)
                (void)snprintf(number, sizeof(number), "%u:", get_be32(epoch));
        (void)snprintf(version, sizeof(version), "%s%.200s-%.200s", number, find_text(h, RPM_VERSION),
                       find_text(h, RPM_RELEASE));
        packages_add(ret, find_text(h, RPM_NAME), version, arch[0] ? arch : "(none)"); /* as rpm -qa has it, of keys */
}

/* A file that is written by way of a log says so where others have 1, and would ask for that. */
static void forget_log(char *database, size_t len)
{
        if (len > 19 && database[18] == 2 && database[19] == 2)
                database[18] = database[19] = 1;
}

void rpm_list(char *database, size_t len, struct packages *ret)
{
        sqlite3_stmt *stmt = NULL;
        sqlite3 *db = NULL;

        forget_log(database, len);
        if (sqlite3_open(":memory:", &db) == SQLITE_OK &&
            sqlite3_deserialize(db, "main", (unsigned char *)database, (sqlite3_int64)len, (sqlite3_int64)len,
                                SQLITE_DESERIALIZE_READONLY) == SQLITE_OK &&
            sqlite3_prepare_v2(db, "SELECT blob FROM Packages", -1, &stmt, NULL) == SQLITE_OK) {
                while (sqlite3_step(stmt) == SQLITE_ROW) {
                        const uint8_t *bytes = sqlite3_column_blob(stmt, 0);
                        struct header h;

                        if (bytes && read_header(bytes, (size_t)sqlite3_column_bytes(stmt, 0), &h))
                                add_package(&h, ret);
                }
        }
        (void)sqlite3_finalize(stmt);
        (void)sqlite3_close(db);
}
