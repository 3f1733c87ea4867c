/* SPDX-License-Identifier: MIT */
/* The files of data disks (data_disk.h): what they are, and when they go. */

#include <errno.h>

#include "model/intake/data_disk_row.h"
#include "model/intake/incoming.h"

enum { FETCHED };

static const char *const data_disk_file_sql[] = {
        [FETCHED] = "SELECT count(*) FROM fetch WHERE image = ?1",
};
const struct db_statements data_disk_file_statements = DB_STATEMENTS(data_disk_file_sql);

int data_disk_probe(int fd, struct image_probe *ret, struct strbuf *reason)
{
        int r;

        r = image_probe(fd, IMAGE_FORMAT_AUTO, ret, reason);
        if (r == 0)
                r = image_check_end(ret, ret->size_bytes, reason);
        if (r < 0)
                return r;
        if (!ret->packing && ret->format != IMAGE_FORMAT_ISO)
                return 0;
        strbuf_add(reason, ret->packing ? "a data disk is taken as it is, and not packed: unpack it first" :
                                          "this is an ISO file, and no data disk");
        return -EINVAL;
}

/* 1: they are wanted still. */
static int are_wanted(struct model *m, uint64_t id, struct image *ret_image, uint64_t *ret_store)
{
        int64_t fetched;
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = image_load_with_store(&t, id, ret_image, ret_store);
        if (r == 0)
                r = db_int(&t, data_disk_file_sql[FETCHED], &fetched, DB_INT(id));
        if (r < 0)
                return r;
        switch (ret_image->status) {
        case IMAGE_QUEUED:
        case IMAGE_UPLOADING:
        case IMAGE_PENDING:
                return 1;
        case IMAGE_ERROR:
        case IMAGE_DELETED: /* it may be restored, and tried again */
                return fetched > 0;
        default:
                return 0;
        }
}

void data_disks_clear(struct model *m, uint64_t id)
{
        struct image image;
        uint64_t store;

        if (are_wanted(m, id, &image, &store) == 0) /* else the next start removes them */
                incoming_discard_disks(m, store, image.ident);
}
