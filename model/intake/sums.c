/* SPDX-License-Identifier: MIT */

#include "model/intake/sums.h"

#include <errno.h>
#include <stdio.h>
#include <stdbool.h>
#include <string.h>

/* The best last. */
static const struct {
        const char *tag;
        const char *kind;
        size_t digits;
} kinds[] = {
        { "SHA256", "sha256", 64 },
        { "SHA512", "sha512", 128 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct found {
        char sum[KINDS][FILE_SUM_TEXT_MAX];
        bool twice;
};

static bool is_name(const char *said, size_t n, const char *name)
{
        if (n > 2 && strncmp(said, "./", 2) == 0)
                said += 2, n -= 2;
        return n == strlen(name) && memcmp(said, name, n) == 0;
}

static void take(struct found *f, size_t kind, const char *hex)
{
        char text[FILE_SUM_TEXT_MAX], printed[FILE_SUM_TEXT_MAX];
        struct file_sum sum;

        (void)snprintf(text, sizeof(text), "%s=%.*s", kinds[kind].kind, (int)kinds[kind].digits, hex);
        if (file_sum_parse(text, &sum) < 0)
                return;
        file_sum_print(&sum, printed, sizeof(printed)); /* in lower case */
        f->twice |= f->sum[kind][0] && strcmp(f->sum[kind], printed) != 0;
        memcpy(f->sum[kind], printed, sizeof(printed));
}

/* "HEX  name", "HEX *name" */
static void take_plain(struct found *f, const char *line, size_t n, const char *name)
{
        const size_t digits = strspn(line, "0123456789abcdefABCDEF");

        if (n < digits + 2 || line[digits] != ' ' || !strchr(" *", line[digits + 1]) ||
            !is_name(line + digits + 2, n - digits - 2, name))
                return;
        for (size_t k = 0; k < KINDS; k++)
                if (kinds[k].digits == digits)
                        take(f, k, line);
}

/* "SHA256 (name) = HEX" */
static void take_tagged(struct found *f, const char *line, size_t n, const char *name)
{
        for (size_t k = 0; k < KINDS; k++) {
                const size_t tag = strlen(kinds[k].tag), tail = kinds[k].digits + strlen(") = ");
                const size_t head = tag + strlen(" (");

                if (n <= head + tail || strncmp(line, kinds[k].tag, tag) != 0 || strncmp(line + tag, " (", 2) != 0 ||
                    strncmp(line + n - tail, ") = ", 4) != 0 || !is_name(line + head, n - head - tail, name))
                        continue;
                take(f, k, line + n - kinds[k].digits);
        }
}

int sums_find(const struct strbuf *list, const char *name, char ret[FILE_SUM_TEXT_MAX], struct strbuf *reason)
{
        struct found found = { .twice = false };
        const char *line = strbuf_text(list);

        while (*line) {
                const size_t len = strcspn(line, "\n");
                size_t n = len;

                if (n > 0 && line[n - 1] == '\r')
                        n--;
                take_plain(&found, line, n, name);
                take_tagged(&found, line, n, name);
                line += len + (line[len] != '\0');
        }
        if (found.twice) {
                strbuf_addf(reason, "sums names %s more than once, with different sums", name);
                return -EPROTO;
        }
        for (size_t k = KINDS; k-- > 0;) {
                if (!found.sum[k][0])
                        continue;
                memcpy(ret, found.sum[k], FILE_SUM_TEXT_MAX);
                return 0;
        }
        strbuf_addf(reason, "sums has no SHA-256 or SHA-512 of %s", name);
        return -EPROTO;
}
