/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_INSIDE_ROW_H
#define MODEL_IMAGE_INSIDE_ROW_H

/* What was found inside of disks (inside.c), as a model keeps it. Private to model/. */

struct insides;

int insides_new(struct insides **ret);
void insides_free(struct insides *is); /* accepts NULL */

#endif
