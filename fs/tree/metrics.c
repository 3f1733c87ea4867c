/* SPDX-License-Identifier: MIT */
/*
 * info/metrics. What is added up elsewhere is asked for once (the sample), and a table says what each metric is of it;
 * imagefs-metrics(7) says more of each.
 */

#include "fs/tree/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "fs/tree/health.h"

struct sample {
        const struct counts *counts;
        struct model_stats store;
        uint64_t queued, running, problems;
        uint64_t resident_bytes;
        double cpu_seconds, uptime_seconds;
};

static int64_t metrics_clock_us(clockid_t clock)
{
        struct timespec t;

        (void)clock_gettime(clock, &t); /* cannot fail with these */
        return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

void metrics_begin(struct counts *c)
{
        c->begun_us = metrics_clock_us(CLOCK_BOOTTIME);
}

const char *count_request_name(enum count request)
{
        static const char *const names[] = {
#define NAME_OF(request) #request,
                COUNTED_REQUESTS(NAME_OF)
#undef NAME_OF
        };

        return names[request];
}

/* ---- what there is ---- */

static uint64_t count(const struct sample *s, enum count which)
{
        return atomic_load_explicit(&s->counts->n[which], memory_order_relaxed);
}

static void add_version(const struct sample *s, const char *name, struct strbuf *out)
{
        (void)s;
        strbuf_addf(out, "%s{version=\"" IMAGEFS_VERSION "\"} 1\n", name);
}

static void add_uptime(const struct sample *s, const char *name, struct strbuf *out)
{
        strbuf_addf(out, "%s %.3f\n", name, s->uptime_seconds);
}

static void add_cpu(const struct sample *s, const char *name, struct strbuf *out)
{
        strbuf_addf(out, "%s %.3f\n", name, s->cpu_seconds);
}

static void add_requests(const struct sample *s, const char *name, struct strbuf *out)
{
        for (unsigned i = 0; i < COUNT_REQUESTS; i++)
                strbuf_addf(out, "%s{request=\"%s\"} %" PRIu64 "\n", name, count_request_name(i), count(s, (enum count)i));
}

static void add_active(const struct sample *s, const char *name, struct strbuf *out)
{
        strbuf_addf(out, "%s{status=\"queued\"} %" PRIu64 "\n", name, s->queued);
        strbuf_addf(out, "%s{status=\"running\"} %" PRIu64 "\n", name, s->running);
}

static void add_ended(const struct sample *s, const char *name, struct strbuf *out)
{
        strbuf_addf(out, "%s{status=\"done\"} %" PRIu64 "\n", name, count(s, COUNT_TASKS_DONE));
        strbuf_addf(out, "%s{status=\"error\"} %" PRIu64 "\n", name, count(s, COUNT_TASKS_ERROR));
        strbuf_addf(out, "%s{status=\"cancelled\"} %" PRIu64 "\n", name, count(s, COUNT_TASKS_CANCELLED));
}

#define DEFINE_NUMBER(stem, expression)                                                     \
        static void add_##stem(const struct sample *s, const char *name, struct strbuf *out) \
        {                                                                                   \
                strbuf_addf(out, "%s %" PRIu64 "\n", name, (uint64_t)(expression));         \
        }
DEFINE_NUMBER(resident, s->resident_bytes)
DEFINE_NUMBER(slow, atomic_load(&s->counts->slow))
DEFINE_NUMBER(slow_total, count(s, COUNT_SLOW))
DEFINE_NUMBER(in_turn, count(s, COUNT_IN_TURN))
DEFINE_NUMBER(refusals, count(s, COUNT_REFUSALS))
DEFINE_NUMBER(read, count(s, COUNT_READ_BYTES))
DEFINE_NUMBER(written, count(s, COUNT_WRITTEN_BYTES))
DEFINE_NUMBER(hits, s->store.reads.cache_hits)
DEFINE_NUMBER(misses, s->store.reads.cache_misses)
DEFINE_NUMBER(disk_hits, s->store.disk_cache.hits)
DEFINE_NUMBER(disk_damaged, s->store.disk_cache.damaged)
DEFINE_NUMBER(disk_bytes, s->store.disk_cache.bytes)
DEFINE_NUMBER(disk_most, s->store.disk_cache.most)
DEFINE_NUMBER(logical, s->store.blobs.logical_bytes)
DEFINE_NUMBER(unique, s->store.blobs.unique_bytes)
DEFINE_NUMBER(stored, s->store.blobs.stored_bytes)
DEFINE_NUMBER(free, s->store.free_bytes)
DEFINE_NUMBER(blobs, s->store.blobs.blobs)
DEFINE_NUMBER(chunks, s->store.blobs.chunks)
DEFINE_NUMBER(problems, s->problems)

static const struct metric {
        const char *name, *type, *help;
        void (*add)(const struct sample *s, const char *name, struct strbuf *out);
} metrics[] = {
        { "imagefs_build_info", "gauge", "Always 1; the label has the version.", add_version },
        { "imagefs_uptime_seconds", "gauge", "Time since the mount was made.", add_uptime },
        { "imagefs_health_problems", "gauge", "Lines of info/health that need a person.", add_problems },
        { "imagefs_requests_total", "counter", "Requests of the kernel that came, by kind.", add_requests },
        { "imagefs_requests_slow", "gauge", "Requests that are at work for too long at this moment.", add_slow },
        { "imagefs_requests_slow_total", "counter", "Requests that took too long.", add_slow_total },
        { "imagefs_requests_in_turn_total", "counter", "Closings by users who did nothing else, answered in turn.",
          add_in_turn },
        { "imagefs_refusals_total", "counter", "Requests that were refused with a sentence.", add_refusals },
        { "imagefs_read_bytes_total", "counter", "Bytes of disks that were read through the mount.", add_read },
        { "imagefs_written_bytes_total", "counter", "Bytes of disks and uploads that were written through the mount.",
          add_written },
        { "imagefs_cache_hits_total", "counter", "Chunks that readers wanted and that were decoded already.", add_hits },
        { "imagefs_cache_misses_total", "counter", "Chunks that were read and decoded for a reader.", add_misses },
        { "imagefs_cache_disk_hits_total", "counter", "Small reads that the cache on disk answered.", add_disk_hits },
        { "imagefs_cache_disk_damaged_total", "counter", "Blocks of the cache on disk that were not what was written.",
          add_disk_damaged },
        { "imagefs_cache_disk_bytes", "gauge", "What the cache on disk takes.", add_disk_bytes },
        { "imagefs_cache_disk_limit_bytes", "gauge", "What the cache on disk may take.", add_disk_most },
        { "imagefs_tasks", "gauge", "Long operations that are not over.", add_active },
        { "imagefs_tasks_ended_total", "counter", "Long operations that were worked on and are over.", add_ended },
        { "imagefs_store_logical_bytes", "gauge", "Data of all blobs, each counted by itself.", add_logical },
        { "imagefs_store_unique_bytes", "gauge", "Data of all blobs, what they share counted once.", add_unique },
        { "imagefs_store_stored_bytes", "gauge", "What that takes on the disks, compressed.", add_stored },
        { "imagefs_store_free_bytes", "gauge", "Free space of the disk of the library.", add_free },
        { "imagefs_store_blobs", "gauge", "Blobs in all stores.", add_blobs },
        { "imagefs_store_chunks", "gauge", "Chunks in all stores.", add_chunks },
        { "process_cpu_seconds_total", "counter", "Processor time of the daemon.", add_cpu },
        { "process_resident_memory_bytes", "gauge", "Memory of the daemon.", add_resident },
};

/* ---- the sample ---- */

/* A model_health_fn. */
static void count_problem(void *ctx, const char *sentence)
{
        uint64_t *n = ctx;

        (void)sentence;
        ++*n;
}

/* The second number of /proc/self/statm, in pages; 0 where there is no /proc. */
static uint64_t resident_bytes(void)
{
        uint64_t pages = 0;
        FILE *f = fopen("/proc/self/statm", "re");

        if (!f)
                return 0;
        if (fscanf(f, "%*u %" SCNu64, &pages) != 1)
                pages = 0;
        (void)fclose(f);
        return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double seconds(struct timeval t)
{
        return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int metrics_add(struct fs *fs, struct strbuf *out)
{
        struct sample s = { .counts = &fs->counts };
        struct rusage usage;
        int r;

        r = model_get_stats(fs->model, &s.store);
        if (r == 0)
                r = task_count_active(fs->model, &s.queued, &s.running);
        if (r == 0)
                r = health_each(fs, count_problem, &s.problems);
        if (r < 0)
                return r;
        (void)getrusage(RUSAGE_SELF, &usage); /* cannot fail with this */
        s.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
        s.uptime_seconds = (double)(metrics_clock_us(CLOCK_BOOTTIME) - fs->counts.begun_us) / 1e6;
        s.resident_bytes = resident_bytes();

        for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
                const struct metric *m = &metrics[i];

                strbuf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
                m->add(&s, m->name, out);
        }
        return strbuf_error(out);
}
