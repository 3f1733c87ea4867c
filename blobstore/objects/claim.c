/* SPDX-License-Identifier: MIT */

#include "blobstore/objects/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/parse.h"

/* "<16 hex digits of the number> <32 of nobody else> <host>\n" */
#define FILE_NAME   "claim"
#define DIGITS      16
#define TOKEN_BYTES 16
#define HOST_AT     (DIGITS + 1 + 2 * TOKEN_BYTES + 1)
#define HOST_MAX    64
#define KEY_SIZE    (sizeof(CLAIM_FOLDER) + DIGITS)

static void claim_key(uint64_t number, char ret[KEY_SIZE])
{
        (void)snprintf(ret, KEY_SIZE, CLAIM_FOLDER "%0*" PRIx64, DIGITS, number);
}

static int parse_number(const char *text, uint64_t *ret)
{
        uint8_t bytes[DIGITS / 2];
        uint64_t number = 0;

        if (strlen(text) < DIGITS || parse_hex(text, DIGITS, bytes) < 0)
                return -EINVAL;
        for (size_t i = 0; i < sizeof(bytes); i++)
                number = number << 8 | bytes[i];
        *ret = number;
        return 0;
}

/* ---- the directory's ---- */

/* A line of the file, of which there are two at the most. */
static int parse_line(const char *line, struct claim *ret)
{
        const size_t n = strcspn(line, "\n");

        *ret = (struct claim){ 0 };
        if (n < HOST_AT || n + 1 >= sizeof(ret->text) || line[n] != '\n' || parse_number(line, &ret->number) < 0)
                return -EUCLEAN; /* a copy's, perhaps: not to be taken for none */
        memcpy(ret->text, line, n + 1);
        return 0;
}

static int claim_read(int dir_fd, struct claim *ret, struct claim *ret_before, struct strbuf *why)
{
        CLEANUP_CLOSE int fd = openat(dir_fd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        char text[2 * CLAIM_MAX] = "";
        const char *second;
        ssize_t n;
        int r;

        *ret = *ret_before = (struct claim){ 0 };
        if (fd < 0 && errno == ENOENT)
                return 0;
        n = fd < 0 ? -errno : pread_full(fd, text, sizeof(text) - 1, 0);
        r = n < 0 ? (int)n : parse_line(text, ret);
        second = text + strcspn(text, "\n");
        if (r == 0 && second[1])
                r = parse_line(second + 1, ret_before);
        if (r < 0)
                strbuf_addf(why, "the file claim of the blob store's directory cannot be read, which says whether its part of the "
                                 "bucket is its own: %s", strerror(-r));
        return r;
}

static int claim_write(int dir_fd, const struct claim *claim, const struct claim *before, struct strbuf *why)
{
        char text[2 * CLAIM_MAX];
        int r;

        r = snprintf(text, sizeof(text), "%s%s", claim->text, before->text);
        r = write_file_durable(dir_fd, FILE_NAME, text, (size_t)r, 0600);
        if (r < 0)
                strbuf_addf(why, "the file claim of the blob store's directory cannot be written: %s", strerror(-r));
        return r;
}

/* ---- the bucket's ---- */

/* An s3_each_fn. */
static int note_highest(void *ctx, const char *name, uint64_t size)
{
        uint64_t number, *highest = ctx;

        (void)size;
        if (strlen(name) == KEY_SIZE - 1 && parse_number(name + sizeof(CLAIM_FOLDER) - 1, &number) == 0 && number > *highest)
                *highest = number;
        return 0;
}

static int find_highest(struct s3 *s, uint64_t *ret, struct strbuf *why)
{
        *ret = 0;
        return s3_list(s, CLAIM_FOLDER, note_highest, ret, why);
}

static int say_taken(const char *host, uint64_t number, const struct claim *ours, struct strbuf *why)
{
        strbuf_reset(why);
        strbuf_addf(why, "another copy of this blob store, on host %s, has taken over its part of the bucket (claim %" PRIu64
                         ", here it is %" PRIu64 ")", host, number, ours->number);
        return -EROFS;
}

/* Is the highest, that is there, this one? */
static int compare(struct s3 *s, uint64_t highest, const struct claim *ours, struct strbuf *why)
{
        char text[CLAIM_MAX] = "", key[KEY_SIZE];
        size_t n = 0;
        int r;

        claim_key(highest, key);
        r = s3_get(s, key, 0, text, sizeof(text) - 1, &n, NULL, why);
        if (r < 0 && r != -ENOENT) /* it has removed that meanwhile: for a higher one */
                return r;
        text[n] = '\0';
        if (r == 0 && highest == ours->number && strcmp(text, ours->text) == 0)
                return 0;
        text[strcspn(text, "\n")] = '\0';
        text_make_clean(text);
        return say_taken(strlen(text) > HOST_AT ? text + HOST_AT : "?", highest, ours, why);
}

int claim_find(struct s3 *s, int dir_fd, struct claim *ret, struct strbuf *why)
{
        struct claim claim, before;
        uint64_t highest, tried;
        int r;

        r = claim_read(dir_fd, &claim, &before, why);
        if (r == 0)
                r = find_highest(s, &highest, why);
        if (r < 0)
                return r;
        tried = claim.number > highest ? claim.number : highest;
        if (claim.number > 0 && highest < claim.number)
                claim = before; /* it was not made */
        if (claim.number > 0 && highest >= claim.number)
                r = compare(s, highest, &claim, why);
        if (r < 0)
                return r;
        *ret = claim;
        ret->tried = tried;
        return 0;
}

int claim_hold(struct s3 *s, const struct claim *claim, struct strbuf *why)
{
        uint64_t highest;
        int r;

        r = find_highest(s, &highest, why);
        if (r < 0 || highest == claim->number)
                return r;
        if (highest > claim->number)
                return compare(s, highest, claim, why);
        strbuf_add(why, "the claim that this blob store has made in the bucket is not there any more");
        return -ENOENT;
}

static int fill_in(uint64_t number, struct claim *ret)
{
        char host[HOST_MAX + 1] = "", digits[2 * TOKEN_BYTES + 1];
        uint8_t token[TOKEN_BYTES];

        if (getrandom(token, sizeof(token), 0) != sizeof(token))
                return -errno; /* cannot fail once the system runs */
        put_hex(digits, token, sizeof(token));
        (void)gethostname(host, HOST_MAX); /* it may be a part of it */
        ret->number = number;
        (void)snprintf(ret->text, sizeof(ret->text), "%0*" PRIx64 " %s %s\n", DIGITS, number, digits, host[0] ? host : "?");
        return 0;
}

static int put(struct s3 *s, const struct claim *claim, struct strbuf *why)
{
        CLEANUP_CLOSE int fd = memfd_create("claim", MFD_CLOEXEC);
        const size_t n = strlen(claim->text);
        char key[KEY_SIZE];
        int r;

        claim_key(claim->number, key);
        r = fd < 0 ? -ENOMEM : pwrite_full(fd, claim->text, n, 0);
        if (r == 0)
                r = s3_put(s, key, fd, n, why);
        return r == -EEXIST ? compare(s, claim->number, claim, why) : r;
}

struct removing {
        struct s3 *s;
        uint64_t below;
};

/* An s3_each_fn. What stays is removed the next time. */
static int remove_below(void *ctx, const char *name, uint64_t size)
{
        const struct removing *w = ctx;
        uint64_t number;

        (void)size;
        if (strlen(name) == KEY_SIZE - 1 && parse_number(name + sizeof(CLAIM_FOLDER) - 1, &number) == 0 && number < w->below)
                (void)s3_remove(w->s, name, NULL);
        return 0;
}

int claim_make(struct s3 *s, int dir_fd, struct claim *claim, struct strbuf *why)
{
        const struct claim last = *claim;
        struct claim next;
        int r;

        r = fill_in(last.tried + 1, &next);
        if (r == 0)
                r = claim_write(dir_fd, &next, &last, why); /* first: what is in the bucket is known again */
        if (r < 0)
                return r;
        r = put(s, &next, why);
        if (r == -EDQUOT && last.text[0]) {
                strbuf_reset(why);
                return 0;
        }
        if (r == 0)
                r = claim_hold(s, &next, why); /* it could be one that was removed since it was looked */
        if (r < 0)
                return r;
        r = claim_write(dir_fd, &next, &(struct claim){ 0 }, why);
        if (r < 0)
                return r;
        *claim = next;
        (void)s3_list(s, CLAIM_FOLDER, remove_below, &(struct removing){ s, next.number }, NULL);
        return 0;
}
