/* SPDX-License-Identifier: MIT */

#include "model/address.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"

#define ADDRESS_SCHEME "postgresql://"
#define ADDRESS_MAX 2048

bool address_is_there(int dir_fd)
{
        return faccessat(dir_fd, ADDRESS_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int address_check(const char *url, struct diag *diag)
{
        if (strncmp(url, ADDRESS_SCHEME, strlen(ADDRESS_SCHEME)) != 0)
                return diag_set(diag, -EINVAL,
                                "the catalogue can be on a server of PostgreSQL: name it as \"" ADDRESS_SCHEME
                                "USER@HOST/DATABASE\"");
        if (strlen(url) >= ADDRESS_MAX || strpbrk(url, "\r\n"))
                return diag_set(diag, -EINVAL, "the address of the catalogue is no line of less than %d bytes",
                                ADDRESS_MAX);
        return 0;
}

static void add_clean(struct strbuf *out, const char *text, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                const bool stands = text[i] == '.' || text[i] == '-' || text[i] == ':' || isalnum((unsigned char)text[i]);

                strbuf_add_bytes(out, stands ? &text[i] : "_", 1);
        }
}

void address_add_place(struct strbuf *out, const char *url)
{
        /* Of what may stand behind the question mark. */
        static const char *const where[] = { "host=", "hostaddr=", "port=", "dbname=" };
        const char *at = url + strlen(ADDRESS_SCHEME), *more = strchrnul(at, '?');
        const char *user = memrchr(at, '@', strcspn(at, "/?"));

        at = user ? user + 1 : at;
        at += strspn(at, "/"); /* on this host */
        add_clean(out, at, (size_t)(more - at));
        while (*more) {
                const size_t n = strcspn(++more, "&");

                for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++)
                        if (strncmp(more, where[i], strlen(where[i])) == 0) {
                                strbuf_add(out, "_");
                                add_clean(out, more + strlen(where[i]), n - strlen(where[i]));
                        }
                more += n;
        }
}

int address_read(struct model *m, struct diag *diag)
{
        CLEANUP_CLOSE int fd = openat(m->dir_fd, ADDRESS_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        char text[ADDRESS_MAX + 1] = { 0 };
        ssize_t n;

        if (fd < 0)
                return errno == ENOENT ? 0 : diag_set(diag, -errno, "%s/" ADDRESS_FILE ": %s", m->dir, strerror(errno));
        n = pread_full(fd, text, sizeof(text) - 1, 0);
        if (n < 0)
                return diag_set(diag, (int)n, "%s/" ADDRESS_FILE ": %s", m->dir, strerror((int)-n));
        text[strcspn(text, "\n")] = '\0';
        if (address_check(text, NULL) < 0)
                return diag_set(diag, -EUCLEAN,
                                "%s/" ADDRESS_FILE ": not the address of a catalogue: it is one line, \"" ADDRESS_SCHEME
                                "USER@HOST/DATABASE\"",
                                m->dir);
        m->catalogue = strdup(text);
        return m->catalogue ? 0 : -ENOMEM;
}

int address_refuse(const char *url, int r, const char *trouble, struct diag *diag)
{
        char at[256];

        db_url_show(url, at, sizeof(at));
        switch (r) {
        case -EOPNOTSUPP:
                return diag_set(diag, r, "%s: this imagefs was built without libpq, and cannot use a catalogue on a server", at);
        case -EEXIST:
                return diag_set(diag, r, "%s: there is a library's catalogue already: name another database", at);
        case -ENOENT:
                return diag_set(diag, r, "%s: there is no library's catalogue there: was the database restored from a copy? \"imagefs init\" "
                                         "with that address makes a new one",
                                at);
        case -EUCLEAN:
                return diag_set(diag, r, "%s: its schema \"imagefs\" is something else's: name another database", at);
        case -EPROTONOSUPPORT:
                return diag_set(diag, r, "%s: %s", at, *trouble ? trouble
                                                                : "made by another version of imagefs: use that one");
        case -EINPROGRESS:
                return diag_set(diag, r, "%s: the server went away before it said whether the catalogue was made, and did not come "
                                         "back: when it is, and has a schema imagefs, that is nobody's: drop it before the next try", at);
        case -ESTALE:
                return diag_set(diag, r, "%s: made by an earlier version of imagefs: mount the library once, which brings it up to date", at);
        case -EBUSY:
                if (*trouble)
                        return diag_set(diag, r, "%s: %s; unmount it there first, or mount with -o standby to wait for that",
                                        at, trouble);
                return diag_set(diag, r, "%s: another imagefs serves the library whose catalogue this is: unmount that one "
                                         "first", at);
        }
        return diag_set(diag, r, "%s: the catalogue cannot be reached: %s", at, *trouble ? trouble : strerror(-r));
}

int address_keep(const struct model *m)
{
        CLEANUP_FREE char *line = NULL;
        int n = asprintf(&line, "%s\n", m->catalogue);

        return n < 0 ? -ENOMEM : write_file_durable(m->dir_fd, ADDRESS_FILE, line, (size_t)n, 0600);
}
