/* SPDX-License-Identifier: MIT */
/*
 * Who may do what with every node of a tree: each caller tries each operation on each node, and the errno is held
 * against a table (matrix.table says how it is written).
 *
 *     matrix [-c CALLER] TABLE NODES MOUNT NAME=UID:GID[,GROUP...] ...
 *
 * NODES has a line `TYPE PATH` for each node, as find -printf '%y %P\n' gives them. With -c only that caller tries;
 * without, all do, by turns, so that whoever asks finds in the kernel's caches what the others may see. Prints how many
 * checks there were and each that failed; exits 1 if any did.
 *
 * No operation changes anything where the table is right: what would make or move is called by a name that may not be,
 * and cells that would remove or hand over say `-`.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CALLERS_MAX 8
#define GROUPS_MAX  8
#define WORD_MAX    64
#define FAILURES_SHOWN 200

static _Noreturn void die(const char *what, const char *name)
{
        fprintf(stderr, "matrix: %s: %s\n", what, name);
        exit(2);
}

/* ---- operations: 0, or an errno ---- */

static int error_of(long r)
{
        return r < 0 ? errno : 0;
}

static int op_open(const char *path, int flags)
{
        int fd = open(path, flags | O_CLOEXEC);
        int e = error_of(fd);

        if (fd >= 0 && close(fd) < 0)
                e = errno;
        return e;
}

static int op_lookup(const char *path)
{
        return op_open(path, O_PATH | O_NOFOLLOW);
}

static int op_stat(const char *path)
{
        struct stat st;

        return error_of(lstat(path, &st));
}

static int op_open_r(const char *path)
{
        return op_open(path, O_RDONLY | O_NOFOLLOW);
}

static int op_open_w(const char *path)
{
        return op_open(path, O_WRONLY | O_NOFOLLOW);
}

static int op_read(const char *path)
{
        char buf[4096];
        int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        int e = error_of(fd);

        if (fd < 0)
                return e;
        e = error_of(read(fd, buf, sizeof(buf)));
        close(fd);
        return e;
}

static int op_readdir(const char *path)
{
        DIR *dir = opendir(path);
        int e = dir ? 0 : errno;

        if (!dir)
                return e;
        errno = 0;
        while (readdir(dir))
                ;
        e = errno;
        closedir(dir);
        return e;
}

static int op_mkdir(const char *path)
{
        char child[4096];

        snprintf(child, sizeof(child), "%s/.x", path);
        return error_of(mkdir(child, 0777));
}

static int op_rmdir(const char *path)
{
        return error_of(rmdir(path));
}

static int op_rename(const char *path)
{
        const char *slash = strrchr(path, '/');
        char to[4096];

        snprintf(to, sizeof(to), "%.*s/.x", (int)(slash - path), path);
        return error_of(rename(path, to));
}

static int op_unlink(const char *path)
{
        return error_of(unlink(path));
}

static int op_truncate(const char *path)
{
        return error_of(truncate(path, 1));
}

static int op_chmod(const char *path)
{
        return error_of(chmod(path, 0777));
}

/* Gives one's own away, takes what is another's. */
static int op_chown(const char *path)
{
        struct stat st;

        if (lstat(path, &st) < 0)
                return errno;
        return error_of(lchown(path, st.st_uid == getuid() ? getuid() + 1 : getuid(), -1));
}

static int op_setxattr(const char *path)
{
        return error_of(lsetxattr(path, "user.imagefs.name", "x", 1, 0));
}

static int op_getxattr(const char *path)
{
        char buf[4096];

        return error_of(lgetxattr(path, "user.imagefs.id", buf, sizeof(buf)));
}

static int op_readlink(const char *path)
{
        char buf[4096];

        return error_of(readlink(path, buf, sizeof(buf)));
}

static const struct {
        const char *name;
        int (*run)(const char *path);
} ops[] = {
        { "lookup", op_lookup },
        { "stat", op_stat },
        { "open-r", op_open_r },
        { "open-w", op_open_w },
        { "read", op_read },
        { "readdir", op_readdir },
        { "mkdir", op_mkdir },
        { "rmdir", op_rmdir },
        { "rename", op_rename },
        { "unlink", op_unlink },
        { "truncate", op_truncate },
        { "chmod", op_chmod },
        { "chown", op_chown },
        { "setxattr", op_setxattr },
        { "getxattr", op_getxattr },
        { "readlink", op_readlink },
};
#define N_OPS ((int)(sizeof(ops) / sizeof(ops[0])))

/* ---- the table ---- */

struct kind {
        char name[WORD_MAX];
        char type;
        char glob[256];
};

struct realm {
        char glob[256];
        char access[CALLERS_MAX][WORD_MAX]; /* in the order of the callers */
};

struct rule {
        char kind[WORD_MAX];
        char access[WORD_MAX];
        char want[N_OPS][WORD_MAX]; /* errno names with | between; `ok`; `-`: not tried */
};

/* Short for several. */
struct word {
        char name[WORD_MAX];
        char means[WORD_MAX];
};

static struct kind kinds[128];
static struct realm realms[128];
static struct rule rules[256];
static struct word words[32];
static size_t n_kinds, n_realms, n_rules, n_words;

/* The columns of a realm, as the table's head names them: callers by name. */
static char columns[CALLERS_MAX][WORD_MAX];
static size_t n_columns;

static const char *meaning(const char *word)
{
        for (size_t i = 0; i < n_words; i++)
                if (strcmp(words[i].name, word) == 0)
                        return words[i].means;
        return word;
}

static void load_line(char *line)
{
        char *save = NULL, *word = strtok_r(line, " \t\n", &save);
        char *args[2 + N_OPS + 2];
        size_t n = 0;

        if (!word || *word == '#')
                return;
        for (char *w; n < sizeof(args) / sizeof(args[0]) && (w = strtok_r(NULL, " \t\n", &save));)
                args[n++] = w;
        while (n > 3 && n < 2 + (size_t)N_OPS && strcmp(args[n - 1], "...") == 0) {
                args[n] = args[n - 1];
                args[n - 1] = args[n - 2];
                n++;
        }
        if (n > 3 && n == 2 + (size_t)N_OPS && strcmp(args[n - 1], "...") == 0)
                args[n - 1] = args[n - 2];

        if (strcmp(word, "callers") == 0 && n <= CALLERS_MAX) {
                for (n_columns = 0; n_columns < n; n_columns++)
                        snprintf(columns[n_columns], WORD_MAX, "%s", args[n_columns]);
        } else if (strcmp(word, "word") == 0 && n == 2) {
                snprintf(words[n_words].name, WORD_MAX, "%s", args[0]);
                snprintf(words[n_words++].means, WORD_MAX, "%s", args[1]);
        } else if (strcmp(word, "node") == 0 && n == 3) {
                struct kind *k = &kinds[n_kinds++];

                snprintf(k->name, sizeof(k->name), "%s", args[0]);
                k->type = args[1][0];
                snprintf(k->glob, sizeof(k->glob), "%s", strcmp(args[2], ".") == 0 ? "" : args[2]);
        } else if (strcmp(word, "realm") == 0 && n == 1 + n_columns) {
                struct realm *r = &realms[n_realms++];

                snprintf(r->glob, sizeof(r->glob), "%s", args[0]);
                for (size_t i = 0; i < n_columns; i++)
                        snprintf(r->access[i], WORD_MAX, "%s", args[1 + i]);
        } else if (strcmp(word, "rule") == 0 && n == 2 + (size_t)N_OPS) {
                struct rule *r = &rules[n_rules++];

                snprintf(r->kind, sizeof(r->kind), "%s", args[0]);
                snprintf(r->access, sizeof(r->access), "%s", args[1]);
                for (int i = 0; i < N_OPS; i++)
                        snprintf(r->want[i], WORD_MAX, "%s", meaning(args[2 + i]));
        } else {
                die("a line of the table makes no sense", word);
        }
        if (n_kinds == 128 || n_realms == 128 || n_rules == 256 || n_words == 32)
                die("the table is too long", word);
}

static FILE *open_text(const char *path)
{
        FILE *f = fopen(path, "re");

        if (!f)
                die(strerror(errno), path);
        return f;
}

static void load_table(const char *path)
{
        FILE *f = open_text(path);
        char *line = NULL;
        size_t size = 0;

        while (getline(&line, &size, f) >= 0)
                load_line(line);
        free(line);
        fclose(f);
}

static const char *kind_of(char type, const char *path)
{
        const char *base = strrchr(path, '/');

        for (size_t i = 0; i < n_kinds; i++) {
                const struct kind *k = &kinds[i];
                bool whole = strchr(k->glob, '/') || !base;

                if (k->type == type && fnmatch(k->glob, whole ? path : base + 1, FNM_PATHNAME | FNM_EXTMATCH) == 0)
                        return k->name;
        }
        die("the table has no node for it", path);
}

static const struct realm *realm_of(const char *path)
{
        for (size_t i = 0; i < n_realms; i++)
                if (fnmatch(realms[i].glob, path, FNM_PATHNAME | FNM_LEADING_DIR | FNM_EXTMATCH) == 0)
                        return &realms[i];
        die("the table has no realm for it", path);
}

static const struct rule *rule_of(const char *kind, const char *access, const char *path)
{
        for (size_t i = 0; i < n_rules; i++)
                if (strcmp(rules[i].kind, kind) == 0 && strcmp(rules[i].access, access) == 0)
                        return &rules[i];
        fprintf(stderr, "matrix: kind %s, access %s: ", kind, access);
        die("the table has no rule for it", path);
}

/* Is ERROR among what WANT names? */
static bool as_wanted(const char *want, int error)
{
        const char *name = error ? strerrorname_np(error) : "ok";
        size_t n = strlen(name);

        for (const char *p = want; (p = strstr(p, name)); p += n)
                if ((p == want || p[-1] == '|') && (p[n] == '\0' || p[n] == '|'))
                        return true;
        return false;
}

/* ---- callers: this thread, as each of them by turns ---- */

struct caller {
        const char *name;
        size_t column;
        uid_t uid;
        gid_t gids[GROUPS_MAX];
        size_t n_gids;
};

static struct caller callers[CALLERS_MAX];
static size_t n_callers;

static void add_caller(char *arg)
{
        struct caller *c = &callers[n_callers++];
        char *eq = strchr(arg, '='), *p;

        if (!eq || n_callers > CALLERS_MAX)
                die("NAME=UID:GID[,GROUP...]", arg);
        *eq = '\0';
        c->name = arg;
        for (c->column = 0; c->column < n_columns && strcmp(columns[c->column], arg) != 0; c->column++)
                ;
        if (c->column == n_columns)
                die("the table does not know the caller", arg);
        c->uid = (uid_t)strtoul(eq + 1, &p, 10);
        while (*p && c->n_gids < GROUPS_MAX)
                c->gids[c->n_gids++] = (gid_t)strtoul(p + 1, &p, 10);
}

/* Root stays the saved user, by which this one comes back, and has no part in what is allowed. */
static void become(const struct caller *c)
{
        if (setresuid((uid_t)-1, 0, (uid_t)-1) < 0 || setgroups(c->n_gids - 1, c->gids + 1) < 0 ||
            setresgid(c->gids[0], c->gids[0], 0) < 0 || setresuid(c->uid, c->uid, 0) < 0)
                die("cannot become", c->name);
}

/* ---- */

static unsigned long checks, failures;

static void try_node(const struct caller *c, const char *kind, const char *mount, const char *path)
{
        const char *access = realm_of(path)->access[c->column];
        const struct rule *rule = rule_of(kind, access, path);
        char full[2048];

        snprintf(full, sizeof(full), "%s%s%s", mount, *path ? "/" : "", path);
        become(c);
        for (int op = 0; op < N_OPS; op++) {
                int error;

                if (strcmp(rule->want[op], "-") == 0)
                        continue;
                error = ops[op].run(full);
                checks++;
                if (as_wanted(rule->want[op], error))
                        continue;
                if (failures++ < FAILURES_SHOWN)
                        printf("%s (%s) %s %s [%s]: got %s, want %s\n", c->name, access, ops[op].name, path, kind,
                               error ? strerrorname_np(error) : "ok", rule->want[op]);
        }
}

int main(int argc, char **argv)
{
        const char *only = NULL;
        char *line = NULL;
        size_t size = 0, turn = 0;
        FILE *nodes;
        ssize_t n;

        if (argc > 2 && strcmp(argv[1], "-c") == 0) {
                only = argv[2];
                argc -= 2;
                argv += 2;
        }
        if (argc < 5)
                die("usage", "matrix [-c CALLER] TABLE NODES MOUNT NAME=UID:GID[,GROUP...] ...");
        load_table(argv[1]);
        for (int i = 4; i < argc; i++)
                add_caller(argv[i]);

        nodes = open_text(argv[2]);
        while ((n = getline(&line, &size, nodes)) >= 0) {
                const char *path = line + 2;
                const char *kind;

                line[n - 1] = '\0';
                kind = kind_of(line[0], path);
                for (size_t i = 0; i < n_callers; i++) {
                        const struct caller *c = &callers[(i + turn) % n_callers];

                        if (!only || strcmp(c->name, only) == 0)
                                try_node(c, kind, argv[3], path);
                }
                turn++;
        }
        free(line);
        fclose(nodes);

        printf("%lu checks, %lu failed\n", checks, failures);
        return failures > 0;
}
