/* SPDX-License-Identifier: MIT */

#include "tests/lib/pg_server.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIFE_FD 9 /* of tests/lib/postgres */

/* What it ends with; what it says goes to OUT, and LIFE is open to it, unless they are -1. No shell is between. */
static int spawn(const char *const *args, int out, int life)
{
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                if (out >= 0)
                        (void)dup2(out, STDOUT_FILENO);
                if (life >= 0)
                        (void)dup2(life, LIFE_FD);
                (void)execvp(args[0], (char *const *)args);
                _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status)) {
                (void)fprintf(stderr, "%s did not end by itself\n", args[0]);
                abort();
        }
        return WEXITSTATUS(status);
}

static int control(const struct pg_server *s, const char *verb)
{
        return spawn((const char *const[]){ TESTS_DIR "/lib/postgres", verb, s->dir, NULL }, -1, s->life);
}

/* Nobody's child, so that who ends a test and its children does not end it; in a session of its own, as for a terminal. */
static void exec_watcher(const struct pg_server *s, int in)
{
        int null = open("/dev/null", O_RDWR);

        if (fork() != 0)
                _exit(0);
        (void)setsid();
        (void)dup2(in, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO); /* who reads what a test says waits for no more */
        (void)dup2(null, STDERR_FILENO);
        (void)close_range(STDERR_FILENO + 1, ~0U, 0); /* locks among them */
        (void)execl(TESTS_DIR "/lib/postgres", "postgres", "watch", s->dir, NULL);
        _exit(127);
}

static void must(int status, const char *what)
{
        if (status == 0)
                return;
        (void)fprintf(stderr, "%s ended with %d\n", what, status);
        abort();
}

void pg_server_watch(struct pg_server *s)
{
        int ends[2], status;
        pid_t pid;

        must(pipe2(ends, O_CLOEXEC) < 0, "pipe2");
        pid = fork();
        if (pid == 0)
                exec_watcher(s, ends[0]);
        must(pid < 0 || waitpid(pid, &status, 0) < 0, "forking");
        (void)close(ends[0]);
        s->life = ends[1];
}

bool pg_server_make(struct pg_server *s)
{
        int status;

        tempdir_make(s->dir);
        must(chmod(s->dir, 0755) < 0, "chmod"); /* the server is somebody else, where this is root */
        pg_server_watch(s);
        status = control(s, "start");
        if (status == 77) {
                (void)close(s->life);
                tempdir_remove(s->dir);
                return false;
        }
        must(status, "starting PostgreSQL");
        return true;
}

void pg_server_crash(struct pg_server *s)
{
        must(control(s, "stop"), "stopping PostgreSQL");
}

void pg_server_start(struct pg_server *s)
{
        must(control(s, "start"), "starting PostgreSQL");
}

void pg_server_remove(struct pg_server *s)
{
        (void)control(s, "stop"); /* it may be down */
        tempdir_remove(s->dir);
        (void)close(s->life);
}

void pg_server_url(const struct pg_server *s, const char *database, char *url, size_t size)
{
        (void)snprintf(url, size, "postgresql:///%s?host=%s&user=imagefs", database, s->dir);
}

int64_t pg_server_sql(const struct pg_server *s, const char *database, const char *sql)
{
        char url[TEMPDIR_MAX + 128], answer[32] = "";
        int out = memfd_create("answer", MFD_CLOEXEC);

        pg_server_url(s, database, url, sizeof(url));
        must(out < 0, "memfd_create");
        must(spawn((const char *const[]){ "psql", "-AtqX", "-v", "ON_ERROR_STOP=1", url, "-c",
                                          "SET search_path = imagefs, pg_catalog", "-c", sql, NULL },
                   out, -1),
             sql);
        must(pread(out, answer, sizeof(answer) - 1, 0) < 0, "reading an answer");
        (void)close(out);
        return answer[0] == 't' ? 1 : strtoll(answer, NULL, 10); /* a truth is t or f */
}
