/* SPDX-License-Identifier: MIT */
#ifndef MODEL_USAGE_ROWS_H
#define MODEL_USAGE_ROWS_H

/*
 * What a count asks of the database. Private to model/.
 *
 *      USAGE_REGIONS   id, name; by name
 *      USAGE_DISKS     region, id, class and name of each image, in the same order; of each of its disks, where one is there,
 *                      blob, store, size, data
 *      USAGE_OTHERS    blob and store of what no image has
 */

#include "model/db/db.h"

enum { USAGE_REGIONS, USAGE_DISKS, USAGE_OTHERS };

extern const char *const usage_rows_sql[];

#endif
