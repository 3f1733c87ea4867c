/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_TASK_KINDS_H
#define MODEL_CORE_TASK_KINDS_H

/*
 * The kinds of tasks, a row each. Each room expands the columns that it knows: this one what rows say,
 * work/task_kinds.c the functions, check_rules.c the checks. What shows one kind alone (copies/, convert) names it.
 *
 *      kind      TASK_<kind>; new ones at the end
 *      word      in the database, in the tree, and in sentences
 *      lane      who runs it: WORK, or FETCH for what mostly waits for others' networks
 *      disks     HELD where nobody may write to a disk of task.instance while it is active; else FREE
 *      of        the objects that a row may name, for task_submit() to hold: set of TASK_OF_…; image and result,
 *                instance and volume are busy while it is active
 *      shown     where, beside /tasks: see enum task_shown
 *      doing     said of an image that it makes: "web is …"
 *      from      said of what it works on: "web is …", before the name of the region where it ends with a blank
 *      makes     the image that it makes, as SQL of the row
 *      checked   what holds while it is active, as SQL: image is what it makes, snapshot is task.snapshot
 *      run       struct task_ops has these three
 *      undo
 *      clear
 */
#define TASK_KINDS(X)                                                                                                  \
        X(FETCH, "fetch", FETCH, FREE, TASK_OF_IMAGE, TASK_SHOWN_ALONE, "being fetched", "being fetched",              \
          "task.image", "image.status IN ('uploading', 'pending', 'replicating')",                                     \
          fetch_run, fetch_undo, fetch_clear)                                                                          \
        X(IMPORT, "import", WORK, FREE, TASK_OF_IMAGE, TASK_SHOWN_ALONE, "being imported", "being imported",           \
          "task.image", "image.status IN ('pending', 'replicating')",                                                  \
          import_run, import_undo, import_clear)                                                                       \
        X(CONVERT, "convert", WORK, FREE, TASK_OF_IMAGE | TASK_OF_RESULT, TASK_SHOWN_NEWEST,                           \
          "being made by a conversion", "being converted",                                                             \
          "task.result", "image.status IN ('pending', 'replicating')",                                                 \
          convert_run, undo_result, NULL)                                                                              \
        X(COPY, "copy", WORK, FREE, TASK_OF_IMAGE | TASK_OF_RESULT, TASK_SHOWN_EACH, "being copied here",              \
          "being copied to ",                                                                                          \
          "task.result", "image.status IN ('pending', 'replicating')",                                                 \
          copy_run, undo_result, NULL)                                                                                 \
        X(CAPTURE, "capture", WORK, HELD, TASK_OF_IMAGE | TASK_OF_RESULT | TASK_OF_INSTANCE, TASK_SHOWN_ALONE,         \
          "being made of an instance", "being read for an image",                                                      \
          "task.result", "image.status IN ('pending', 'replicating')",                                                 \
          capture_run, capture_undo, NULL)                                                                             \
        X(DISK_SNAPSHOT, "disk-snapshot", WORK, FREE, TASK_OF_INSTANCE | TASK_OF_VOLUME | TASK_OF_SNAPSHOT,            \
          TASK_SHOWN_ALONE, "being read", "being read for a snapshot",                                                 \
          "NULL", "snapshot.status = 'creating'",                                                                      \
          volume_snapshot_run, volume_snapshot_undo, NULL)                                                             \
        X(FOLLOW, "follow", FETCH, FREE, 0, TASK_SHOWN_ALONE, "being followed", "being followed",                      \
          "NULL", "EXISTS (SELECT 1 FROM follow WHERE follow.task = task.id AND follow.status = 'running')",           \
          follow_run, follow_undo, NULL)

#define TASK_KIND_ENUM(kind, ...) TASK_##kind,
enum task_kind { TASK_KINDS(TASK_KIND_ENUM) TASK_KIND_COUNT };

enum {
        TASK_OF_IMAGE = 1 << 0,
        TASK_OF_RESULT = 1 << 1,
        TASK_OF_INSTANCE = 1 << 2,
        TASK_OF_VOLUME = 1 << 3,
        TASK_OF_SNAPSHOT = 1 << 4,
};

enum task_shown {
        TASK_SHOWN_ALONE, /* nowhere else */
        TASK_SHOWN_EACH, /* in the image, until it is forgotten there */
        TASK_SHOWN_NEWEST, /* likewise, in place of the one before of its kind */
};

/* Lists for SQL's IN: the words of the kinds that have a token in a column. The empty word is nobody's. */
#define TASK_IN_LANE_WORK  "('' " TASK_KINDS(TASK_LANE_WORK_WORD) ")"
#define TASK_IN_LANE_FETCH "('' " TASK_KINDS(TASK_LANE_FETCH_WORD) ")"
#define TASK_HOLDING_DISKS "('' " TASK_KINDS(TASK_DISKS_WORD) ")"

#define TASK_LANE_WORK_WORD(kind, word, lane, ...)    TASK_WORK_##lane(word)
#define TASK_LANE_FETCH_WORD(kind, word, lane, ...)   TASK_FETCH_##lane(word)
#define TASK_DISKS_WORD(kind, word, lane, disks, ...) TASK_DISKS_##disks(word)
#define TASK_WORK_WORK(word)                          ", '" word "'"
#define TASK_WORK_FETCH(word)                         ""
#define TASK_FETCH_WORK(word)                         ""
#define TASK_FETCH_FETCH(word)                        ", '" word "'"
#define TASK_DISKS_HELD(word)                         ", '" word "'"
#define TASK_DISKS_FREE(word)                         ""

#endif
