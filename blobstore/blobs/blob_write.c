/* SPDX-License-Identifier: MIT */

/*
 * Writing a blob is a pipeline. The caller's thread finds zeros, cuts chunks and sums the whole blob up; each chunk is
 * then a job for the store's threads (blob_place.c), two at a time, since naming two takes hardly longer than one:
 *
 *      look up     name it, and look for the same name in the store. What is new is compressed, with a chunk before it
 *                  that has blocks in common with it, where there is one. In parallel.
 *      place       look once more for what came in meanwhile, append to the segment, enter into index and map.
 *                  In the order of the chunks, by whichever thread finished the one whose turn it is.
 *
 * A writer has a bounded number of chunks outstanding, and its caller waits beyond that; their buffers are used again.
 *
 * Nothing of a blob is visible before its commit: the segments are synced, a row names the blob as new, the segments are in the
 * bucket, if there is one, the map gets its name, the references are counted, the blob is live (see chunks/batch.c). Whatever a crash leaves of this the next
 * collection takes back.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "blobstore/base/lock.h"
#include "blobstore/blobs/blob_write_priv.h"
#include "blobstore/blobs/lend_priv.h"
#include "blobstore/blobs/map_file_priv.h"

/*
 * Chunks outstanding, each with half a megabyte of buffers. They are placed in order, and a large one holds up those
 * behind it: with two for each thread, a third of the processor time was spent waiting.
 */
#define WRITER_CHUNKS_PER_THREAD 12
#define WRITER_CHUNKS_MAX        48

/* References counted at a time; others wait for the index meanwhile. */
#define WRITER_REFS 512

/* Half a second of summing up: a hole of 60 TiB would hold up whoever writes for minutes. */
#define WRITER_SUMMED_HOLES_MAX (UINT64_C(128) << 30)

/* ---- cutting ---- */

/* A job with buffers to fill; waits for one if there are too many. */
static int writer_get_job(struct blob_writer *w, struct chunk_job **ret)
{
        struct chunk_job *j;

        LOCK_SCOPE(&w->lock);
        /*
         * Until there is room for many, so that not each chunk costs two switches between threads. One that waits for
         * the next is the last of those outstanding, and one is few.
         */
        if (w->outstanding >= w->max_jobs)
                while (w->error == 0 && w->outstanding > blob_writer_few(w))
                        pthread_cond_wait(&w->done, &w->lock);
        if (w->error)
                return w->error;

        j = STAILQ_FIRST(&w->unused);
        if (j) {
                STAILQ_REMOVE_HEAD(&w->unused, order);
        } else {
                j = malloc(sizeof(*j)); /* half a megabyte: not worth clearing */
                if (!j)
                        return w->error = -ENOMEM;
        }
        j->job.run = blob_place_run;
        j->writer = w;
        j->beside = NULL;
        j->looked_up = false;
        j->shared = false;
        j->is_page = false;
        j->entry = (struct map_entry){ .offset = w->size };
        *ret = j;
        return 0;
}

/* Has what waits for another chunk looked up without one. */
static int writer_submit(struct blob_writer *w)
{
        struct chunk_job *j = TAKE_PTR(w->alone), *other;
        int r;

        r = j ? pool_submit(w->store->chunks->pool, &j->job) : 0;
        if (r == 0)
                return 0;

        /* There is not one thread; so nothing but this job is outstanding. */
        LOCK_SCOPE(&w->lock);
        w->error = r;
        for (; j; j = other) {
                other = j->beside;
                STAILQ_REMOVE(&w->jobs, j, chunk_job, order);
                w->outstanding--;
                free(j);
        }
        return r;
}

/* Ends the chunk that is being filled, if there is one. */
static int writer_end_chunk(struct blob_writer *w)
{
        struct chunk_job *j = TAKE_PTR(w->cut);

        chunker_reset(&w->chunker);
        if (!j)
                return 0;
        j->entry.len = j->entry.raw_len;

        lock(&w->lock);
        STAILQ_INSERT_TAIL(&w->jobs, j, order);
        w->outstanding++;
        unlock(&w->lock);
        if (!w->alone) {
                w->alone = j;
                return 0;
        }
        w->alone->beside = j;
        return writer_submit(w);
}

/* Adds one block, which is shorter than a block only at the end. */
static int writer_add_block(struct blob_writer *w, const uint8_t *block, size_t n)
{
        int r;

        if (block_is_zero(block, n)) {
                r = writer_end_chunk(w);
                w->size += n;
                return r;
        }
        if (!w->cut) {
                r = writer_get_job(w, &w->cut);
                if (r < 0)
                        return r;
        }
        memcpy(w->cut->raw + w->cut->entry.raw_len, block, n);
        w->cut->entry.raw_len += (uint32_t)n;
        w->size += n;
        w->data_bytes += n;
        return chunker_add(&w->chunker, block, n) ? writer_end_chunk(w) : 0;
}

static int writer_check_room(struct blob_writer *w, uint64_t n)
{
        int r = blob_writer_error(w);

        if (r < 0)
                return r;
        return n > BLOB_SIZE_MAX - w->size - w->partial_len ? blob_writer_fail(w, -EFBIG) : 0;
}

/* Adds to the block that is not complete; NULL: zeros. Gives how many bytes it took. */
static int writer_add_partial(struct blob_writer *w, const uint8_t *bytes, size_t n, size_t *ret)
{
        size_t part = BLOB_BLOCK_SIZE - w->partial_len;

        if (part > n)
                part = n;
        if (bytes)
                memcpy(w->partial + w->partial_len, bytes, part);
        else
                memset(w->partial + w->partial_len, 0, part);
        w->partial_len += part;
        *ret = part;
        if (w->partial_len < BLOB_BLOCK_SIZE)
                return 0;
        w->partial_len = 0;
        return writer_add_block(w, w->partial, BLOB_BLOCK_SIZE);
}

int blob_writer_append(struct blob_writer *w, const void *buf, size_t n)
{
        const uint8_t *p = buf;
        size_t part;
        int r;

        r = writer_check_room(w, n);
        if (r < 0)
                return r;
        while (n > 0) {
                if (w->partial_len == 0 && n >= BLOB_BLOCK_SIZE) {
                        part = BLOB_BLOCK_SIZE;
                        r = writer_add_block(w, p, part);
                } else {
                        r = writer_add_partial(w, p, n, &part);
                }
                if (r < 0)
                        return blob_writer_fail(w, r);
                if (w->checksum)
                        checksum_add(w->checksum, p, part); /* while it is in the processor's cache */
                p += part;
                n -= part;
        }
        return 0;
}

void blob_writer_forgo_checksum(struct blob_writer *w)
{
        checksum_free(TAKE_PTR(w->checksum));
}

static void writer_sum_hole(struct blob_writer *w, uint64_t n)
{
        if (!w->checksum)
                return;
        if (n > WRITER_SUMMED_HOLES_MAX - w->summed_holes) {
                blob_writer_forgo_checksum(w);
                return;
        }
        checksum_add_zeros(w->checksum, n);
        w->summed_holes += n;
}

int blob_writer_hole(struct blob_writer *w, uint64_t n)
{
        uint64_t whole;
        size_t part;
        int r;

        r = writer_check_room(w, n);
        if (r < 0)
                return r;
        writer_sum_hole(w, n);
        if (w->partial_len > 0) {
                r = writer_add_partial(w, NULL, n < BLOB_BLOCK_SIZE ? (size_t)n : BLOB_BLOCK_SIZE, &part);
                if (r < 0)
                        return blob_writer_fail(w, r);
                n -= part;
        }

        whole = n / BLOB_BLOCK_SIZE * BLOB_BLOCK_SIZE;
        if (whole > 0) {
                r = writer_end_chunk(w);
                if (r < 0)
                        return blob_writer_fail(w, r);
                w->size += whole;
                n -= whole;
        }
        if (n > 0)
                (void)writer_add_partial(w, NULL, (size_t)n, &part); /* less than a block: nothing can fail */
        return 0;
}

/* So that nobody takes its chunks back before the commit counts them. */
static int writer_keep(struct blob_writer *w, struct blob *b)
{
        struct blob **kept;

        for (size_t i = 0; i < w->n_kept; i++)
                if (w->kept[i] == b)
                        return 0;
        kept = realloc(w->kept, (w->n_kept + 1) * sizeof(struct blob *));
        if (!kept)
                return -ENOMEM;
        w->kept = kept;
        w->kept[w->n_kept++] = blob_ref(b);
        return 0;
}

/* Of an open blob, which needs no looking up: the job it goes into. */
static int writer_begin_shared(struct blob_writer *w, struct blob *b, uint64_t n, struct chunk_job **ret)
{
        int r;

        r = writer_check_room(w, n);
        if (r < 0)
                return r;
        r = writer_keep(w, b);
        if (r == 0)
                r = writer_end_chunk(w);
        if (r == 0)
                r = writer_submit(w); /* else all that follows would wait for it */
        if (r == 0)
                r = writer_get_job(w, ret);
        if (r < 0)
                return blob_writer_fail(w, r);
        blob_writer_forgo_checksum(w);
        return 0;
}

static int writer_put_shared(struct blob_writer *w, struct chunk_job *j)
{
        LOCK_SCOPE(&w->lock);
        j->shared = j->looked_up = true;
        STAILQ_INSERT_TAIL(&w->jobs, j, order);
        w->outstanding++;
        if (!w->placing)
                blob_place_ready(w);
        return w->error;
}

int blob_writer_add_chunk(struct blob_writer *w, struct blob *b, const struct map_entry *e)
{
        struct chunk_job *j;
        int r;

        r = writer_begin_shared(w, b, e->len, &j);
        if (r < 0)
                return r;
        j->entry = *e;
        j->entry.offset = w->size;
        w->size += e->len;
        w->data_bytes += e->len;
        return writer_put_shared(w, j);
}

int blob_writer_add_page(struct blob_writer *w, struct blob *b, const struct map_page *p, uint64_t end)
{
        struct chunk_job *j;
        int r;

        r = writer_begin_shared(w, b, end - p->offset, &j);
        if (r < 0)
                return r;
        j->is_page = true;
        j->page = *p;
        w->size = end;
        w->data_bytes += p->bytes;
        return writer_put_shared(w, j);
}

/* Waits until nothing is outstanding. */
static void writer_drain(struct blob_writer *w)
{
        (void)writer_submit(w); /* what goes wrong is the writer's error */
        LOCK_SCOPE(&w->lock);
        while (w->outstanding > 0 || w->placing)
                pthread_cond_wait(&w->done, &w->lock);
}

int blob_writer_sync(struct blob_writer *w)
{
        int r;

        writer_drain(w);
        r = blob_writer_error(w);
        if (r == 0)
                r = segments_sync(w->store->chunks->segments);
        return r < 0 ? blob_writer_fail(w, r) : 0;
}

/* ---- begin and end ---- */

static int writer_make_id(struct blob_id *ret)
{
        ssize_t n = getrandom(ret->bytes, BLOB_ID_SIZE, 0);

        return n < 0 ? -errno : n == BLOB_ID_SIZE ? 0 : -EIO;
}

static int writer_open_map(struct blob_writer *w)
{
        int fd, r;

        r = map_file_create(w->store, &w->id, &fd);
        return r < 0 ? r : map_writer_new(fd, &w->id, &w->map);
}

int blob_writer_new(struct blobstore *bs, struct blob_writer **ret)
{
        CLEANUP(blob_writer_freep) struct blob_writer *w = NULL;
        int r;

        r = store_writable(bs);
        if (r < 0)
                return r;
        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->store = bs;
        STAILQ_INIT(&w->jobs);
        STAILQ_INIT(&w->unused);
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->done, NULL);
        index_writer_begin(bs->chunks->index, &w->hold);
        w->max_jobs = WRITER_CHUNKS_PER_THREAD * pool_threads(bs->chunks->pool) + 1;
        if (w->max_jobs > WRITER_CHUNKS_MAX)
                w->max_jobs = WRITER_CHUNKS_MAX;

        w->checksum = checksum_new();
        if (!w->checksum)
                return -ENOMEM;
        r = writer_make_id(&w->id);
        if (r < 0)
                return r;
        r = blob_pin_new(bs, &w->id, &w->pin);
        if (r < 0)
                return r;
        r = writer_open_map(w);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

void blob_writer_free(struct blob_writer *w)
{
        struct chunk_job *j;

        if (!w)
                return;
        (void)blob_writer_fail(w, -ECANCELED); /* what is outstanding need not be worked on */
        writer_drain(w);
        segments_give(w->store->chunks->segments, w->segment);
        index_writer_end(w->store->chunks->index, &w->hold);

        if (w->map) {
                map_file_discard(w->store, &w->id); /* unless it was committed, and put in its place */
                map_writer_free(w->map);
        }
        blob_close(w->pin);

        free(w->cut);
        while ((j = STAILQ_FIRST(&w->unused))) {
                STAILQ_REMOVE_HEAD(&w->unused, order);
                free(j);
        }
        for (size_t i = 0; i < w->n_kept; i++)
                blob_close(w->kept[i]);
        free(w->kept);
        checksum_free(w->checksum);
        pthread_cond_destroy(&w->done);
        pthread_mutex_destroy(&w->lock);
        free(w);
}

/* Everything but the map's name and the references. */
static int writer_finish_content(struct blob_writer *w, struct blob_info *ret)
{
        int r;

        if (w->partial_len > 0) {
                r = writer_add_block(w, w->partial, w->partial_len);
                if (r < 0)
                        return r;
                w->partial_len = 0;
        }
        r = writer_end_chunk(w);
        if (r < 0)
                return r;
        writer_drain(w);
        r = blob_writer_error(w);
        if (r < 0)
                return r;
        segments_give(w->store->chunks->segments, TAKE_PTR(w->segment));

        *ret = (struct blob_info){ .size_bytes = w->size, .data_bytes = w->data_bytes };
        if (w->checksum)
                checksum_get(w->checksum, ret->checksum.bytes);
        r = map_writer_finish(w->map, ret);
        if (r < 0)
                return r;
        r = map_writer_sync(w->map);
        return r < 0 ? store_sync_failed(w->store, r) : 0;
}

/* The places of a page's entries, or of none where it is another map's. Gives the count. */
static int writer_load_places(const struct map *map, uint64_t row, struct map_cursor *cursor, uint64_t *ret)
{
        struct map_page page;
        struct map_entry e;
        int r;

        if (!map_row_get(map, row, &page))
                return 0;
        r = map_seek_row(map, row, cursor);
        for (unsigned i = 0; r >= 0 && i < page.entries; i++) {
                r = map_next(cursor, &e);
                if (r == 0)
                        r = -EBADMSG;
                if (r > 0)
                        *ret++ = e.place;
        }
        return r < 0 ? r : (int)page.entries;
}

/* Counts the references of a new blob and makes it live. */
static int writer_retain(struct blob_writer *w)
{
        CLEANUP_FREE uint64_t *places = NULL;
        const struct map *map = w->pin->map;
        struct map_cursor cursor;
        uint64_t row = 0;
        size_t n;
        int r;

        places = calloc(WRITER_REFS, sizeof(*places));
        if (!places)
                return -ENOMEM;
        r = lend_record(w->store, &w->hold, &w->id, map);
        if (r < 0)
                return r;
        do {
                for (n = 0; row < map_rows(map) && n + MAP_PAGE_ENTRIES <= WRITER_REFS; row++) {
                        r = writer_load_places(map, row, &cursor, places + n);
                        if (r < 0)
                                return r;
                        n += (size_t)r;
                }
                r = index_blob_retain(w->store->chunks->index, &w->hold, &w->id, places, n, row == map_rows(map));
                if (r < 0)
                        return r;
        } while (row < map_rows(map));
        return 0;
}

int blob_writer_commit(struct blob_writer *w, struct blob **ret)
{
        struct blob_info info;
        int r;

        r = blob_writer_error(w);
        if (r == 0)
                r = store_writable(w->store);
        if (r == 0)
                r = writer_finish_content(w, &info);
        if (r == 0)
                r = index_blob_begin(w->store->chunks->index, &w->hold, &w->id, &info);
        if (r == 0)
                r = segments_settle(w->store->chunks->segments);
        if (r == 0)
                r = map_file_put(w->store, &w->id);
        if (r == 0)
                r = blob_load(w->pin);
        if (r == 0)
                r = writer_retain(w);
        if (r < 0)
                return blob_writer_fail(w, r);

        (void)blob_writer_fail(w, -EINVAL); /* used up */
        *ret = TAKE_PTR(w->pin);
        return 0;
}

uint64_t blob_writer_moved(const struct blob_writer *w)
{
        return w->moved_bytes;
}
