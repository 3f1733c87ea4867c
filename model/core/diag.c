/* SPDX-License-Identifier: MIT */

#include "model/core/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/parse.h"
#include "blobstore/base/strbuf.h"

/* Shortens a text that was cut after LEN bytes to whole UTF-8 characters. */
static void cut_to_character(char *text, size_t len)
{
        size_t start = len;
        unsigned char lead;
        size_t want;

        while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
                start--;
        if (start == 0)
                return;
        lead = (unsigned char)text[start - 1];
        want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        if (len - (start - 1) < want)
                text[start - 1] = '\0';
}

int diag_set(struct diag *diag, int error, const char *fmt, ...)
{
        va_list ap;
        int n;

        if (!diag || diag->error)
                return error;

        va_start(ap, fmt);
        n = vsnprintf(diag->text, sizeof(diag->text), fmt, ap);
        va_end(ap);
        if (n < 0)
                diag->text[0] = '\0';
        else if ((size_t)n >= sizeof(diag->text))
                cut_to_character(diag->text, sizeof(diag->text) - 1);
        text_make_clean(diag->text);
        diag->error = error;
        return error;
}

int diag_set_user(struct diag *diag, int error, uid_t user, const char *end, const char *fmt, ...)
{
        char start[DIAG_TEXT_MAX], number[16];
        va_list ap;
        int n;

        if (!diag || diag->error)
                return error;

        va_start(ap, fmt);
        n = vsnprintf(start, sizeof(start), fmt, ap);
        va_end(ap);
        if (n < 0)
                start[0] = '\0';
        (void)snprintf(number, sizeof(number), "%u", user);
        (void)diag_set(diag, error, "%s%s%s", start, number, end);
        if (strlen(start) + strlen(number) + strlen(end) < sizeof(diag->text)) { /* it was not cut */
                diag->user_at = (unsigned)strlen(start);
                diag->user_digits = (unsigned)strlen(number);
                diag->user = user;
        }
        return error;
}

void diag_add_error(struct strbuf *out, int error)
{
        switch (error) {
        case -ENOSPC:
        case -EDQUOT:
                strbuf_add(out, "the store is full: make room, remove what is in error, and begin again");
                break;
        case -EHOSTDOWN:
                strbuf_add(out, "the bucket of the region does not answer, or refuses: info/health says why; begin again when it "
                                "does not any more");
                break;
        case -EFBIG:
                strbuf_add(out, "the file is too large to be imported");
                break;
        case -ENOMEM:
                strbuf_add(out, "there was not enough memory: begin again when the machine has less to do");
                break;
        case -EBADMSG:
                strbuf_add(out, "bytes in the store do not match their checksum: \"imagefs check\" shows what is "
                                "damaged");
                break;
        default:
                strbuf_addf(out, "the machine could not do it (%s): the administrator's log says more",
                            strerrordesc_np(-error));
                break;
        }
}
