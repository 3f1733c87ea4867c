/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_IDENT_H
#define MODEL_CORE_IDENT_H

/* Names of objects that never change and are never used again. Private to model/. */

#include <stddef.h>

/* PREFIX-xxxxxxxxxxxx, 12 random base-32 digits; the table's UNIQUE constraint stands behind it. */
int ident_new(const char *prefix, char *buf, size_t size);

#endif
