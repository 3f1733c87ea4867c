/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_XLSX_H
#define MODEL_IMAGE_XLSX_H

/*
 * A spreadsheet (Office Open XML workbook) with one sheet, written row by row: a heading that stays in
 * view, then cells in the order of the columns. The same cells make the same bytes. Private to model/.
 */

#include <stdbool.h>
#include <stdint.h>

#include "model/core/spool.h"

struct xlsx;

struct xlsx_column {
        const char *title;
        unsigned width; /* characters that are seen */
};

/* Columns have letters; one is enough for what there is. */
#define XLSX_COLUMNS_MAX 26

/* Characters that programs take in a cell. */
#define XLSX_TEXT_MAX 32767

/* Rows that programs take in one sheet, the heading among them. */
#define XLSX_ROWS_MAX 1048576

/* Was it built in? If not, xlsx_new() answers -EOPNOTSUPP. */
bool xlsx_is_supported(void);

/* OUT, which is empty, is borrowed until xlsx_finish() and has no meaning before it. -ENOMEM, -EOPNOTSUPP. */
int xlsx_new(const char *sheet, const struct xlsx_column *columns, unsigned n_columns, struct spool *out,
             struct xlsx **ret);
void xlsx_free(struct xlsx *x); /* accepts NULL */

/* The next cell; errors show at the end of the row. Text stays text, whatever it looks like. */
void xlsx_add_text(struct xlsx *x, const char *text);
void xlsx_add_number(struct xlsx *x, int64_t number);
/* -ENOMEM; -EFBIG: more than XLSX_ROWS_MAX, or 4 GiB; what spool_error() says. */
int xlsx_end_row(struct xlsx *x);
int xlsx_finish(struct xlsx *x); /* likewise */

#endif
