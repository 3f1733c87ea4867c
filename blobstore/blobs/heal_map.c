/* SPDX-License-Identifier: MIT */

/*
 * A map that cannot be opened: its header is damaged, or its table. Both follow from its pages, from those that it borrows, which
 * the index has a record of, and from what the index has of the blob. So a map is written once more, beside, and takes
 * the damaged one's place where it proves to be the same: the header, which is there unharmed, vouches for all that
 * follows; or all that follows is there unharmed, and is what the index says.
 *
 * What is lost on both sides cannot be proven, and stays as it is; but for a store in a bucket, which has the whole of it there.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/blobs/blob_priv.h"
#include "blobstore/blobs/heal_priv.h"
#include "blobstore/blobs/map_file_priv.h"
#include "blobstore/blobs/map_priv.h"

struct remake {
        struct blobstore *store;
        const struct blob_id *id;
        struct index_blob blob;     /* as the index has it */
        int old_fd, fd;             /* what is left; the new one, borrowed of the writer */
        struct map_writer *writer;
        uint64_t own, own_pages;    /* entries and pages so far */
        uint64_t data;              /* bytes of all entries */
};

DEFINE_CLEANUP(struct map_writer *, map_writer_freep, map_writer_free)

static int remake_entry(void *ctx, const struct map_entry *e)
{
        struct remake *m = ctx;

        m->own++;
        m->data += e->len;
        return map_writer_add(m->writer, e);
}

static int remake_borrowed(struct remake *m, const struct index_loan *loan, uint64_t row)
{
        struct map_page p = { .lender = loan->lender, .page = loan->page + (uint32_t)(row - loan->row) };
        uint8_t bytes[MAP_PAGE_SIZE];
        int r;

        r = map_file_read_page(m->store, &p.lender, p.page, bytes);
        if (r == 0)
                r = map_page_measure(bytes, &p);
        if (r < 0)
                return r;
        m->data += p.bytes;
        return map_writer_borrow(m->writer, &p);
}

/* Row by row, as the writer of the blob had it. */
static int remake_rows(struct remake *m)
{
        struct index *ix = m->store->chunks->index;
        struct index_loan loan = { 0 };
        int n, r = 0;

        for (uint64_t row = 0; r == 0; row++) {
                if (row >= loan.row + loan.count) {
                        n = index_loan_list(ix, m->id, row, &loan, 1);
                        if (n < 0)
                                return n;
                        if (n == 0)
                                loan = (struct index_loan){ .row = UINT64_MAX };
                }
                if (row >= loan.row)
                        r = remake_borrowed(m, &loan, row);
                else if (m->own < m->blob.retained)
                        r = map_page_each(m->old_fd, m->id, m->own_pages++, remake_entry, m);
                else
                        return loan.row == UINT64_MAX ? 0 : -EBADMSG;
        }
        return r;
}

/* Are N bytes at OFF the same in both? What cannot be read is not. */
static bool is_same(const struct remake *m, uint64_t off, uint64_t end)
{
        uint8_t old[MAP_PAGE_SIZE], new[MAP_PAGE_SIZE];

        for (; off < end; off += MAP_PAGE_SIZE) {
                const size_t n = end - off < MAP_PAGE_SIZE ? (size_t)(end - off) : MAP_PAGE_SIZE;

                if (pread_full(m->old_fd, old, n, off) != (ssize_t)n || pread_full(m->fd, new, n, off) != (ssize_t)n ||
                    memcmp(old, new, n) != 0)
                        return false;
        }
        return true;
}

static bool is_proven(const struct remake *m, const struct blob_info *info)
{
        struct stat old, new;

        if (fstat(m->old_fd, &old) < 0 || fstat(m->fd, &new) < 0 || m->own != m->blob.retained ||
            m->data != m->blob.info.data_bytes || info->data_clusters != m->blob.info.data_clusters ||
            info->data_spans != m->blob.info.data_spans)
                return false;
        return is_same(m, 0, MAP_PAGE_SIZE) ||
               (old.st_size == new.st_size && is_same(m, MAP_PAGE_SIZE, (uint64_t)new.st_size));
}

/* The new map is in temp/, synced. */
static int remake_map(struct blobstore *bs, const struct blob_id *id)
{
        CLEANUP(map_writer_freep) struct map_writer *writer = NULL;
        struct remake m = { .store = bs, .id = id };
        CLEANUP_CLOSE int old_fd = -1;
        struct blob_info info;
        int r;

        r = index_blob_get(bs->chunks->index, id, &m.blob);
        if (r == 0)
                r = map_file_open_lender(bs, id, &old_fd, NULL);
        if (r == 0)
                r = map_file_create(bs, id, &m.fd);
        if (r == 0)
                r = map_writer_new(m.fd, id, &writer);
        if (r < 0)
                return r;
        m.old_fd = old_fd;
        m.writer = writer;
        info = m.blob.info;
        r = remake_rows(&m);
        if (r == 0)
                r = map_writer_finish(writer, &info);
        if (r == 0 && !is_proven(&m, &info))
                r = -EBADMSG;
        return r == 0 ? map_writer_sync(writer) : r;
}

int heal_map(struct blobstore *bs, const struct blob_id *id)
{
        int r;

        if (store_writable(bs) < 0)
                return 0;
        r = map_file_fetch(bs, id);
        if (r < 0 && r != -ENOMEM) {
                map_file_discard(bs, id);
                r = remake_map(bs, id);
        }
        if (r == 0)
                r = map_file_put_back(bs, id);
        if (r < 0)
                map_file_discard(bs, id);
        return r == 0 ? 1 : r == -ENOMEM ? r : 0;
}
