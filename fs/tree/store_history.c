/* SPDX-License-Identifier: MIT */
/*
 * The table has every row that is kept. The picture has the days of the whole library only, and of those no more than one
 * for each of its columns, however many years they are: three areas, one before the other, of what images and snapshots
 * would take as files of their own, what of it is distinct, and what is stored. What is known of a day lasts until the
 * next that anything is known of; days on which a store was offline have no more than the first.
 */

#include "fs/tree/store_history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/tree/kind.h"
#include "model/core/text.h"
#include "model/work/history.h"

#define DAY_S 86400

static void add_day(struct strbuf *out, int64_t day)
{
        const time_t when = (time_t)(day * DAY_S);
        char text[64];
        struct tm tm;

        if (gmtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%d", &tm))
                strbuf_add(out, text);
}

/* ---- the table ---- */

/* As RFC 4180 has it. */
static void add_quoted(struct strbuf *out, const char *text)
{
        if (!strpbrk(text, ",\"")) {
                strbuf_add(out, text);
                return;
        }
        strbuf_add(out, "\"");
        for (; *text; text++)
                strbuf_addf(out, *text == '"' ? "\"%c" : "%c", *text);
        strbuf_add(out, "\"");
}

static int add_row(void *ctx, const struct history_row *row)
{
        struct strbuf *out = ctx;

        add_day(out, row->day);
        strbuf_add(out, ",");
        add_quoted(out, row->region);
        strbuf_addf(out, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, row->images, row->snapshots, row->size_bytes,
                    row->data_bytes);
        if (row->stored_known)
                strbuf_addf(out, ",%" PRIu64 ",%" PRIu64 "\n", row->unique_bytes, row->stored_bytes);
        else
                strbuf_add(out, ",,\n");
        return strbuf_error(out);
}

static int make_csv(struct req *rq, struct strbuf *out)
{
        strbuf_add(out, "day,region,images,snapshots,size-bytes,data-bytes,unique-bytes,stored-bytes\n");
        return history_each(rq->fs->model, add_row, out);
}

/* ---- the picture ---- */

#define WIDTH   870
#define HEIGHT  420
#define LEFT    90
#define RIGHT   820
#define TOP     80
#define BOTTOM  370
#define COLUMNS (RIGHT - LEFT)
#define STEPS   5 /* of the vertical axis, at most */
#define DATES   6

enum series { DATA, UNIQUE, STORED, N_SERIES };

static const struct {
        const char *label, *colour;
} series[N_SERIES] = {
        [DATA] = { "data of images and snapshots", "#d0d7de" },
        [UNIQUE] = { "distinct", "#8cb9e0" },
        [STORED] = { "stored", "#1f6fb2" },
};

struct point {
        int64_t day;
        bool known; /* the last two */
        double bytes[N_SERIES];
};

struct picture {
        struct point *points;
        size_t n, size;
        uint64_t images, snapshots; /* on the last day */
};

static void picture_done(struct picture *p)
{
        free(p->points);
}

static int take_point(void *ctx, const struct history_row *row)
{
        struct picture *p = ctx;

        if (row->region[0])
                return 0;
        if (p->n == p->size) {
                size_t size = p->size ? 2 * p->size : 64;
                struct point *larger = reallocarray(p->points, size, sizeof(*larger));

                if (!larger)
                        return -ENOMEM;
                p->points = larger;
                p->size = size;
        }
        p->points[p->n++] = (struct point){
                .day = row->day,
                .known = row->stored_known,
                .bytes = { (double)row->data_bytes, (double)row->unique_bytes, (double)row->stored_bytes },
        };
        p->images = row->images;
        p->snapshots = row->snapshots;
        return 0;
}

/* The last day has a place of its own, too. */
static int column_of(const struct picture *p, int64_t day)
{
        const int64_t first = p->points[0].day, days = p->points[p->n - 1].day + 1 - first;

        return LEFT + (int)((double)(day - first) * COLUMNS / (double)days);
}

/* Of the days that come to the same column the last; the first stays, since all columns are told from it. */
static void thin_out(struct picture *p)
{
        size_t kept = 1;

        for (size_t i = 1; i < p->n; i++) {
                if (kept > 1 && column_of(p, p->points[kept - 1].day) == column_of(p, p->points[i].day))
                        kept--;
                p->points[kept++] = p->points[i];
        }
        p->n = kept;
}

struct axis {
        double unit, step, top; /* bytes */
        const char *name; /* of the unit */
};

/* Steps of 1, 2 or 5 in some unit, a few of which reach the greatest value. */
static struct axis make_axis(const struct picture *p)
{
        static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
        struct axis a = { .unit = 1, .step = 1, .name = names[0] };
        double most = 1;
        unsigned unit = 0;

        for (size_t i = 0; i < p->n; i++) {
                for (int s = 0; s < N_SERIES; s++)
                        most = p->points[i].bytes[s] > most ? p->points[i].bytes[s] : most;
        }
        while (most / a.unit >= 1024 && unit + 1 < sizeof(names) / sizeof(names[0])) {
                a.unit *= 1024;
                a.name = names[++unit];
        }
        for (int i = 0; most / a.unit > a.step * STEPS; i++)
                a.step *= i % 3 == 1 ? 2.5 : 2;
        a.step *= a.unit;
        while (a.top < most)
                a.top += a.step;
        return a;
}

static double height_of(const struct axis *a, double bytes)
{
        return BOTTOM - bytes / a->top * (BOTTOM - TOP);
}

static void add_area(struct strbuf *out, const struct picture *p, const struct axis *a, enum series s)
{
        bool open = false;

        strbuf_addf(out, "<path fill=\"%s\" d=\"", series[s].colour);
        for (size_t i = 0; i < p->n; i++) {
                const struct point *point = &p->points[i];
                const bool known = s == DATA || point->known;

                if (open && !known)
                        strbuf_addf(out, "V%dZ", BOTTOM);
                if (!open && known)
                        strbuf_addf(out, "M%d,%d", column_of(p, point->day), BOTTOM);
                open = known;
                if (known)
                        strbuf_addf(out, "V%.1fH%d", height_of(a, point->bytes[s]),
                                    i + 1 < p->n ? column_of(p, p->points[i + 1].day) : RIGHT);
        }
        if (open)
                strbuf_addf(out, "V%dZ", BOTTOM);
        strbuf_add(out, "\"/>\n");
}

static void add_grid(struct strbuf *out, const struct picture *p, const struct axis *a)
{
        const int64_t first = p->points[0].day, last = p->points[p->n - 1].day;
        const int64_t dates = last - first < DATES ? last - first + 1 : DATES;

        for (double at = 0; at <= a->top; at += a->step)
                strbuf_addf(out, "<path stroke=\"#57606a\" stroke-opacity=\".3\" d=\"M%d,%.1fH%d\"/>"
                            "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g %s</text>\n", LEFT, height_of(a, at), RIGHT,
                            LEFT - 8, height_of(a, at) + 4, at / a->unit, a->name);
        for (int64_t i = 0; i < dates; i++) {
                const int64_t day = dates > 1 ? first + (last - first) * i / (dates - 1) : first;

                strbuf_addf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">",
                            (column_of(p, day) + column_of(p, day + 1)) / 2, BOTTOM + 22);
                add_day(out, day);
                strbuf_add(out, "</text>\n");
        }
}

static void add_bytes(struct strbuf *out, double bytes)
{
        static const char *const names[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
        unsigned unit = 0;

        for (; bytes >= 1024 && unit + 1 < sizeof(names) / sizeof(names[0]); unit++)
                bytes /= 1024;
        strbuf_addf(out, unit ? "%.1f %s" : "%.0f %s", bytes, names[unit]);
}

static void add_title(struct strbuf *out, const struct picture *p)
{
        const struct point *last = &p->points[p->n - 1];

        strbuf_addf(out, "%" PRIu64 " image%s and %" PRIu64 " snapshot%s hold ", p->images, p->images == 1 ? "" : "s",
                    p->snapshots, p->snapshots == 1 ? "" : "s");
        add_bytes(out, last->bytes[DATA]);
        if (!last->known)
                return;
        strbuf_add(out, " of data; ");
        add_bytes(out, last->bytes[STORED]);
        strbuf_add(out, " are stored");
        if (last->bytes[STORED] > 0 && last->bytes[DATA] > last->bytes[STORED])
                strbuf_addf(out, ", %.1f times less", last->bytes[DATA] / last->bytes[STORED]);
}

static int make_svg(struct req *rq, struct strbuf *out)
{
        CLEANUP(picture_done) struct picture p = { 0 };
        struct axis axis;
        int r;

        r = history_each(rq->fs->model, take_point, &p);
        if (r < 0)
                return r;
        axis = make_axis(&p);
        thin_out(&p);
        strbuf_addf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
                    "font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
                    "<text x=\"%d\" y=\"30\" font-size=\"17\">", WIDTH, HEIGHT, LEFT);
        add_title(out, &p);
        strbuf_add(out, "</text>\n");
        for (int s = 0; s < N_SERIES; s++) {
                add_area(out, &p, &axis, s);
                strbuf_addf(out, "<rect x=\"%d\" y=\"46\" width=\"14\" height=\"14\" fill=\"%s\"/>"
                            "<text x=\"%d\" y=\"58\">%s</text>\n", LEFT + 250 * s, series[s].colour, LEFT + 250 * s + 20,
                            series[s].label);
        }
        add_grid(out, &p, &axis);
        strbuf_add(out, "</svg>\n");
        return 0;
}

/* ---- as files ---- */

/* Of nothing, which is all that users are shown, the time is the object's. */
static int make(struct req *rq, struct strbuf *out, int64_t *ret_changed_us)
{
        struct model_stats stats;
        int r;

        if (!rq->caller.admin)
                return 0;
        r = model_get_stats(rq->fs->model, &stats);
        if (r == 0)
                r = rq->entry->arg == STORE_HISTORY_CSV ? make_csv(rq, out) : make_svg(rq, out);
        if (r < 0)
                return r;
        *ret_changed_us = stats.changed_us;
        return strbuf_error(out);
}

int store_history_text(struct req *rq, struct text **ret, int64_t *ret_changed_us)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        int r;

        r = make(rq, &out, ret_changed_us);
        return r < 0 ? r : text_new(rq->fs->model, rq->caller.uid, &out, &rq->diag, ret);
}

int store_history_measure(struct req *rq, uint64_t *ret_size, int64_t *ret_changed_us)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        int r;

        r = make(rq, &out, ret_changed_us);
        if (r == 0)
                *ret_size = out.len;
        return r;
}
