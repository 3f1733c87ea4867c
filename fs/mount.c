/* SPDX-License-Identifier: MIT */
/*
 * Opening in order, serving, closing in reverse. Everything that can fail, fails before the mount is there.
 */

#include "fs/mount.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "blobstore/base/log.h"
#include "blobstore/base/thread.h"
#include "fs/ending.h"
#include "fs/hold.h"
#include "fs/http/http.h"
#include "fs/notify.h"
#include "fs/lasting.h"
#include "fs/obstacle.h"
#include "blobstore/base/kept.h"
#include "blobstore/disks/disks.h"
#include "fs/ops/files.h"
#include "fs/ops/follow.h"
#include "fs/ops/gate.h"
#include "fs/ops/grant.h"
#include "fs/ops/guest_slots.h"
#include "fs/ops/later.h"
#include "fs/ops/ops.h"
#include "fs/ops/resent.h"
#include "fs/ops/split.h"
#include "fs/ops/spread.h"
#include "fs/ops/watchdog.h"
#include "fs/ops/wait.h"
#include "fs/parts.h"
#include "fs/progress.h"
#include "fs/task_log.h"
#include "fs/tree/ino.h"
#include "fs/tree/metrics.h"
#include "fs/tree/req.h"
#include "fs/tree/scratch.h"
#include "fs/tree/tree.h"
#include "fs/unmount.h"
#include "fs/wire.h"
#include "model/core/news.h"

/* Threads that answer requests. They sleep in the store's disk, never for long work. */
#define MOUNT_THREADS 32

struct mount {
        struct options *opts;
        struct fs fs;
        struct wire wire;
        struct lasting *lasting; /* NULL: all ends with this process */
        bool goes_on; /* with the session of an earlier process */
        struct kept *disks; /* what they keep in what lasts; NULL: nothing */
        atomic_uint image_changes; /* goes up with each: for downloads */
        struct fuse_session *session;
        struct notify *notify; /* NULL: no manager */
        struct hold *hold; /* NULL: not begun */
        struct ending *ending; /* NULL: not served yet, or its end is waited for, whatever it takes */
        char *mountpoint; /* absolute */
        void (*ready)(void *ctx); /* to be called when it can be used */
        void *ready_ctx;
        bool mounted, signals;
};

static int mount_fail(int error, const char *text)
{
        log_error("%s", text);
        return error;
}

/*
 * A daemon that was killed leaves its mount behind, on which everything fails with ENOTCONN; with ECONNABORTED what was
 * asked while the kernel was still about to find out: a child that had not reached its exec yet has the device, too.
 */
static int mount_clear_stale(const char *path)
{
        struct statfs st;

        /* stat(2) may be answered from the kernel's cache of a daemon that is gone; statfs(2) never is */
        if (statfs(path, &st) == 0 || (errno != ENOTCONN && errno != ECONNABORTED))
                return 0;
        log_info("clearing the mount that a killed daemon left on %s", path);
        return unmount_detach(path);
}

/* Is PATH (which may not exist yet) DIR or in it? Both absolute and resolved. */
static bool path_is_in(const char *path, const char *dir)
{
        size_t n = strlen(dir);

        return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0' || strcmp(dir, "/") == 0);
}

/* As realpath(3), for a path whose last part may be missing. */
static char *path_resolve(const char *path)
{
        char *whole = realpath(path, NULL), *parent, *slash;
        CLEANUP_FREE char *copy = NULL;

        if (whole || errno != ENOENT)
                return whole;
        copy = strdup(path);
        if (!copy)
                return NULL;
        for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
                copy[n - 1] = '\0';
        slash = strrchr(copy, '/');
        if (slash)
                *slash = '\0';
        parent = realpath(!slash ? "." : slash == copy ? "/" : copy, NULL);
        if (!parent)
                return NULL;
        if (asprintf(&whole, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, slash ? slash + 1 : copy) < 0)
                whole = NULL;
        free(parent);
        return whole;
}

/* Whether it can be used is found out later, and no reason not to mount: the library is as good without it. */
static int mount_check_cache_dir(struct mount *m)
{
        char *dir;
        int r;

        if (!m->opts->cache_dir)
                return 0;
        dir = path_resolve(m->opts->cache_dir);
        if (!dir) {
                r = -errno;
                return log_errno(r, "cache-dir %s", m->opts->cache_dir);
        }
        free(m->opts->cache_dir);
        m->opts->cache_dir = dir;
        if (path_is_in(dir, m->mountpoint))
                return mount_fail(-EINVAL, "the cache cannot lie in the library's own mount: name another directory");
        return 0;
}

static int mount_check_paths(struct mount *m)
{
        CLEANUP_FREE char *store = NULL;
        struct stat st;
        int r;

        if (mount_clear_stale(m->opts->mountpoint) < 0)
                return mount_fail(-ENOTCONN, "a dead mount is in the way, and cannot be cleared: umount -l it as root");
        m->mountpoint = realpath(m->opts->mountpoint, NULL);
        if (!m->mountpoint || stat(m->mountpoint, &st) < 0) {
                r = -errno;
                return log_errno(r, "mount point %s", m->opts->mountpoint);
        }
        if (!S_ISDIR(st.st_mode))
                return mount_fail(-ENOTDIR, "the mount point is not a directory");

        store = path_resolve(m->opts->store);
        if (!store) {
                r = -errno;
                return log_errno(r, "library %s", m->opts->store);
        }
        if (path_is_in(store, m->mountpoint))
                return mount_fail(-EINVAL, "the library cannot lie in its own mount: choose another mount point");
        if (path_is_in(m->mountpoint, store))
                return mount_fail(-EINVAL, "the mount point cannot lie in the library: choose another one");
        r = mount_check_cache_dir(m);
        if (r < 0)
                return r;
        free(m->opts->store);
        m->opts->store = TAKE_PTR(store);
        if (!m->lasting)
                return 0;
        (void)snprintf(m->lasting->memory->store, PATH_MAX, "%s", m->opts->store);
        (void)snprintf(m->lasting->memory->mountpoint, PATH_MAX, "%s", m->mountpoint);
        return 0;
}

/* What the first process found out. The mount itself must not be asked: nobody serves it. */
static int mount_recall_paths(struct mount *m)
{
        char *store = strdup(m->lasting->memory->store);

        m->mountpoint = strdup(m->lasting->memory->mountpoint);
        if (!store || !m->mountpoint) {
                free(store);
                return mount_fail(-ENOMEM, "out of memory");
        }
        free(m->opts->store);
        m->opts->store = store;
        return 0;
}

/* A model_listener_fn. */
static void mount_listener(void *ctx, enum object_kind kind, uint64_t id)
{
        struct mount *m = ctx;

        if (kind == OBJECT_IMAGE || kind == OBJECT_NONE)
                atomic_fetch_add(&m->image_changes, 1);
        if (kind == OBJECT_INSTANCE || kind == OBJECT_NONE)
                grants_changed(&m->fs, id);
        if (kind == OBJECT_NONE) /* what was committed here is told by mount_committed() */
                follow_wake(m->fs.followers);
        wait_notify(&m->fs, kind, id);
}

/* A model_committed_fn. */
static void mount_committed(void *ctx, bool done, bool lazy)
{
        struct mount *m = ctx;

        if (m->lasting)
                resent_note(ctx, done);
        if (done)
                follow_wake(m->fs.followers);
        if (done && !lazy)
                split_committed();
}

/* A model_ended_fn. */
static void mount_ended(void *ctx, struct model *m, const struct task *task)
{
        static const enum count ends[TASK_STATUS_COUNT] = {
                [TASK_DONE] = COUNT_TASKS_DONE,
                [TASK_ERROR] = COUNT_TASKS_ERROR,
                [TASK_CANCELLED] = COUNT_TASKS_CANCELLED,
        };
        struct mount *mount = ctx;

        counts_add(&mount->fs.counts, ends[task->status], 1);
        task_log_end(m, task);
}

/* A snapshot of a disk, or one that has failed: its library can be looked at, and copied from. */
static bool mount_is_frozen(const char *store)
{
        return access(store, W_OK) < 0 && errno == EROFS;
}

/* Its modes are for whoever made it to set: backups may depend on them. All that lies in it is closed already. */
static void mount_warn_of_others(const char *store)
{
        struct stat st;

        if (stat(store, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)))
                log_warning("other users can enter the library's directory (mode %03o), where nothing is for them: "
                            "chmod 700 %s",
                            (unsigned)st.st_mode & 0777, store);
}

/* A model_health_fn. */
static void mount_warn(void *ctx, const char *sentence)
{
        (void)ctx;
        log_warning("%s", sentence);
}

static void mount_mask_signals(int how);

/* Nothing is served yet: whoever ends it need not wait. */
static void mount_wait(void *ctx, bool waits, const char *who)
{
        (void)ctx;
        if (waits)
                log_warning("%s: waiting for its end", who);
        mount_mask_signals(waits ? SIG_UNBLOCK : SIG_BLOCK);
}

static int mount_open(struct mount *m)
{
        uint8_t key[MODEL_NUMBER_KEY_SIZE];
        struct diag diag = { 0 };
        int r;

        r = m->goes_on ? mount_recall_paths(m) : mount_check_paths(m);
        if (r < 0)
                return r;
        r = parts_new(&m->fs, m->lasting ? m->lasting->handles_fd : -1, m->lasting ? &m->lasting->memory->splits : NULL);
        if (r == 0 && m->lasting)
                r = kept_open(m->lasting->disks_fd, DISKS_KEPT_BYTES, &m->disks);
        if (r == 0 && m->lasting && m->lasting->more)
                r = grants_last(m->fs.grants, m->lasting->grants_fd);
        if (r == 0 && m->lasting && m->lasting->more)
                r = scratches_last_values(m->fs.scratches, m->lasting->values_fd);
        if (r < 0)
                return mount_fail(r, "out of memory");

        m->fs.wire = &m->wire;
        if (mount_is_frozen(m->opts->store) && !m->opts->read_only)
                return mount_fail(-EROFS, "the library lies on a file system that can only be read: mount it with -o ro");
        m->fs.uid = m->opts->uid;
        m->fs.gid = m->opts->gid;
        r = model_open(m->opts->store,
                       &(struct model_opts){ .read_only = mount_is_frozen(m->opts->store),
                                             .workers = (unsigned)m->opts->workers,
                                             .import_private = m->opts->import_private,
                                             .caches = { .memory_bytes = m->opts->cache_bytes,
                                                         .disk_bytes = m->opts->cache_disk_bytes,
                                                         .dir = m->opts->cache_dir },
                                             .tidy_seconds = m->opts->tidy_seconds,
                                             .kept = m->disks,
                                             .followed = m->lasting,
                                             .goes_on = m->goes_on,
                                             .mountpoint = m->mountpoint,
                                             .lease_seconds = m->opts->lease_seconds,
                                             .wait = m->opts->standby && !m->goes_on ? mount_wait : NULL,
                                             .listener = mount_listener,
                                             .ended = mount_ended,
                                             .notice = mount_warn,
                                             .progress = progress_show,
                                             .committed = mount_committed,
                                             .listener_ctx = m },
                       &diag, &m->fs.model);
        if (r < 0)
                return mount_fail(r, diag.error ? diag.text : strerror(-r));
        r = model_number_key(m->fs.model, key);
        if (r < 0)
                return mount_fail(r, "the library's key cannot be used");
        _Static_assert(MODEL_NUMBER_KEY_SIZE == INO_KEY_SIZE, "one is the other");
        ino_set_key(key);
        explicit_bzero(key, sizeof(key));
        r = guest_slots_new(&m->fs, GUEST_SLOTS_KEPT, guest_slots_ask_kernel, &m->fs.guest_slots); /* which are known by their numbers */
        if (r < 0)
                return mount_fail(r, "out of memory");
        m->fs.guest_find_slot = guest_slots_find;
        mount_warn_of_others(m->opts->store);
        (void)model_health(m->fs.model, mount_warn, NULL); /* as info/health has it */
        m->fs.born_us = model_born_us(m->fs.model);
        m->fs.mountpoint = m->mountpoint;
        return 0;
}

/*
 * The signals that end the daemon go to the main thread, which waits in the loop: a handler that ran in a worker's
 * thread would not wake it. Threads inherit the mask.
 */
static void mount_mask_signals(int how)
{
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        (void)sigaddset(&set, SIGHUP);
        (void)pthread_sigmask(how, &set, NULL); /* cannot fail with these */
}

static int mount_add_options(struct options *opts)
{
        CLEANUP_FREE char *name = NULL;
        CLEANUP_FREE char *list = NULL;

        if (asprintf(&name, "fsname=%s", opts->store) < 0)
                return -ENOMEM;
        /* without default_permissions, what root has touched would be open to everyone from the kernel's cache */
        if (fuse_opt_add_opt(&list, "default_permissions,subtype=imagefs") < 0 ||
            fuse_opt_add_opt_escaped(&list, name) < 0 || (opts->debug && fuse_opt_add_opt(&list, "debug") < 0) ||
            fuse_opt_add_arg(&opts->fuse, "-o") < 0 || fuse_opt_add_arg(&opts->fuse, list) < 0)
                return -ENOMEM;
        return 0;
}

/* What libfuse said last: the reason, where it knows one that was not seen beforehand. */
static char mount_said[256];

static void __attribute__((format(printf, 2, 0))) mount_note(enum fuse_log_level level, const char *fmt, va_list args)
{
        if (level > FUSE_LOG_ERR)
                return;
        (void)vsnprintf(mount_said, sizeof(mount_said), fmt, args);
        mount_said[strcspn(mount_said, "\n")] = '\0';
}

/* One sentence, and the true one. */
static int mount_attach(struct mount *m)
{
        const char *obstacle = obstacle_find(m->opts, m->mountpoint);
        CLEANUP_FREE char *text = NULL;
        int r;

        if (obstacle)
                return mount_fail(-EPERM, obstacle);
        fuse_set_log_func(mount_note);
        r = fuse_session_mount(m->session, m->mountpoint);
        fuse_set_log_func(NULL);
        if (r == 0)
                return 0;
        if (asprintf(&text, "%s cannot be mounted on%s%s", m->mountpoint, mount_said[0] ? ": " : "", mount_said) < 0)
                text = NULL;
        return mount_fail(-EINVAL, text ? text : "mounting failed");
}

/* What was open counts as open before anything is asked. */
static int mount_take_over(struct mount *m)
{
        int r;

        r = files_take_up(&m->fs);
        if (r == 0)
                r = wire_take_over(m->session, &m->wire);
        return r < 0 ? log_errno(r, "going on with the mount on %s", m->mountpoint) : 0;
}

static int mount_mount(struct mount *m)
{
        int r;

        if (mount_add_options(m->opts) < 0)
                return mount_fail(-ENOMEM, "out of memory");
        m->session = fuse_session_new(&m->opts->fuse, &ops, sizeof(ops), &m->fs);
        if (!m->session)
                return mount_fail(-EINVAL, "libfuse refused the options");
        m->fs.session = m->session;
        if (fuse_set_signal_handlers(m->session) < 0)
                return mount_fail(-EINVAL, "signal handlers could not be set");
        m->signals = true;
        m->wire.lasting = m->lasting;
        if (m->goes_on) {
                m->mounted = true;
                return mount_take_over(m);
        }
        r = mount_attach(m);
        if (r < 0)
                return r;
        m->mounted = true;
        r = wire_arrange(m->session, &m->wire);
        if (!m->lasting)
                return 0; /* else only slower */
        if (r == 0)
                r = lasting_send_fuse(m->lasting, fuse_session_fd(m->session));
        return r < 0 ? mount_fail(r, "the mount cannot be supervised: mount it with -o restarts=0") : 0;
}

static int mount_add_metrics(void *ctx, struct strbuf *out)
{
        return metrics_add(ctx, out);
}

/* Before the mount is there, since it can fail. */
static int mount_start_http(struct mount *m)
{
        const struct http_opts opts = {
                .listen = m->opts->http,
                .cert_file = m->opts->http_cert,
                .key_file = m->opts->http_key,
                .name = m->opts->http_name,
                .changes = &m->image_changes,
                .metrics = m->opts->http_metrics,
                .metrics_add = mount_add_metrics,
                .metrics_ctx = &m->fs,
        };
        struct diag diag = { 0 };
        int r;

        if (!m->opts->http)
                return 0;
        r = http_start(m->fs.model, &opts, &diag, &m->fs.http);
        return r < 0 ? mount_fail(r, diag.error ? diag.text : strerror(-r)) : 0;
}

/* libfuse knows no mount that it did not make. One that is gone already is not looked for: its place may be another's. */
static void mount_detach(struct mount *m)
{
        struct pollfd gone = { .fd = fuse_session_fd(m->session) };

        ending_note_detached(m->ending);
        if (!m->goes_on)
                fuse_session_unmount(m->session);
        else if (poll(&gone, 1, 0) == 0)
                (void)unmount_detach(m->mountpoint);
}

/* In reverse, and each part only if it came to be. */
static void mount_close(struct mount *m)
{
        if (m->mounted)
                mount_detach(m);
        if (m->signals)
                fuse_remove_signal_handlers(m->session);
        http_stop(m->fs.http);
        hold_stop(m->hold);
        scratches_free(m->fs.scratches);
        model_close(m->fs.model);
        kept_close(m->disks);
        if (m->session)
                fuse_session_destroy(m->session);
        notify_free(m->notify);
        ending_stop(m->ending);
        parts_free(&m->fs);
        free(m->mountpoint);
}

/*
 * A disk that a machine has open takes three files, an image one: as many as the system lets this process have, and not
 * what programs get that use select(2).
 */
static void mount_allow_files(void)
{
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                return;
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* else there are fewer */
}

/*
 * The end for which there is a next process. Who waits is not answered: the kernel asks that one. What is at work ends, and
 * all that was written is synced, as far as that comes to its end soon (ending.h). The session stays as it is.
 */
static _Noreturn void mount_leave(struct mount *m)
{
        atomic_store(&m->fs.stopping, true);
        watchdog_stop(m->fs.watchdog);
        hold_stop(m->hold);
        gates_stop(m->fs.gates, false);
        later_leave(m->fs.later);
        http_stop(m->fs.http);
        model_leave(m->fs.model);
        model_close(m->fs.model);
        _exit(EXIT_SERVE_AGAIN);
}

/* How long a store's disk may take to answer before the end of the mount leaves what waits for it. */
static unsigned mount_patience(const struct options *opts)
{
        return opts->slow_seconds > 0 && opts->slow_seconds < SLOW_SECONDS_DEFAULT ? (unsigned)opts->slow_seconds :
                                                                                     SLOW_SECONDS_DEFAULT;
}

/* Whoever waits for the mount is told that it can be used. */
static void mount_tell_ready(void *ctx)
{
        struct mount *m = ctx;

        m->ready(m->ready_ctx);
        log_info("imagefs %s serves %s on %s", IMAGEFS_VERSION, m->opts->store, m->mountpoint);
        notify_ready(m->notify, m->mountpoint);
}

int mount_serve(struct options *opts, struct lasting *lasting, void (*ready)(void *ctx), void *ctx)
{
        struct mount m = { .opts = opts, .lasting = lasting, .goes_on = lasting && lasting->fuse_fd >= 0,
                           .ready = ready, .ready_ctx = ctx };
        struct fuse_loop_config *config = NULL;
        int r;

        tree_check();
        metrics_begin(&m.fs.counts);
        mount_allow_files();
        mount_mask_signals(SIG_BLOCK);
        r = notify_new(&m.notify);
        if (r == 0)
                r = mount_open(&m);
        if (r == 0)
                r = mount_start_http(&m);
        if (r == 0)
                r = mount_mount(&m);
        mount_mask_signals(SIG_UNBLOCK);
        if (r == 0)
                r = hold_start(m.fs.model, opts->store, m.lasting, &m.hold);
        if (r == 0)
                r = news_start(m.fs.model);
        if (r == 0) {
                config = fuse_loop_cfg_create();
                r = config ? 0 : mount_fail(-ENOMEM, "out of memory");
        }
        if (r == 0) {
                /* what was read from a clone is lost with it, and not brought back */
                fuse_loop_cfg_set_clone_fd(config, m.lasting ? 0 : 1);
                fuse_loop_cfg_set_max_threads(config, MOUNT_THREADS);
                fuse_loop_cfg_set_idle_threads(config, MOUNT_THREADS);
                (void)spread_start(m.fs.spread, m.session, m.mountpoint); /* without it reads are right, only slower */
                if (opts->slow_seconds > 0) /* likewise */
                        (void)watchdog_start(&m.fs, (unsigned)opts->slow_seconds, &m.fs.watchdog);
                r = ending_start(&m.fs, &(struct ending_opts){ .lasting = m.lasting, .seconds = mount_patience(opts),
                                                               .served = mount_tell_ready, .ctx = &m }, &m.ending);
                if (r < 0) /* without it the end may wait for a disk for ever */
                        mount_tell_ready(&m);
                if (m.lasting)
                        atomic_store(&m.lasting->memory->serving, 1);
                r = fuse_session_loop_mt(m.session, config);
                ending_begin(m.ending);
                if (m.lasting && r == SIGHUP)
                        mount_leave(&m);
                notify_stopping(m.notify);
                wait_shutdown(m.fs.waiters);
                follow_shutdown(m.fs.followers);
                atomic_store(&m.fs.stopping, true);
                watchdog_stop(TAKE_PTR(m.fs.watchdog));
                gates_stop(m.fs.gates, true);
                later_stop(m.fs.later);
                guest_slots_stop(m.fs.guest_slots);
                spread_free(TAKE_PTR(m.fs.spread));
                if (r >= 0) /* more than 0: a signal, which is the way to stop */
                        log_info("%s is no longer served: %s", opts->store, r > 0 ? strsignal(r) : "unmounted");
                if (r > 0)
                        r = 0;
                if (r < 0)
                        log_errno(r, "serving %s", m.mountpoint);
        }
        if (config)
                fuse_loop_cfg_destroy(config);
        mount_close(&m);
        return r < 0 ? EXIT_MOUNT_FAILED : EXIT_SUCCESS;
}
