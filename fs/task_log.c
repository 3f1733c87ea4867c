/* SPDX-License-Identifier: MIT */
/* Ends of tasks in the log: whose, of what, and how. Nobody waits for the line. */

#include "fs/task_log.h"

#include "blobstore/base/log.h"
#include "fs/tree/path.h"

/* What it works on: 0 is none, and an image that is made of an instance is what it works for. */
struct task_log_place {
        enum object_kind kind;
        uint64_t id;
};

static struct task_log_place task_log_source(const struct task *t)
{
        if (t->kind == TASK_FOLLOW)
                return (struct task_log_place){ OBJECT_REGION, t->region }; /* what it brings has a line of its own */
        if (t->instance)
                return (struct task_log_place){ OBJECT_INSTANCE, t->instance };
        return t->volume ? (struct task_log_place){ OBJECT_VOLUME, t->volume } :
                           (struct task_log_place){ OBJECT_IMAGE, t->image };
}

static struct task_log_place task_log_target(const struct task *t)
{
        if (t->snapshot)
                return (struct task_log_place){ OBJECT_SNAPSHOT, t->snapshot };
        return (struct task_log_place){ OBJECT_IMAGE, t->result || !t->instance ? t->result : t->image };
}

static void task_log_add(struct req *rq, const char *word, struct task_log_place place, struct strbuf *out)
{
        strbuf_addf(out, " %s ", word);
        if (!place.id || path_add(rq, place.kind, place.id, false, out) < 0)
                strbuf_add(out, "what is gone");
}

void task_log_end(struct model *m, const struct task *task)
{
        struct fs fs = { .model = m };
        CLEANUP_REQ struct req rq = { .fs = &fs, .caller = { .admin = true } };
        CLEANUP_STRBUF struct strbuf line = { 0 };
        char user[NAME_LEN_MAX + 1];

        if (!log_shows(LOG_INFO))
                return;
        user_name(m, task->o.uid, user, sizeof(user));
        strbuf_addf(&line, "%s: %s", user, task_kind_name(task->kind));
        task_log_add(&rq, "of", task_log_source(task), &line);
        if (task_log_target(task).id)
                task_log_add(&rq, "to", task_log_target(task), &line);
        log_info("%s: %s%s%s (%s)", strbuf_text(&line), task_status_name(task->status), task->error[0] ? ": " : "",
                 task->error, task->o.handle);
}
