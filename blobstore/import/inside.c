/* SPDX-License-Identifier: MIT */

/*
 * Whatever the child says is taken as said by the guest: requests are bounded in size, place and number, texts in length
 * and characters, and the time that is spent on waiting for it all together. It is started for each question: that takes
 * milliseconds, what it finds is kept by who asks, and one that lived on would have to be counted and ended.
 */

#include "blobstore/import/inside.h"

#include <errno.h>
#include <string.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/parse.h"
#include "blobstore/import/guest_child_priv.h"
#include "blobstore/import/inside_reader/protocol.h"

#define PROGRAM            "imagefs-inside"
#define WAIT_MS            10000
#define CHILD_MEMORY_BYTES (UINT64_C(512) << 20) /* a database of packages fits */
#define CHILD_CPU_SECONDS  5

bool inside_may_be(const void *start)
{
        const uint8_t *p = start;

        return (p[510] == 0x55 && p[511] == 0xaa) || (p[0x438] == 0x53 && p[0x439] == 0xef);
}

/* ---- what is said ---- */

static int answer_read(int fd, const struct inside_packet *p, const struct inside_disk *disk)
{
        uint8_t buf[INSIDE_READ_MAX];
        int r;

        if (p->len == 0 || p->len > sizeof(buf) || p->off > disk->size_bytes || p->len > disk->size_bytes - p->off)
                return -EPROTO;
        r = disk->read(disk->ctx, buf, p->len, p->off);
        return r < 0 ? r : guest_child_answer(fd, buf, p->len);
}

/* A word of printable ASCII, ended inside of its SIZE bytes; may be empty. */
static bool is_word(const char *text, size_t size)
{
        const size_t n = strnlen(text, size);

        for (size_t i = 0; i < n; i++) {
                if (text[i] <= ' ' || text[i] > '~')
                        return false;
        }
        return n < size;
}

static int take_part(const struct inside_part *said, const struct inside_disk *disk, struct inside_parts *ret)
{
        if (!ret || ret->n == INSIDE_PARTS_MAX || said->number > INSIDE_NUMBER_MAX)
                return -EPROTO;
        if (said->len == 0 || said->off > disk->size_bytes || said->len > disk->size_bytes - said->off)
                return -EPROTO;
        if (!is_word(said->type, sizeof(said->type)) || !is_word(said->fs, sizeof(said->fs)) ||
            !is_word(said->uuid, sizeof(said->uuid)) || !memchr(said->label, '\0', sizeof(said->label)))
                return -EPROTO;
        for (size_t i = 0; i < ret->n; i++) {
                if (ret->part[i].number == said->number)
                        return -EPROTO;
        }
        ret->part[ret->n++] = *said;
        return 0;
}

/* One of the words, which end with NULL, or nothing. */
static bool is_one_of(const char *text, size_t size, const char *const *words)
{
        if (!is_word(text, size))
                return false;
        while (*words && strcmp(*words, text) != 0)
                words++;
        return !text[0] || *words;
}

static bool is_line(const char *text, size_t size)
{
        const size_t n = strnlen(text, size);

        return n < size && text_is_clean(text, n);
}

static int take_system(const struct inside_system *said, struct inside_system *ret)
{
        static const char *const os[] = { "linux", "kylin", "windows", NULL };
        static const char *const architectures[] = { "x86_64", "aarch64", NULL };
        static const char *const boot_modes[] = { "bios", "uefi", NULL };

        if (!is_one_of(said->os, sizeof(said->os), os) ||
            !is_one_of(said->architecture, sizeof(said->architecture), architectures) ||
            !is_one_of(said->boot_mode, sizeof(said->boot_mode), boot_modes) ||
            !is_line(said->platform, sizeof(said->platform)) ||
            !is_line(said->platform_version, sizeof(said->platform_version)))
                return -EPROTO;
        *ret = *said;
        return 0;
}

static int take_lines(const struct inside_packet *p, struct strbuf *ret)
{
        if (p->len > INSIDE_TEXT_MAX - ret->len)
                return -EPROTO;
        for (size_t i = 0; i < p->len; i++) {
                if (p->lines[i] != '\n' && (p->lines[i] < ' ' || p->lines[i] > '~'))
                        return -EPROTO;
        }
        strbuf_add_bytes(ret, p->lines, p->len);
        return strbuf_error(ret);
}

static int take_end(uint32_t error, struct inside_answer *ret)
{
        if (error != 0 && error != ENODATA && error != ENOMEDIUM && error != ENOPKG)
                return -EPROTO;
        ret->end = -(int)error;
        return 0;
}

static int take(int fd, const struct inside_packet *p, size_t n, const struct inside_disk *disk,
                struct inside_answer *ret)
{
        if (p->kind == INSIDE_READ && n == INSIDE_PACKET_SIZE(0))
                return answer_read(fd, p, disk);
        if (p->kind == INSIDE_PART && n == INSIDE_PACKET_SIZE(sizeof(p->part)))
                return take_part(&p->part, disk, ret->parts);
        if (p->kind == INSIDE_FOUND && n == INSIDE_PACKET_SIZE(sizeof(p->system)))
                return take_system(&p->system, &ret->system);
        if (p->kind == INSIDE_LINES && p->len <= INSIDE_LINES_MAX && n == INSIDE_PACKET_SIZE(p->len))
                return take_lines(p, &ret->lines);
        if (p->kind == INSIDE_END && n == INSIDE_PACKET_SIZE(0))
                return take_end(p->len, ret);
        return -EPROTO;
}

int inside_answer(int fd, const struct inside_disk *disk, int wait_ms, struct inside_answer *ret)
{
        int64_t left_ms = wait_ms;
        struct inside_packet p;
        ssize_t n;
        int r;

        ret->end = -EPROTO; /* it is to say that this was all */
        for (unsigned asked = 0;; asked++) {
                n = guest_child_receive(fd, &left_ms, &p, sizeof(p));
                if (n <= 0)
                        return n < 0 ? (int)n : ret->end == -EPROTO ? -EPROTO : 0;
                if ((size_t)n < INSIDE_PACKET_SIZE(0) || asked == INSIDE_REQUESTS_MAX)
                        return -EPROTO;
                r = take(fd, &p, (size_t)n, disk, ret);
                if (r < 0)
                        return r;
        }
}

/* ---- asking ---- */

/* Tells what the disk could not give from what the child could not do. */
struct reading {
        const struct inside_disk *disk;
        int error;
};

static int read_disk(void *ctx, void *buf, size_t n, uint64_t off)
{
        struct reading *reading = ctx;

        reading->error = reading->disk->read(reading->disk->ctx, buf, n, off);
        return reading->error;
}

static int ask(const struct inside_disk *disk, enum inside_question question, int wait_ms, struct inside_answer *ret)
{
        const struct inside_hello hello = { .question = question, .size_bytes = disk->size_bytes };
        const struct guest_child what = {
                .program = PROGRAM,
                .hello = &hello,
                .hello_len = sizeof(hello),
                .memory_bytes = CHILD_MEMORY_BYTES,
                .cpu_seconds = CHILD_CPU_SECONDS,
        };
        struct reading reading = { .disk = disk };
        const struct inside_disk watched = { disk->size_bytes, read_disk, &reading };
        CLEANUP_CLOSE int fd = -1;
        struct child *child = NULL;
        int r;

        r = guest_child_start(&what, &fd, &child);
        if (r < 0)
                return r;
        r = inside_answer(fd, &watched, wait_ms, ret);
        r = guest_child_end(child, PROGRAM, r);
        if (r == 0)
                return ret->end;
        return reading.error < 0 ? reading.error : r == -ENOMEM ? r : -EUCLEAN;
}

int inside_find_partitions(const struct inside_disk *disk, struct inside_parts *ret)
{
        struct inside_answer answer = { .parts = ret };
        int r;

        ret->n = 0;
        r = ask(disk, INSIDE_PARTITIONS, WAIT_MS, &answer);
        strbuf_done(&answer.lines);
        return r;
}

int inside_find_system(const struct inside_disk *disk, int wait_ms, struct inside_system *ret)
{
        struct inside_answer answer = { 0 };
        int r = ask(disk, INSIDE_SYSTEM, wait_ms ? wait_ms : WAIT_MS, &answer);

        if (r == 0)
                *ret = answer.system;
        strbuf_done(&answer.lines);
        return r;
}

int inside_list_packages(const struct inside_disk *disk, struct strbuf *out)
{
        struct inside_answer answer = { 0 };
        int r = ask(disk, INSIDE_PACKAGES, WAIT_MS, &answer);

        if (r == 0)
                strbuf_add_bytes(out, strbuf_text(&answer.lines), answer.lines.len);
        strbuf_done(&answer.lines);
        return r < 0 ? r : strbuf_error(out);
}
