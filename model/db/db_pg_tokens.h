/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_DB_PG_TOKENS_H
#define MODEL_DB_DB_PG_TOKENS_H

/* The words of a piece of SQL, without comments. Private to db_pg_dialect.c and db_pg_schema.c. */

#include <stdbool.h>
#include <stddef.h>

#include "blobstore/base/strbuf.h"

struct token {
        enum { TOKEN_WORD, TOKEN_NUMBER, TOKEN_STRING, TOKEN_PARAMETER, TOKEN_SIGN } kind;
        const char *at;
        size_t n;
};

/* TOKENS is owned by the caller, release with free(). -ENOMEM; -EINVAL: a text or comment that has no end. */
int tokens_of(const char *sql, struct token **ret, size_t *ret_n);

/* Is it this word (in any case) or sign? Never a text in quotes. */
bool token_is(const struct token *t, const char *text);

/* Of a range, from *AT on; false at the end. */
struct tokens {
        const struct token *first;
        size_t n;
};

/* Are the tokens from I on these, a word each, divided by blanks? "*" is any one. */
bool tokens_are(const struct tokens *s, size_t i, const char *pattern);
/* The number of the token that closes the bracket at I, or of the end. */
size_t tokens_closing(const struct tokens *s, size_t i);

/* Appends it, with a blank before it where one is needed. */
void token_add(struct strbuf *out, const struct token *t);
void token_add_text(struct strbuf *out, const char *text);

/* What of our dialect is between the two, as PostgreSQL's; KEYS says which primary key a table has. */
typedef const char *pg_key_fn(void *ctx, const struct token *table);
void db_pg_rewrite(struct strbuf *out, const struct tokens *s, pg_key_fn *keys, void *ctx);

#endif
