/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_LIFECYCLE_H
#define MODEL_IMAGE_LIFECYCLE_H

/*
 * The table of an image's life, and what the engine and its tests need of it. A verb may have several rows, for
 * different states; for each pair of verb and state there is at most one. Private to model/.
 */

#include "model/model_priv.h"

#define S(status) (1u << IMAGE_##status)

/* In place of a status: stay, or go back to the one before the recycle bin. */
#define LIFECYCLE_STAY    IMAGE_STATUS_COUNT
#define LIFECYCLE_RESTORE (IMAGE_STATUS_COUNT + 1)

/* May refuse what the state allows: -EBUSY or -EPERM with a sentence. */
typedef int lifecycle_guard(struct db_txn *t, const struct image *image, struct diag *diag);

struct transition {
        enum image_verb verb;
        unsigned from; /* set of S() */
        unsigned to; /* an image_status, or one of the above */
        lifecycle_guard *guard; /* may be NULL */
};

extern const struct transition lifecycle_image[];
extern const size_t lifecycle_image_count;

/* What a verb is called in a sentence: "NAME cannot be …". */
extern const char *const lifecycle_verb_words[VERB_COUNT];

/* NULL: the verb does not apply in that state. */
const struct transition *lifecycle_find(enum image_verb verb, enum image_status from);
/* The status after it. */
enum image_status lifecycle_target(const struct transition *tr, const struct image *image);

#endif
