/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_LISTING_H
#define MODEL_IMAGE_LISTING_H

/* Lists of a region's images, or of all regions'. */

#include "model/core/object.h"
#include "model/core/text.h"

/* In place of a region's id. */
#define LISTING_ALL_REGIONS UINT64_C(0)

#define LISTING_NOW INT64_MAX

enum listing_format { LISTING_CSV, LISTING_JSON, LISTING_XLSX, LISTING_FORMATS };

/*
 * One row (or object) per image that C may see in the region; columns as the contract has them, of all regions with
 * the region's name as the first. Those that were made last are kept; one is good enough that was begun after ASKED_US,
 * by CLOCK_MONOTONIC_COARSE (LISTING_NOW: after this). Release *ret with text_unref(). -EFBIG: more rows than a
 * spreadsheet has; -EOPNOTSUPP: built without spreadsheets; -EDQUOT: C has too many open.
 */
int listing_get(struct model *m, const struct caller *c, uint64_t region, enum listing_format format, int64_t asked_us,
                struct diag *diag, struct text **ret, int64_t *ret_changed_us);
/* The same list's size. */
int listing_measure(struct model *m, const struct caller *c, uint64_t region, enum listing_format format,
                    int64_t asked_us, struct diag *diag, uint64_t *ret_size, int64_t *ret_changed_us);

#endif
