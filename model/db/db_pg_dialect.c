/* SPDX-License-Identifier: MIT */

/*
 * The dialect (db_pg_dialect.h), a statement at a time: goes through the tokens once, each rule looks at those around,
 * and what no rule is for is written as it stands.
 */

#include "model/db/db_pg_dialect.h"

#include <errno.h>
#include <string.h>

#include "model/db/db_pg_tokens.h"

struct rewriter {
        struct strbuf *out;
        const struct tokens *s;
        pg_key_fn *keys;
        void *ctx;

        const struct token *table; /* of INSERT INTO */
        bool ignores;              /* INSERT OR IGNORE */
        bool sets;                 /* within DO UPDATE SET */
        unsigned n_unnamed;
};

/* Each rule writes what it takes, and says how many tokens that were; 0: it is not for these. */
typedef size_t rule_fn(struct rewriter *w, size_t i);

static bool is_at(const struct rewriter *w, size_t i, const char *text)
{
        return i < w->s->n && token_is(&w->s->first[i], text);
}

static bool is_any(const struct rewriter *w, size_t i, const char *const *texts)
{
        for (; *texts; texts++) {
                if (is_at(w, i, *texts))
                        return true;
        }
        return false;
}

static size_t parameter(struct rewriter *w, size_t i)
{
        const struct token *t = &w->s->first[i];

        if (t->kind != TOKEN_PARAMETER)
                return 0;
        token_add_text(w->out, "$");
        strbuf_add_bytes(w->out, t->at + 1, t->n - 1);
        return 1;
}

static size_t word(struct rewriter *w, size_t i)
{
        static const char *const words[][2] = {
                { "INTEGER", "bigint" },
                { "BLOB", "bytea" },
                { "fetch", "\"fetch\"" },
        };

        if (w->s->first[i].kind != TOKEN_WORD)
                return 0;
        for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
                /* as we write them: a column is called blob */
                if (strlen(words[k][0]) == w->s->first[i].n &&
                    strncmp(w->s->first[i].at, words[k][0], w->s->first[i].n) == 0) {
                        token_add_text(w->out, words[k][1]);
                        return 1;
                }
        }
        return 0;
}

static size_t dropped(struct rewriter *w, size_t i)
{
        if (tokens_are(w->s, i, "INDEXED BY *"))
                return 3;
        return tokens_are(w->s, i, "CROSS JOIN") ? 1 : 0;
}

/* What is joined under no condition. */
static size_t join(struct rewriter *w, size_t i)
{
        size_t end;

        if (!tokens_are(w->s, i, "JOIN ("))
                return 0;
        end = tokens_closing(w->s, i + 1) + 1;
        if (!is_at(w, end, "AS") || is_at(w, end + 2, "ON"))
                return 0;
        token_add_text(w->out, "CROSS JOIN");
        return 1;
}

static size_t no_limit(struct rewriter *w, size_t i)
{
        if (!tokens_are(w->s, i, "LIMIT - 1"))
                return 0;
        token_add_text(w->out, "LIMIT ALL");
        return 3;
}

static size_t insert(struct rewriter *w, size_t i)
{
        size_t n = 0;

        if (tokens_are(w->s, i, "INSERT OR IGNORE INTO *"))
                n = 4;
        else if (tokens_are(w->s, i, "INSERT INTO *"))
                n = 2;
        if (n == 0)
                return 0;
        w->ignores = n == 4;
        w->table = &w->s->first[i + n];
        token_add_text(w->out, "INSERT INTO");
        return n;
}

static size_t conflict(struct rewriter *w, size_t i)
{
        const char *key;

        if (tokens_are(w->s, i, "DO UPDATE SET")) {
                w->sets = true;
                return 0;
        }
        if (!tokens_are(w->s, i, "ON CONFLICT DO UPDATE") || !w->table || !w->keys)
                return 0;
        key = w->keys(w->ctx, w->table);
        if (!key)
                return 0;
        token_add_text(w->out, "ON CONFLICT");
        strbuf_addf(w->out, " (%s)", key);
        return 2;
}

/* "SET c = c + 1": the c that there is. */
static size_t own_column(struct rewriter *w, size_t i)
{
        const struct token *t = &w->s->first[i];

        if (!w->sets || i < 2 || t->kind != TOKEN_WORD || !is_at(w, i - 1, "=") || w->s->first[i - 2].n != t->n ||
            strncasecmp(w->s->first[i - 2].at, t->at, t->n) != 0)
                return 0;
        token_add(w->out, w->table);
        strbuf_add(w->out, ".");
        token_add(w->out, t);
        return 1;
}

static size_t is(struct rewriter *w, size_t i)
{
        static const char *const own[] = { "NULL", "DISTINCT", "TRUE", "FALSE", NULL };
        const bool not = is_at(w, i + 1, "NOT");

        if (!is_at(w, i, "IS") || is_any(w, i + 1 + not, own))
                return 0;
        token_add_text(w->out, not ? "IS DISTINCT FROM" : "IS NOT DISTINCT FROM");
        return 1 + not ;
}

static size_t condition(struct rewriter *w, size_t i)
{
        static const char *const after[] = { "THEN", "AND", "OR", "UNION", ")", ";", NULL };

        if (i == 0 || !is_at(w, i - 1, "&") || w->s->first[i].kind != TOKEN_NUMBER ||
            (i + 1 < w->s->n && !is_any(w, i + 1, after)))
                return 0;
        token_add(w->out, &w->s->first[i]);
        token_add_text(w->out, "<> 0");
        return 1;
}

static size_t truth(struct rewriter *w, size_t i)
{
        static const char *const after[] = { ",", ")", NULL };
        const size_t n = tokens_are(w->s, i, "* . * IS NOT NULL") ? 3 : 1;

        if (i == 0 || !is_at(w, i - 1, ",") || w->s->first[i].kind != TOKEN_WORD ||
            !tokens_are(w->s, i + n, "IS NOT NULL") || !is_any(w, i + n + 3, after))
                return 0;
        token_add_text(w->out, "(");
        for (size_t k = 0; k < n + 3; k++)
                token_add(w->out, &w->s->first[i + k]);
        token_add_text(w->out, ")");
        strbuf_add(w->out, "::int");
        return n + 3;
}

/* The closing bracket of a SELECT that stands where a table does, and has no name. */
static size_t unnamed(struct rewriter *w, size_t i)
{
        static const char *const goes_on[] = { "WHERE", "GROUP",  "ORDER", "LEFT",  "JOIN", "CROSS",
                                               "ON",    "HAVING", "UNION", "LIMIT", NULL };
        const struct token *first = w->s->first;
        size_t depth = 0, open = i;

        if (!is_at(w, i, ")"))
                return 0;
        for (;; open--) {
                if (is_at(w, open, ")"))
                        depth++;
                else if (is_at(w, open, "(") && --depth == 0)
                        break;
                if (open == 0)
                        return 0;
        }
        if (open == 0 || !is_at(w, open + 1, "SELECT") ||
            (!is_at(w, open - 1, "FROM") && !is_at(w, open - 1, "JOIN")) ||
            (i + 1 < w->s->n && first[i + 1].kind == TOKEN_WORD && !is_any(w, i + 1, goes_on)))
                return 0;
        token_add_text(w->out, ")");
        strbuf_addf(w->out, " AS unnamed_%u", ++w->n_unnamed);
        return 1;
}

static size_t end(struct rewriter *w, size_t i)
{
        if (!is_at(w, i, ";"))
                return 0;
        if (w->ignores)
                token_add_text(w->out, "ON CONFLICT DO NOTHING");
        token_add_text(w->out, ";");
        w->ignores = w->sets = false;
        return 1;
}

static rule_fn *const rules[] = {
        parameter, insert, conflict, own_column, is, dropped, join, no_limit, condition, truth, unnamed, end, word,
};

void db_pg_rewrite(struct strbuf *out, const struct tokens *s, pg_key_fn *keys, void *ctx)
{
        struct rewriter w = { .out = out, .s = s, .keys = keys, .ctx = ctx };

        for (size_t i = 0; i < s->n;) {
                size_t n = 0;

                for (size_t k = 0; k < sizeof(rules) / sizeof(rules[0]) && n == 0; k++)
                        n = rules[k](&w, i);
                if (n == 0) {
                        token_add(out, &s->first[i]);
                        n = 1;
                }
                i += n;
        }
        if (w.ignores)
                token_add_text(out, "ON CONFLICT DO NOTHING");
}

int db_pg_statement(const char *sql, char **ret)
{
        CLEANUP_FREE struct token *first = NULL;
        CLEANUP_STRBUF struct strbuf out = { 0 };
        struct tokens s;
        int r;

        r = tokens_of(sql, &first, &s.n);
        if (r < 0)
                return r;
        s.first = first;
        db_pg_rewrite(&out, &s, NULL, NULL);
        *ret = strbuf_take(&out);
        return *ret ? 0 : -ENOMEM;
}
