/* SPDX-License-Identifier: MIT */

/*
 * One look at an upstream:
 *
 *      with sums       its list, if that has changed; its signature, where there is a keyring; the sum of the file in it,
 *                      and nothing where a file of that sum was imported before
 *      without         does the server say that the file is another version than the last one?
 *
 * What is new becomes an image that is being fetched, in the transaction that ends the task: a run that is cut off before
 * it begins anew, and after it the fetch goes on by itself (fetch.c), which checks the sum.
 *
 * Of a signed list nothing is used but what gpgv gives back as signed; and one that was signed before the newest that was
 * believed is refused, since whoever stands between may send what was right once.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "blobstore/import/keyring.h"
#include "blobstore/import/signature.h"
#include "model/core/clock.h"
#include "model/core/object_row.h"
#include "model/core/quota_row.h"
#include "model/image/image_row.h"
#include "model/intake/fetch_row.h"
#include "model/intake/follow_row.h"
#include "model/intake/follow_task.h"
#include "model/intake/sums.h"
#include "model/intake/upload_state.h"

#define STALL_S   60
#define TRIES_MAX 3

/* Of a list, and of a signature. */
#define TEXT_BYTES_MAX (1 << 20)

#define CANCELLED "the run was cancelled"

struct look {
        struct job *job;
        struct follow_row row;
        char url_text[URL_MAX + 1], sums_text[URL_MAX + 1]; /* with their logins */
        struct url url, sums;
        struct pull_version seen; /* now */
        int64_t signed_s; /* 0: not signed */
        char sum[FILE_SUM_TEXT_MAX]; /* "" where there is none */
};

static int open_address(struct look *l, const struct follow_address *a, char *text, struct url *url)
{
        int r;

        if (!a->sealed[0])
                return 0;
        r = secret_unseal(l->job->m, a->sealed, text, URL_MAX + 1);
        if (r == -EKEYREJECTED) {
                strbuf_add(&l->job->reason, "the address was sealed with a key that this library has lost (its file "
                                            SECRET_FILE "): write it again");
                return -EPROTO;
        }
        return r < 0 ? r : url_parse(text, url, NULL);
}

static int load(struct look *l)
{
        int r;

        {
                DB_TXN(t);

                r = db_begin(l->job->m->db, DB_READ, &t);
                if (r == 0)
                        r = follow_load_of_task(&t, l->job->task.o.id, &l->row);
        }
        if (r == -ENOENT)
                return -ECANCELED;
        if (r == 0)
                r = open_address(l, &l->row.url, l->url_text, &l->url);
        if (r == 0)
                r = open_address(l, &l->row.sums, l->sums_text, &l->sums);
        if (r == 0 && l->row.has_keyring && !l->row.sums.sealed[0]) {
                strbuf_add(&l->job->reason, "there is a keyring, but no list that could be signed: write its address to sums");
                return -EPROTO;
        }
        return r;
}

/* ---- what servers send ---- */

struct text_pull {
        struct look *look;
        struct strbuf *text; /* NULL: only the version is wanted */
        struct pull_version version;
};

/* What ends a try that has told the version. */
#define SEEN (-EINPROGRESS)

static int on_begin(void *ctx, uint64_t off, const struct pull_version *v)
{
        struct text_pull *p = ctx;

        (void)off;
        p->version = *v;
        if (!p->text)
                return SEEN;
        strbuf_reset(p->text);
        return 0;
}

static int on_write(void *ctx, const void *bytes, size_t n)
{
        struct text_pull *p = ctx;

        if (p->text->len + n > TEXT_BYTES_MAX)
                return -EFBIG;
        strbuf_add_bytes(p->text, bytes, n);
        return strbuf_error(p->text);
}

static int on_poll(void *ctx)
{
        const struct text_pull *p = ctx;

        return job_progress(p->look->job, 0, 0);
}

/* -EALREADY: it is the version SEEN. TEXT NULL: nothing but the version is asked for. */
static int get(struct look *l, const struct url *url, bool reach_private, const struct pull_version *seen,
               struct strbuf *text, struct pull_version *ret)
{
        struct strbuf *reason = &l->job->reason;
        struct text_pull p = { .look = l, .text = text };
        struct pull pull = {
                .url = url,
                .reach_private = reach_private,
                .stall_s = STALL_S,
                .unless_same = seen != NULL,
                .begin = on_begin,
                .write = on_write,
                .poll = on_poll,
                .ctx = &p,
        };
        int r = -EAGAIN;

        if (seen)
                pull.version = *seen;
        for (unsigned tries = 1; r == -EAGAIN; tries++) {
                strbuf_reset(reason);
                r = pull_run(&pull, reason);
                if (r == -EAGAIN && tries == TRIES_MAX) {
                        strbuf_addf(reason, " (tried %d times)", TRIES_MAX);
                        return -EPROTO;
                }
                if (r == -EAGAIN && job_pause(l->job, 1u << (tries - 1)) < 0)
                        return -ECANCELED;
        }
        if (r == -EFBIG)
                strbuf_addf(reason, "%s has more than a list of sums can have", url->shown);
        if (ret && (r == 0 || r == SEEN))
                *ret = p.version;
        return r;
}

/* ---- signatures ---- */

/* The address with SUFFIX at the end of its path. */
static int beside(const struct look *l, const char *suffix, char *text, struct url *ret)
{
        const size_t path = strcspn(l->sums_text, "?");
        int n = snprintf(text, URL_MAX + 1, "%.*s%s%s", (int)path, l->sums_text, suffix, l->sums_text + path);

        return n > URL_MAX ? -EINVAL : url_parse(text, ret, NULL);
}

/* The signature that lies beside the list. */
static int get_signature(struct look *l, struct strbuf *ret)
{
        static const char *const suffixes[] = { ".sign", ".gpg", ".asc" };
        char text[URL_MAX + 1];
        struct url url;
        int r = -EPROTO;

        for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]) && r == -EPROTO; i++) {
                r = beside(l, suffixes[i], text, &url);
                if (r == 0)
                        r = get(l, &url, l->row.sums.reach_private, NULL, ret, NULL);
        }
        if (r == -EPROTO) {
                strbuf_reset(&l->job->reason);
                strbuf_add(&l->job->reason, "sums is not signed: there is a keyring, and neither is the list clear-signed "
                                            "nor is there a .sign, .gpg or .asc beside it that can be fetched");
        }
        return r;
}

static void add_day(struct strbuf *out, int64_t s)
{
        strbuf_add_time(out, s * 1000000);
}

static int refuse_older(struct look *l)
{
        if (l->signed_s >= l->row.signed_s)
                return 0;
        strbuf_add(&l->job->reason, "sums is older than a list that was seen before: this one was signed ");
        add_day(&l->job->reason, l->signed_s);
        strbuf_add(&l->job->reason, ", that one ");
        add_day(&l->job->reason, l->row.signed_s);
        return -EPROTO;
}

static int note_signed(struct look *l)
{
        DB_TXN(t);
        int r;

        r = db_begin(l->job->m->db, DB_WRITE, &t);
        if (r == 0)
                r = follow_set_signed(&t, l->row.o.id, l->signed_s);
        return r < 0 ? r : db_commit(&t);
}

/* Leaves of LIST what was signed. */
static int check_signature(struct look *l, struct strbuf *list)
{
        CLEANUP_STRBUF struct strbuf armoured = { 0 }, packets = { 0 }, detached = { 0 }, wrong = { 0 };
        struct signature s = { .text = list };
        int r;

        {
                DB_TXN(t);

                r = db_begin(l->job->m->db, DB_READ, &t);
                if (r == 0)
                        r = follow_load_keyring(&t, l->row.o.id, &armoured);
        }
        if (r == 0)
                r = keyring_read(strbuf_text(&armoured), armoured.len, &packets, &l->job->reason);
        if (r == 0 && !signature_is_clear(list)) {
                r = get_signature(l, &detached);
                s.detached = &detached;
        }
        if (r != 0)
                return r > 0 ? -EBADMSG : r;

        s.keyring = strbuf_text(&packets);
        s.keyring_bytes = packets.len;
        r = signature_check(&s, l->job->m->dir_fd, list, &l->signed_s, &wrong);
        if (r == -EKEYREJECTED)
                strbuf_addf(&l->job->reason, "sums cannot be trusted: %s", strbuf_text(&wrong));
        else if (r < 0)
                strbuf_add(&l->job->reason, strbuf_text(&wrong));
        if (r == 0)
                r = refuse_older(l);
        return r < 0 ? r : note_signed(l);
}

/* ---- what is new ---- */

/* The last component of the address. */
static void file_name(const struct url *url, char ret[URL_MAX + 1])
{
        const size_t n = strcspn(url->shown, "?");
        size_t from = n;

        while (from > 0 && url->shown[from - 1] != '/')
                from--;
        (void)snprintf(ret, URL_MAX + 1, "%.*s", (int)(n - from), url->shown + from);
}

static int look_at_sums(struct look *l)
{
        CLEANUP_STRBUF struct strbuf list = { 0 };
        char name[URL_MAX + 1];
        int r;

        r = get(l, &l->sums, l->row.sums.reach_private, &l->row.seen, &list, &l->seen);
        if (r == 0 && memchr(strbuf_text(&list), '\0', list.len)) {
                strbuf_add(&l->job->reason, "what is at sums is no list of sums");
                return -EPROTO;
        }
        if (r == 0 && l->row.has_keyring)
                r = check_signature(l, &list);
        if (r < 0)
                return r;
        file_name(&l->url, name);
        return sums_find(&list, name, l->sum, &l->job->reason);
}

static int look_at_file(struct look *l)
{
        int r;

        r = get(l, &l->url, l->row.url.reach_private, &l->row.seen, NULL, &l->seen);
        if (r == 0)
                r = SEEN; /* a file without a byte: its import says so */
        if (r != SEEN)
                return r;
        if (l->seen.etag[0] || l->seen.modified[0])
                return 0;
        strbuf_add(&l->job->reason, "the server does not tell versions of the file apart (neither ETag nor Last-Modified): "
                                    "write the address of a list of sums to sums");
        return -EPROTO;
}

/* ---- the end ---- */

static int end_without(struct look *l, bool remember)
{
        struct changes ch = { 0 };
        DB_TXN(t);
        int r;

        r = job_finish(l->job, &t);
        if (r == 0 && remember)
                r = follow_set_seen(&t, l->row.o.id, &l->seen);
        if (r == 0)
                r = follow_end(&t, &l->row, FOLLOW_IDLE, "", &ch);
        if (r == 0)
                r = follow_forget_task(&t, l->job->task.o.id);
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                changes_tell(l->job->m, &ch);
        return r;
}

/* "debian-12-2026-01-31", hers, and as open as what follows it. */
static void begin_image(const struct look *l, struct image *ret)
{
        const struct caller owner = object_owner(&l->row.o);
        const time_t now_s = (time_t)(clock_now_us() / 1000000);
        char day[sizeof("-2026-01-31")] = "", handle[NAME_LEN_MAX + 1];
        struct tm tm;

        if (gmtime_r(&now_s, &tm))
                (void)strftime(day, sizeof(day), "-%Y-%m-%d", &tm);
        (void)snprintf(handle, sizeof(handle), "%.*s%s", (int)text_fit(l->row.o.handle, NAME_LEN_MAX - strlen(day)),
                       l->row.o.handle, day);
        image_begin(ret, &owner, l->row.region, CLASS_PRIVATE, handle);
        ret->o.mode = l->row.o.mode;
        memcpy(ret->family, l->row.family, sizeof(ret->family));
}

static int insert_image(struct look *l, struct db_txn *t, const struct fetch_row *fetch, struct changes *ch,
                        struct diag *diag)
{
        CLEANUP_FREE struct image *image = malloc(sizeof(*image));
        int r;

        if (!image)
                return -ENOMEM;
        r = follow_load(t, l->row.o.id, &l->row); /* it may have another owner or name by now */
        if (r < 0)
                return r;
        begin_image(l, image);
        r = quota_check(t, image->region, image->o.uid, LIMIT_PRIVATE_IMAGES, 1, diag);
        if (r == 0)
                r = image_insert(t, image, true, diag);
        if (r == 0)
                r = fetch_start(l->job->m, t, image, fetch, ch, diag);
        if (r == 0)
                r = follow_begin_image(t, &l->row, image->o.id, l->sum, &l->seen);
        return r < 0 ? r : follow_forget_task(t, l->job->task.o.id);
}

static int begin_import(struct look *l)
{
        struct fetch_row fetch = { .reach_private = l->row.url.reach_private };
        struct changes ch = { 0 };
        struct diag diag = { 0 };
        int r;

        memcpy(fetch.url, l->url_text, sizeof(fetch.url));
        memcpy(fetch.sealed, l->row.url.sealed, sizeof(fetch.sealed));
        memcpy(fetch.sum, l->sum, sizeof(fetch.sum));
        {
                LOCK_SCOPE(uploads_mutex(l->job->m));
                DB_TXN(t);

                r = db_begin_lazy(l->job->m->db, &t);
                if (r == 0)
                        r = task_end(&t, l->job->task.o.id, TASK_DONE, "", &(struct progress){ 0 });
                if (r == 0)
                        r = insert_image(l, &t, &fetch, &ch, &diag);
                if (r == 0)
                        r = db_commit(&t);
        }
        if (r < 0 && diag.error)
                strbuf_add(&l->job->reason, diag.text);
        if (r == 0)
                r = db_settle(l->job->m->db); /* for which nobody waits who opens an upload */
        if (r < 0)
                return r;
        changes_add(&ch, OBJECT_FOLLOW, l->row.o.id);
        changes_tell(l->job->m, &ch);
        return 0;
}

static int has_imported(struct look *l)
{
        DB_TXN(t);
        int r;

        if (!l->sum[0])
                return 0;
        r = db_begin(l->job->m->db, DB_READ, &t);
        return r < 0 ? r : follow_has_imported(&t, l->row.o.id, l->sum);
}

int follow_run(struct job *job)
{
        CLEANUP_FREE struct look *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->job = job;
        r = load(l);
        if (r == 0)
                r = l->row.sums.sealed[0] ? look_at_sums(l) : look_at_file(l);
        if (r == -EALREADY) {
                strbuf_reset(&job->reason);
                return end_without(l, false);
        }
        if (r == 0)
                r = has_imported(l);
        if (r < 0)
                return r;
        strbuf_reset(&job->reason); /* of what was not there, and need not be */
        return r > 0 ? end_without(l, true) : begin_import(l);
}

int follow_undo(struct db_txn *t, const struct task *task, const char *sentence, struct changes *ch)
{
        CLEANUP_FREE struct follow_row *f = malloc(sizeof(*f));
        int r;

        if (!f)
                return -ENOMEM;
        r = follow_load_of_task(t, task->o.id, f);
        if (r == 0)
                r = follow_end(t, f, FOLLOW_ERROR, sentence ? sentence : CANCELLED, ch);
        return r == -ENOENT ? 0 : r;
}
