/* SPDX-License-Identifier: MIT */
/*
 * info/events, and info/events-after/<seq>, of which nothing is listed: reading one waits (ops/follow.c).
 */

#include "fs/tree/dir.h"
#include "fs/tree/events.h"

#define EVENTS_SHOWN 1000

static void add_member(struct strbuf *out, const char *key, const char *value)
{
        strbuf_addf(out, ", \"%s\": ", key);
        strbuf_add_json(out, value);
}

void events_add(struct model *m, struct strbuf *out, const struct events *e)
{
        char name[NAME_LEN_MAX + 1] = "", other[NAME_LEN_MAX + 1];
        uid_t uid = 0;
        uint64_t number;

        for (size_t i = 0; i < e->n; i++) {
                const struct event *event = &e->event[i];
                const char *detail = event->detail;

                if (!name[0] || uid != event->uid)
                        user_name(m, uid = event->uid, name, sizeof(name));
                if (event->of_user && parse_u64(detail, &number) == 0) {
                        user_name(m, (uid_t)number, other, sizeof(other));
                        detail = other;
                }
                strbuf_addf(out, "{\"seq\": %llu, \"time\": \"", (unsigned long long)event->seq);
                strbuf_add_time(out, event->time_us);
                strbuf_add(out, "\"");
                add_member(out, "what", event->what);
                add_member(out, "region", event->region);
                add_member(out, "object", event->object);
                add_member(out, "id", event->id);
                add_member(out, "user", name);
                add_member(out, "detail", detail);
                strbuf_add(out, "}\n");
        }
}

int events_show(struct req *rq, struct strbuf *out)
{
        CLEANUP(events_done) struct events e = { 0 };
        int r;

        r = events_newest(rq->fs->model, &rq->caller, EVENTS_SHOWN, &e);
        if (r == 0)
                events_add(rq->fs->model, out, &e);
        return r;
}

int64_t events_changed_us(struct req *rq)
{
        CLEANUP(events_done) struct events e = { 0 };

        if (events_newest(rq->fs->model, &rq->caller, 1, &e) < 0 || e.n == 0)
                return rq->fs->born_us;
        return e.event[0].time_us;
}

/* Numbers have one way to be written: the name is as good as the number. */
static int events_after_find(struct req *rq, uint64_t oid, const char *name, struct child *ret, struct object *ret_object)
{
        uint64_t seq;

        (void)rq;
        (void)oid;
        (void)ret_object;
        if (parse_u64(name, &seq) < 0 || seq >> OID_BITS || (name[0] == '0' && name[1]))
                return -ENOENT;
        *ret = (struct child){ .oid = seq, .type = DT_REG };
        return 0;
}

const struct dir_kind dir_events_after = {
        .name = "events-after",
        .help = "reading <seq> in it waits for what happens after that event",
        .mode = 0555,
        .child = KIND_NONE,
        .object = dir_root_object,
        .find = events_after_find,
};
