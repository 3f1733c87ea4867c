/* SPDX-License-Identifier: MIT */

/*
 * What a machine is told by the cloud-init in it, as its NoCloud source reads it; and the one secret in that. A
 * password is hashed when it comes, and only the hash is kept: crypt(5)'s SHA-512, which every Linux of the last
 * fifteen years verifies.
 *
 * The texts are right for cloud-init from 0.7.9 on, 22.4 (Debian 12) included. Of its ways to set a password:
 *  - `password` with a hash sets that of the image's default user, whatever it is called. A list in `chpasswd` would
 *    make cloud-init ignore it, and would need the user's name;
 *  - root is named in `users`, where `hashed_passwd` changes a user that exists (`passwd` would not), and
 *    lock_passwd keeps the account from being locked;
 *  - a list of `users` takes the place of the image's, so that it must begin with `default`.
 * Logging in over ssh with the password is turned on only where there are no keys: with keys, it is for the console.
 *
 * Values are YAML strings in double quotes with everything but plain ASCII escaped, so that none can end its string or
 * be taken for something else.
 */

#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "blobstore/base/strbuf.h"
#include "model/machine/instance_row.h"

#define PASSWORD_MAX 256
#define SALT_CHARS   16 /* of 6 bits each */

int instance_hash_password(const char *password, struct diag *diag, char *buf, size_t size)
{
        static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        char setting[sizeof("$6$") + SALT_CHARS] = "$6$";
        CLEANUP_FREE struct crypt_data *data = NULL;
        size_t len = strlen(password);
        uint8_t random[SALT_CHARS];
        const char *hash;
        int r = 0;

        if (len == 0) {
                buf[0] = '\0';
                return 0;
        }
        if (len > PASSWORD_MAX || !text_is_clean(password, len))
                return diag_set(diag, -EINVAL, "password: one line of up to %d bytes of UTF-8, no control characters",
                                PASSWORD_MAX);

        if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
                return -EIO;
        for (size_t i = 0; i < SALT_CHARS; i++)
                setting[3 + i] = digits[random[i] % 64];

        data = calloc(1, sizeof(*data));
        if (!data)
                return -ENOMEM;
        hash = crypt_r(password, setting, data);
        if (!hash || strncmp(hash, setting, strlen(setting)) != 0 || strlen(hash) >= size)
                r = -EIO; /* a libcrypt without SHA-512 */
        else
                (void)snprintf(buf, size, "%s", hash);
        explicit_bzero(data, sizeof(*data));
        return r;
}

/* ---- YAML ---- */

/* The code point at *TEXT, which is well-formed UTF-8; moves on behind it. */
static uint32_t next_char(const char **text)
{
        const uint8_t *p = (const uint8_t *)*text;
        unsigned more = p[0] < 0x80 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
        uint32_t c = more == 0 ? p[0] : p[0] & (0x3fu >> more);

        for (unsigned i = 1; i <= more; i++)
                c = c << 6 | (p[i] & 0x3fu);
        *text += 1 + more;
        return c;
}

/* N bytes of TEXT as a string in double quotes. */
static void add_quoted(struct strbuf *out, const char *text, size_t n)
{
        const char *end = text + n;

        strbuf_add(out, "\"");
        while (text < end) {
                uint32_t c = next_char(&text);

                if (c == '"' || c == '\\')
                        strbuf_addf(out, "\\%c", (char)c);
                else if (c >= 0x20 && c < 0x7f)
                        strbuf_addf(out, "%c", (char)c);
                else
                        strbuf_addf(out, "\\U%08x", c);
        }
        strbuf_add(out, "\"");
}

static void add_value(struct strbuf *out, const char *key, const char *text)
{
        strbuf_addf(out, "%s: ", key);
        add_quoted(out, text, strlen(text));
        strbuf_add(out, "\n");
}

/* ---- the texts ---- */

/* Lines that are keys; gives whether there are any. */
static bool add_keys(struct strbuf *out, const char *keys)
{
        bool any = false;

        for (const char *line = keys; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                size_t len = strcspn(line, "\n");

                if (len == 0 || line[0] == '#')
                        continue;
                strbuf_add(out, any ? "  - " : "ssh_authorized_keys:\n  - ");
                add_quoted(out, line, len);
                strbuf_add(out, "\n");
                any = true;
        }
        return any;
}

static void add_password(struct strbuf *out, const char *hash, bool with_keys)
{
        add_value(out, "password", hash);
        strbuf_add(out, "chpasswd:\n"
                        "  expire: false\n"
                        "users:\n"
                        "  - default\n"
                        "  - name: root\n"
                        "    lock_passwd: false\n");
        add_value(out, "    hashed_passwd", hash);
        if (!with_keys)
                strbuf_add(out, "ssh_pwauth: true\n");
}

static int load_seed(struct model *m, uint64_t id, struct instance *instance, char *hash, size_t size)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = instance_load(&t, id, instance);
        return r < 0 ? r : instance_load_password(&t, id, hash, size);
}

int instance_seed(struct model *m, uint64_t id, struct strbuf *ret_user_data, struct strbuf *ret_meta_data)
{
        struct strbuf *user = ret_user_data, *meta = ret_meta_data;
        char hash[INSTANCE_HASH_MAX];
        struct instance instance;
        bool keys;
        int r;

        r = load_seed(m, id, &instance, hash, sizeof(hash));
        if (r < 0)
                return r;
        if (!hash[0] && !instance.ssh_keys[0] && !instance.hostname[0])
                return 0;

        strbuf_add(user, "#cloud-config\n");
        if (instance.hostname[0])
                add_value(user, "hostname", instance.hostname);
        keys = add_keys(user, instance.ssh_keys);
        if (hash[0])
                add_password(user, hash, keys);

        add_value(meta, "instance-id", instance.ident);
        if (instance.hostname[0])
                add_value(meta, "local-hostname", instance.hostname);
        r = strbuf_error(user);
        return r < 0 ? r : strbuf_error(meta);
}
