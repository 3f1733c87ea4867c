/* SPDX-License-Identifier: MIT */

/*
 * Making the index again, from what segments say of themselves and maps name. A record that no map names, nor a chunk
 * that one names has as its base, becomes an orphan without a name: its bytes may have been given back long ago. Proofs
 * are written last, in one go.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/lock.h"
#include "blobstore/chunks/index_priv.h"

/* An id that was ever named is not given to another segment, whether its file is there or not. */
static void index_saw_segment(struct index *ix, uint32_t id)
{
        if (id >= ix->total.next_segment)
                ix->total.next_segment = (uint64_t)id + 1;
}

void index_skip_segments(struct index *ix, uint32_t n)
{
        LOCK_SCOPE(&ix->lock);
        ix->total.next_segment += n;
}

/* The arguments of a name that may not be known. */
struct name_args {
        struct db_arg key, rest;
};

static struct name_args index_name_args(const struct chunk_name *name)
{
        if (!chunk_name_is_known(name))
                return (struct name_args){ DB_NULL, DB_NULL };
        return (struct name_args){ DB_INT(chunk_name_key(name)), DB_BLOB(chunk_name_rest(name), CHUNK_NAME_REST_SIZE) };
}

static int index_import_features(struct index *ix, uint64_t place, uint64_t base, const struct chunk_features *features)
{
        int r = 0;

        for (unsigned i = 0; base == 0 && features && r == 0 && i < features->n; i++)
                r = index_db_run(ix->db, FEATURE_PUT, DB_ARGS(DB_INT(features->block[i]), DB_INT(place)));
        return r;
}

int index_import_segment(struct index *ix, uint32_t id, uint64_t size)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        index_saw_segment(ix, id);
        r = index_db_begin(ix->db, true);
        if (r < 0)
                return r;
        return index_db_run(ix->db, SEGMENT_IMPORT, DB_ARGS(DB_INT(id), DB_INT(size)));
}

int index_import_record(struct index *ix, const struct footer_record *record, uint64_t at,
                        const struct chunk_features *features)
{
        struct name_args name = index_name_args(&record->name);
        int r;

        LOCK_SCOPE(&ix->lock);
        index_saw_segment(ix, place_segment(record->place));
        r = index_db_begin(ix->db, true);
        if (r == 0)
                r = index_db_run(ix->db, CHUNK_IMPORT_RECORD,
                                 DB_ARGS(DB_INT(record->place), name.key, name.rest, DB_INT(record->raw_len),
                                         DB_INT(record->stored_len), DB_INT(record->base), DB_INT(at)));
        return r < 0 ? r : index_import_features(ix, record->place, record->base, features);
}

int index_import_map_entry(struct index *ix, uint64_t place, uint64_t at, uint32_t raw_len, uint32_t stored_len)
{
        int64_t refs = 0;
        int r;

        LOCK_SCOPE(&ix->lock);
        index_saw_segment(ix, place_segment(place));
        r = index_db_begin(ix->db, true);
        if (r < 0)
                return r;
        r = index_db_get(ix->db, CHUNK_IMPORT_ENTRY, &refs, 1,
                         DB_ARGS(DB_INT(place), DB_INT(raw_len), DB_INT(stored_len), DB_INT(at)));
        return r < 0 ? r : refs == 1;
}

int index_import_blob(struct index *ix, const struct index_blob *blob)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_begin(ix->db, true);
        if (r < 0)
                return r;
        r = index_db_run(ix->db, BLOB_ADD,
                         DB_ARGS(DB_ID(&blob->id), DB_INT(blob->state), DB_INT(blob->retained),
                                 DB_INT(blob->info.size_bytes), DB_INT(blob->info.data_bytes),
                                 DB_INT(blob->info.data_clusters), DB_INT(blob->info.data_spans),
                                 DB_BLOB(blob->info.checksum.bytes, BLOB_CHECKSUM_SIZE)));
        if (r == 0 && blob->state == BLOB_LIVE)
                index_count_blob(ix, &blob->info, 1);
        return r;
}

int index_import_name(struct index *ix, uint64_t place, const struct chunk_name *name, uint64_t base,
                      const struct chunk_features *features)
{
        struct name_args args = index_name_args(name);
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_begin(ix->db, true);
        if (r == 0)
                r = index_db_run(ix->db, CHUNK_IMPORT_NAME, DB_ARGS(DB_INT(place), args.key, args.rest, DB_INT(base)));
        return r < 0 ? r : index_import_features(ix, place, base, features);
}

int index_import_base(struct index *ix, uint64_t place)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_begin(ix->db, true);
        return r < 0 ? r : index_db_run(ix->db, CHUNK_IMPORT_BASE, DB_ARGS(DB_INT(place)));
}

int index_import_end(struct index *ix)
{
        static const enum index_sql steps[] = { CHUNK_IMPORT_BASES, CHUNK_COUNT_BASES, CHUNK_FORGET_NAMES, CHUNK_PROVE,
                                                SEGMENT_COUNT };
        int64_t v[4];
        int r;

        LOCK_SCOPE(&ix->lock);
        r = index_db_begin(ix->db, true);
        for (size_t i = 0; r == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
                r = index_db_run(ix->db, steps[i], DB_NONE);
        if (r == 0)
                r = index_tx_one(index_db_get(ix->db, CHUNK_TOTALS, v, 4, DB_NONE));
        if (r < 0)
                return r;
        ix->total.stats.unique_bytes = (uint64_t)v[0];
        ix->total.stats.stored_bytes = (uint64_t)v[1];
        ix->total.stats.chunks = (uint64_t)v[2];
        if (v[3] > 0)
                index_tx_note_orphans(ix);
        return 0;
}
