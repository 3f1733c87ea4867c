/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_LIFECYCLE_H
#define MODEL_IMAGE_LIFECYCLE_H

/*
 * The life of an image: the table, the engine over it, and what their tests need. A verb may have several rows, for
 * different states; for each pair of verb and state there is at most one. Private to model/.
 */

#include "model/core/state.h"
#include "model/image/image.h"

enum image_verb {
        VERB_UPLOAD, /* a writer opened upload */
        VERB_ABANDON, /* the last writer closed without a byte */
        VERB_IMPORT, /* the last writer closed, there is something to import */
        VERB_FINISH, /* the work on it is done */
        VERB_FAIL, /* … or cannot be done */
        VERB_DELETE,
        VERB_RESTORE,
        VERB_DESTROY,
        VERB_PUBLISH,
        VERB_HAND_OVER,
        VERB_REPLICATE, /* its bytes are being made */
        VERB_SHARE_WORK, /* guards of what does not move the state: convert, copy, share, create an instance */
        VERB_COUNT,
};
/*
 * Moves the state by compare-and-swap from the one that IMAGE was loaded with; images that a conversion or copy makes
 * begin as pending. -EBUSY with a sentence when VERB does not apply to the present state or a guard refuses it, which
 * may end the transaction, as quota_check() does.
 */
int lifecycle_apply(struct db_txn *t, const struct image *image, enum image_verb verb, struct diag *diag);

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
