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
 * What the user wrote as user-data is the guest's user-data as it is: it may be a script, an include, MIME or a template,
 * and to put it beside ours would mean to take it apart. Ours is vendor-data then, which cloud-init reads as the same,
 * and in which what the user-data says, too, does not count. The network's configuration is a file by itself.
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
#define LABEL_MAX    63 /* RFC 1123 */
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

static bool is_letter_or_digit(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool instance_hostname_is_valid(const char *name)
{
        if (strlen(name) > INSTANCE_HOSTNAME_MAX)
                return false;
        while (*name) {
                size_t len = strcspn(name, ".");

                if (len == 0 || len > LABEL_MAX || !is_letter_or_digit(name[0]) || !is_letter_or_digit(name[len - 1]))
                        return false;
                for (size_t i = 0; i < len; i++) {
                        if (!is_letter_or_digit(name[i]) && name[i] != '-')
                                return false;
                }
                name += len;
                if (*name == '.' && *++name == '\0')
                        return false;
        }
        return true;
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

/* ---- what is kept ---- */

enum { TOLD };

static const char *const instance_seed_sql[] = {
        [TOLD] = "SELECT user_data, network_config FROM instance WHERE id = ?1",
};
const struct db_statements instance_seed_statements = DB_STATEMENTS(instance_seed_sql);

struct told {
        struct strbuf *user_data, *network_config;
};

static int take_told(void *ctx, const struct db_row *row)
{
        const struct told *told = ctx;

        strbuf_add(told->user_data, db_row_str(row, 0));
        strbuf_add(told->network_config, db_row_str(row, 1));
        return 0;
}

static int load_told(struct db_txn *t, uint64_t id, struct strbuf *user_data, struct strbuf *network_config)
{
        struct told told = { user_data, network_config };
        int r;

        r = db_one(t, instance_seed_sql[TOLD], take_told, &told, DB_INT(id));
        if (r == 0)
                r = strbuf_error(user_data);
        return r < 0 ? r : strbuf_error(network_config);
}

int instance_get_told(struct model *m, uint64_t id, struct strbuf *ret_user_data, struct strbuf *ret_network_config)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : load_told(&t, id, ret_user_data, ret_network_config);
}

static int load_seed(struct model *m, uint64_t id, struct instance *instance, char *hash, size_t size,
                     struct instance_seed *seed)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = instance_load(&t, id, instance);
        if (r == 0)
                r = instance_load_password(&t, id, hash, size);
        return r < 0 ? r : load_told(&t, id, &seed->user_data, &seed->network_config);
}

/* ---- the files ---- */

void instance_seed_done(struct instance_seed *seed)
{
        strbuf_done(&seed->meta_data);
        strbuf_done(&seed->user_data);
        strbuf_done(&seed->vendor_data);
        strbuf_done(&seed->network_config);
}

/* Of a machine that was given no name for its guest, its own, where it can be one: those of one image do not share it. */
static void add_meta(struct strbuf *out, const struct instance *instance)
{
        const char *name = instance->hostname[0] ? instance->hostname : instance->o.handle;

        add_value(out, "instance-id", instance->ident);
        if (instance_hostname_is_valid(name))
                add_value(out, "local-hostname", name);
}

/* Gives whether it says anything: a mapping it is all the same. */
static bool add_config(struct strbuf *out, const struct instance *instance, const char *hash)
{
        bool keys;

        strbuf_add(out, "#cloud-config\n");
        if (instance->hostname[0])
                add_value(out, "hostname", instance->hostname);
        keys = add_keys(out, instance->ssh_keys);
        if (hash[0])
                add_password(out, hash, keys);
        if (instance->hostname[0] || keys || hash[0])
                return true;
        strbuf_add(out, "{}\n");
        return false;
}

int instance_seed(struct model *m, uint64_t id, struct instance_seed *ret)
{
        CLEANUP(instance_seed_done) struct instance_seed seed = { 0 };
        char hash[INSTANCE_HASH_MAX];
        struct instance instance;
        bool told;
        int r;

        r = load_seed(m, id, &instance, hash, sizeof(hash), &seed);
        if (r < 0)
                return r;

        told = seed.user_data.len > 0;
        add_meta(&seed.meta_data, &instance);
        if (!add_config(told ? &seed.vendor_data : &seed.user_data, &instance, hash))
                strbuf_reset(&seed.vendor_data);
        /* Texts are kept without the end of their last line. */
        if (told)
                strbuf_add(&seed.user_data, "\n");
        if (seed.network_config.len)
                strbuf_add(&seed.network_config, "\n");

        r = strbuf_error(&seed.meta_data);
        if (r == 0)
                r = strbuf_error(&seed.user_data);
        if (r == 0)
                r = strbuf_error(&seed.vendor_data);
        if (r == 0)
                r = strbuf_error(&seed.network_config);
        if (r < 0)
                return r;
        *ret = seed;
        seed = (struct instance_seed){ 0 };
        return 0;
}
