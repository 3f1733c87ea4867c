/* SPDX-License-Identifier: MIT */

#include "model/db/db_pg_tokens.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_word_char(char c)
{
        return isalnum((unsigned char)c) || c == '_';
}

/* The first character after blanks and comments; NULL: a comment has no end. */
static const char *skip_blanks(const char *p)
{
        for (;;) {
                if (isspace((unsigned char)*p)) {
                        p++;
                } else if (p[0] == '-' && p[1] == '-') {
                        p += strcspn(p, "\n");
                } else if (p[0] == '/' && p[1] == '*') {
                        p = strstr(p + 2, "*/");
                        if (!p)
                                return NULL;
                        p += 2;
                } else {
                        return p;
                }
        }
}

/* 'It''s' is two texts for us, one beside the other, and is written as such. */
static int read_token(const char *p, struct token *ret)
{
        static const char *const signs[] = { "||", "<>", "<=", ">=", "<<", ">>", "==", "!=" };
        const char *end = p + 1;

        ret->at = p;
        ret->kind = TOKEN_SIGN;
        if (*p == '\'' || *p == '"') {
                ret->kind = TOKEN_STRING;
                for (;;) {
                        end = strchr(end, *p);
                        if (!end)
                                return -EINVAL;
                        end++;
                        if (*end != *p)
                                break;
                        end++;
                }
        } else if (*p == '?' || isdigit((unsigned char)*p)) {
                ret->kind = *p == '?' ? TOKEN_PARAMETER : TOKEN_NUMBER;
                while (is_word_char(*end) || *end == '.')
                        end++;
        } else if (is_word_char(*p)) {
                ret->kind = TOKEN_WORD;
                while (is_word_char(*end))
                        end++;
        } else {
                for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
                        if (strncmp(p, signs[i], 2) == 0)
                                end = p + 2;
                }
        }
        ret->n = (size_t)(end - p);
        return 0;
}

int tokens_of(const char *sql, struct token **ret, size_t *ret_n)
{
        CLEANUP_FREE struct token *all = NULL;
        size_t n = 0, room = 0;
        int r;

        for (const char *p = sql;;) {
                p = skip_blanks(p);
                if (!p)
                        return -EINVAL;
                if (*p == '\0')
                        break;
                if (n == room) {
                        struct token *more = reallocarray(all, room * 2 + 64, sizeof(*all));

                        if (!more)
                                return -ENOMEM;
                        all = more;
                        room = room * 2 + 64;
                }
                r = read_token(p, &all[n]);
                if (r < 0)
                        return r;
                p += all[n++].n;
        }
        *ret = TAKE_PTR(all);
        *ret_n = n;
        return 0;
}

bool token_is(const struct token *t, const char *text)
{
        return t->kind != TOKEN_STRING && strlen(text) == t->n && strncasecmp(t->at, text, t->n) == 0;
}

bool tokens_are(const struct tokens *s, size_t i, const char *pattern)
{
        while (*pattern) {
                const size_t n = strcspn(pattern, " ");

                if (i >= s->n)
                        return false;
                if ((n != 1 || *pattern != '*') && (s->first[i].kind == TOKEN_STRING || s->first[i].n != n ||
                                                    strncasecmp(s->first[i].at, pattern, n) != 0))
                        return false;
                i++;
                pattern += n;
                pattern += strspn(pattern, " ");
        }
        return true;
}

size_t tokens_closing(const struct tokens *s, size_t i)
{
        size_t depth = 0;

        for (; i < s->n; i++) {
                if (token_is(&s->first[i], "("))
                        depth++;
                else if (token_is(&s->first[i], ")") && --depth == 0)
                        return i;
        }
        return s->n;
}

static void add(struct strbuf *out, const char *text, size_t n)
{
        const char last = out->len > 0 ? strbuf_text(out)[out->len - 1] : '\n';

        if (last != '\n' && last != '.' && last != '(' && (n > 1 || !strchr(".,);", *text)))
                strbuf_add(out, " ");
        strbuf_add_bytes(out, text, n);
}

void token_add(struct strbuf *out, const struct token *t)
{
        add(out, t->at, t->n);
}

void token_add_text(struct strbuf *out, const char *text)
{
        add(out, text, strlen(text));
}
