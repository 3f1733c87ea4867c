/* SPDX-License-Identifier: MIT */
#ifndef MODEL_STATEMENTS_H
#define MODEL_STATEMENTS_H

/*
 * Every table of SQL in model/, one line each: X(stem) for the stem_statements of stem.c. The
 * database is handed them when it is opened. Private to model/.
 */

#include "model/db/db.h"

#define STATEMENT_TABLES(X) \
        X(access)           \
        X(batch)            \
        X(blob_row)         \
        X(capture)          \
        X(check_rules)      \
        X(checksum)         \
        X(damage)           \
        X(data_disk)        \
        X(data_disk_file)   \
        X(dismiss)          \
        X(copy_targets)     \
        X(download)         \
        X(event)            \
        X(family)           \
        X(fetch_row)        \
        X(follow)           \
        X(follow_set)       \
        X(handover)         \
        X(history)          \
        X(image)            \
        X(image_attr)       \
        X(image_disk)       \
        X(image_handover)   \
        X(image_metadata)   \
        X(image_move)       \
        X(image_warning)    \
        X(instance)         \
        X(instance_attr)    \
        X(instance_disks)   \
        X(instance_life)    \
        X(instance_make)    \
        X(instance_seed)    \
        X(library)          \
        X(image_life)       \
        X(lifecycle)        \
        X(limits)           \
        X(listing)          \
        X(making)           \
        X(owner)            \
        X(place)            \
        X(quota)            \
        X(reap)             \
        X(region)           \
        X(scrub_row)        \
        X(share)            \
        X(snapshot)         \
        X(snapshot_life)    \
        X(stores)           \
        X(stores_offline)   \
        X(task)             \
        X(task_view)        \
        X(unnamed)          \
        X(brief)            \
        X(upload_resume)    \
        X(upload_state)     \
        X(usage_rows)       \
        X(verified)         \
        X(volume)           \
        X(volume_disk)      \
        X(volume_file)      \
        X(volume_gate)      \
        X(volume_make)      \
        X(volume_size)      \
        X(volume_snapshot)  \
        X(whose)

#define STATEMENTS_DECLARE(stem) extern const struct db_statements stem##_statements;
STATEMENT_TABLES(STATEMENTS_DECLARE)

#endif
