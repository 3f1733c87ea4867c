/* SPDX-License-Identifier: MIT */

/* Numbers, sizes, names and texts, as people write them: what is accepted is what it says, and what was made clean is. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/parse.h"
#include "tests/fuzz/lib/fuzz.h"

static void numbers(const char *text)
{
        uint64_t number, size;
        char again[32];
        bool yes;

        if (parse_u64(text, &number) == 0) {
                (void)snprintf(again, sizeof(again), "%" PRIu64, number);
                MUST(strcmp(text + strspn(text, "0"), again) == 0 || (number == 0 && text[strspn(text, "0")] == '\0'));
                MUST(parse_size(text, &size) == 0 && size == number);
        }
        if (parse_size(text, &size) == 0)
                MUST(text[0] >= '0' && text[0] <= '9');
        if (parse_bool(text, &yes) == 0)
                MUST(strcmp(text, yes ? "yes" : "no") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        uint64_t max = input_number(&in, 1);
        char *text = input_text(&in);
        size_t n = strlen(text), fit;
        uint8_t *bytes = malloc(n / 2 + 1);
        bool clean = text_is_clean(text, n);

        MUST(bytes);
        numbers(text);
        if (n % 2 == 0 && parse_hex(text, n, bytes) == 0)
                MUST(strspn(text, "0123456789abcdefABCDEF") == n);
        if (clean)
                MUST(text_is_clean_multiline(text, n));
        if (name_is_valid(text))
                MUST(clean && n >= 1 && n <= NAME_LEN_MAX && !strchr(text, '/') && text[0] != '.');
        fit = text_fit(text, max);
        MUST(fit <= n && fit <= max);
        if (clean)
                MUST(text_is_clean(text, fit) && (fit == n || fit + 4 > max));
        text_make_clean(text);
        MUST(strlen(text) == n && text_is_clean(text, n));
        free(bytes);
        free(text);
        return 0;
}
