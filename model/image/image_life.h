/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_IMAGE_LIFE_H
#define MODEL_IMAGE_IMAGE_LIFE_H

/* The life of an image: the table, and what moves an image along it. Private to model/. */

#include "model/core/life.h"
#include "model/image/image.h"

enum image_verb {
        VERB_UPLOAD, /* a writer opened upload */
        VERB_FETCH, /* it is being fetched from elsewhere */
        VERB_FETCH_AGAIN, /* … which failed before */
        VERB_ABANDON, /* the last writer closed without a byte */
        VERB_IMPORT, /* all bytes are there, and there is something to import */
        VERB_CONVERT, /* it is to be made by a conversion */
        VERB_COPY, /* … or a copy */
        VERB_CAPTURE, /* … or of an instance */
        VERB_REPLICATE, /* its bytes are being made */
        VERB_FINISH, /* the work on it is done */
        VERB_FAIL, /* … or cannot be done */
        VERB_DELETE,
        VERB_RESTORE,
        VERB_DESTROY,
        VERB_PUBLISH,
        VERB_UNPUBLISH,
        VERB_HAND_OVER,
        VERB_SHARE_WORK, /* guards of what does not move the state: convert, copy, share, create an instance */
        VERB_COUNT,
};

extern const struct life image_life;

/* In place of a status: the one that the image had before the recycle bin. */
#define IMAGE_LIFE_BACK IMAGE_STATUS_COUNT

/* What a verb is called in a sentence: "NAME cannot be …". */
extern const char *const image_life_words[VERB_COUNT];

/*
 * Moves the state by compare-and-swap from the one that IMAGE was loaded with. VERB_FINISH and VERB_FAIL lead on from
 * where a row's work is. -EBUSY with a sentence when VERB does not apply to the present state or a guard refuses it,
 * which may end the transaction, as quota_check() does.
 */
int image_life_apply(struct db_txn *t, const struct image *image, enum image_verb verb, struct diag *diag);

/* Where the verb leads an image in status FROM; IMAGE_STATUS_COUNT: nowhere. */
enum image_status image_life_target(const struct image *image, enum image_verb verb, enum image_status from);

/* What an image that VERB makes begins as, and the kind of the task that makes it, or works on it. */
enum image_status image_life_begins(enum image_verb verb);
enum task_kind image_life_task(enum image_verb verb);

#endif
