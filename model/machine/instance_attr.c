/* SPDX-License-Identifier: MIT */

/*
 * What can be written of an instance, as a table. A command holds the gate of volumes and one transaction; only
 * `image`, which makes disks first, has its own way (instance_disks.c).
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "model/core/clock.h"
#include "model/core/object_row.h"
#include "model/core/region_row.h"
#include "model/image/image_disk_row.h"
#include "model/image/image_row.h"
#include "model/machine/instance_life.h"
#include "model/machine/instance_row.h"
#include "model/machine/volume_gate.h"
#include "model/machine/volume_row.h"

#define SET(column) "UPDATE instance SET " column " = ?2, updated = max(?3, updated + 1) WHERE id = ?1"

enum { SET_STARTED = INSTANCE_FIELD_COUNT };

static const char *const instance_attr_sql[] = {
        [INSTANCE_FIELD_NAME] = SET("name"),
        [INSTANCE_FIELD_DESCRIPTION] = SET("description"),
        [INSTANCE_FIELD_POWER] = SET("power"),
        [INSTANCE_FIELD_IMAGE_DISKS] = SET("image_disks"),
        [INSTANCE_FIELD_PASSWORD] = SET("password"),
        [INSTANCE_FIELD_SSH_KEYS] = SET("ssh_keys"),
        [INSTANCE_FIELD_HOSTNAME] = SET("hostname"),
        [INSTANCE_FIELD_USER_DATA] = SET("user_data"),
        [INSTANCE_FIELD_NETWORK_CONFIG] = SET("network_config"),
        /* Attaching and detaching change the instance too. */
        [INSTANCE_FIELD_ATTACH] = "UPDATE instance SET updated = max(?2, updated + 1) WHERE id = ?1",
        [SET_STARTED] = "UPDATE instance SET started = 1 WHERE id = ?1",
};
const struct db_statements instance_attr_statements = DB_STATEMENTS(instance_attr_sql);

/* Hashed before anything is locked, since that takes milliseconds; what is wrong with it is told in its turn. */
struct password {
        char hash[INSTANCE_HASH_MAX];
        int r;
        struct diag diag;
};

struct command {
        struct model *m;
        struct db_txn *t;
        const struct caller *c;
        struct instance instance;
        enum instance_field field;
        struct changes ch;
        struct password password; /* of INSTANCE_FIELD_PASSWORD */
};

/* Checks VALUE, and carries it out. */
typedef int command_fn(struct command *cmd, const char *value, struct diag *diag);

static int update(struct command *cmd, struct db_value value)
{
        int r = db_run(cmd->t, instance_attr_sql[cmd->field], DB_INT(cmd->instance.o.id), value,
                       DB_INT(clock_now_us()));

        return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

/* ---- texts ---- */

static int set_name(struct command *cmd, const char *value, struct diag *diag)
{
        int r;

        r = object_check_name(value, "name", diag);
        return r < 0 ? r : update(cmd, DB_TEXT(value));
}

static int set_description(struct command *cmd, const char *value, struct diag *diag)
{
        int r;

        r = object_check_text(value, IMAGE_TEXT_MAX, "description", diag);
        return r < 0 ? r : update(cmd, DB_TEXT(value));
}

/* ---- power ---- */

static int set_power(struct command *cmd, const char *value, struct diag *diag)
{
        const struct instance *i = &cmd->instance;
        bool start = strcmp(value, "start") == 0;
        int r;

        if (!start && strcmp(value, "stop") != 0)
                return diag_set(diag, -EINVAL, "power: start or stop");
        r = instance_life_ask(cmd->m, cmd->t, i, start ? INSTANCE_START : INSTANCE_STOP, diag);
        if (r < 0)
                return r;
        if (start) {
                r = region_refuse_offline(cmd->m, cmd->t, i->region, diag);
                if (r < 0)
                        return r;
                r = db_run(cmd->t, instance_attr_sql[SET_STARTED], DB_INT(i->o.id));
                if (r < 0)
                        return r;
        }
        return update(cmd, DB_INT(start));
}

/* ---- disks ---- */

static int set_type(struct command *cmd, const char *value, struct diag *diag)
{
        return instance_set_type(cmd->t, &cmd->instance, value, &cmd->ch, diag);
}

static int touch(struct command *cmd)
{
        int r = db_run(cmd->t, instance_attr_sql[INSTANCE_FIELD_ATTACH], DB_INT(cmd->instance.o.id),
                       DB_INT(clock_now_us()));

        return r < 0 ? r : 0;
}

static int set_cdrom(struct command *cmd, const char *value, struct diag *diag)
{
        return instance_set_cdrom(cmd->t, cmd->c, &cmd->instance, value, &cmd->ch, diag);
}

static int attach(struct command *cmd, const char *value, struct diag *diag)
{
        int r;

        r = instance_attach(cmd->m, cmd->t, cmd->c, &cmd->instance, value, &cmd->ch, diag);
        return r < 0 ? r : touch(cmd);
}

static int detach(struct command *cmd, const char *value, struct diag *diag)
{
        int r;

        r = instance_detach(cmd->t, &cmd->instance, value, &cmd->ch, diag);
        return r < 0 ? r : touch(cmd);
}

/* A data disk of the instance, as a bit. */
static int find_data_disk(struct command *cmd, const char *device, struct diag *diag, unsigned *ret)
{
        struct volume v;
        int r;

        if (!device_is_valid(device))
                return diag_set(diag, -EINVAL, "image-disks: all, none, or devices of data disks such as: vdb vdd");
        r = volume_load_by_device(cmd->t, cmd->instance.o.id, device, &v);
        if (r == -ENOENT)
                return diag_set(diag, r, "%s has no disk %s: see device-mapping", cmd->instance.o.handle, device);
        if (r < 0)
                return r;
        if (v.system)
                return diag_set(diag, -EINVAL, "image-disks: the system disk %s always goes along: name data disks",
                                device);
        *ret = 1u << (device[2] - 'a');
        return 0;
}

static int set_image_disks(struct command *cmd, const char *value, struct diag *diag)
{
        char list[DISKS_MAX * sizeof("vda")] = "";
        unsigned chosen = 0, bit;
        char device[8];
        int r;

        if (strcmp(value, "all") == 0 || strcmp(value, "none") == 0)
                return update(cmd, DB_TEXT(value));

        for (const char *p = value + strspn(value, " "); *p; p += strspn(p, " ")) {
                size_t len = strcspn(p, " ");

                (void)snprintf(device, sizeof(device), "%.*s", (int)(len < sizeof(device) ? len : sizeof(device)), p);
                r = find_data_disk(cmd, device, diag, &bit);
                if (r < 0)
                        return r;
                chosen |= bit;
                p += len;
        }
        if (chosen == 0)
                return find_data_disk(cmd, "", diag, &bit);
        for (unsigned i = 0; i < DISKS_MAX; i++) {
                if (chosen & 1u << i)
                        (void)snprintf(list + strlen(list), sizeof(list) - strlen(list), "%svd%c", list[0] ? " " : "",
                                       (char)('a' + i));
        }
        return update(cmd, DB_TEXT(list));
}

/* ---- what cloud-init is told ---- */

static int need_cloud_init(struct command *cmd, struct diag *diag)
{
        const struct instance *i = &cmd->instance;
        struct image image;
        int r;

        if (i->bare)
                return diag_set(diag, -EBUSY, "%s has no image yet: write one to image first", i->o.handle);
        if (!i->image_open)
                return 0; /* nobody says any more what is in it, at least not to her */
        r = image_load(cmd->t, i->image, &image);
        if (r < 0 || strstr(image.features, "cloud-init")) /* the only feature with this in it */
                return r;
        if (!cmd->c->admin && cmd->c->uid != image.o.uid)
                return diag_set(diag, -EOPNOTSUPP, "%s: nothing in the machine would read this: its image %s has no "
                                "cloud-init in its features; where it is installed, the image's owner can add it",
                                i->o.handle, i->image_path);
        return diag_set(diag, -EOPNOTSUPP, "%s: nothing in the machine would read this: its image %s has no cloud-init "
                        "in its features; where it is installed, say so: echo \"%s%scloud-init\" > %s/features",
                        i->o.handle, i->image_path, image.features, image.features[0] ? " " : "", i->image_path);
}

static int set_password(struct command *cmd, const char *value, struct diag *diag)
{
        const struct password *p = &cmd->password;
        int r;

        (void)value;
        r = need_cloud_init(cmd, diag);
        if (r < 0)
                return r;
        if (p->r < 0)
                return p->diag.error ? diag_set(diag, p->r, "%s", p->diag.text) : p->r;
        return update(cmd, DB_TEXT(p->hash));
}

static bool is_key(const char *line, size_t len)
{
        static const char *const types[] = { "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
                                             "ecdsa-sha2-nistp521", "sk-ssh-ed25519@openssh.com",
                                             "sk-ecdsa-sha2-nistp256@openssh.com" };
        size_t n = strcspn(line, " ");

        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
                if (n < len && strlen(types[i]) == n && strncmp(line, types[i], n) == 0)
                        return strncmp(line + n, " AAAA", strlen(" AAAA")) == 0; /* so every key of these begins */
        }
        return false;
}

static int set_ssh_keys(struct command *cmd, const char *value, struct diag *diag)
{
        int r;

        r = object_check_text(value, INSTANCE_KEYS_MAX, "ssh-keys", diag);
        if (r < 0)
                return r;
        for (const char *line = value; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                if (line[0] != '\n' && line[0] != '#' && !is_key(line, strcspn(line, "\n")))
                        return diag_set(diag, -EINVAL, "ssh-keys: a public key a line, as in ~/.ssh/id_ed25519.pub");
        }
        r = need_cloud_init(cmd, diag);
        return r < 0 ? r : update(cmd, DB_TEXT(value));
}

static int set_hostname(struct command *cmd, const char *value, struct diag *diag)
{
        int r;

        if (!instance_hostname_is_valid(value))
                return diag_set(diag, -EINVAL,
                                "hostname: up to %d letters, digits, hyphens and dots, as in web-1.example.org",
                                INSTANCE_HOSTNAME_MAX);
        r = need_cloud_init(cmd, diag);
        return r < 0 ? r : update(cmd, DB_TEXT(value));
}

/*
 * cloud-init knows by the first line what it is given, and passes over what it does not know with no more than a line in
 * the guest's log.
 */
static bool has_known_beginning(const char *text)
{
        static const char *const headers[] = { "Content-Type:", "MIME-Version:" };

        for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
                if (strncasecmp(text, headers[i], strlen(headers[i])) == 0)
                        return true;
        }
        return text[0] == '#' || text[0] == '\0';
}

static int set_user_data(struct command *cmd, const char *value, struct diag *diag)
{
        int r;

        r = object_check_text(value, INSTANCE_USER_DATA_MAX, "user-data", diag);
        if (r < 0)
                return r;
        if (!has_known_beginning(value))
                return diag_set(diag, -EINVAL, "user-data: its first line says what it is, such as #cloud-config, #!/bin/sh, "
                                "#include or Content-Type: multipart/mixed");
        r = need_cloud_init(cmd, diag);
        return r < 0 ? r : update(cmd, DB_TEXT(value));
}

/*
 * What is no mapping of YAML at all, and the mistake that is made most: the guest would come up without its network and say
 * so to nobody. More than that cloud-init alone can tell, whose every version knows other keys. A text that has only begun
 * is taken, since it may come line by line.
 */
static int refuse_no_mapping(const char *text, struct diag *diag)
{
        bool began = false;
        const char *p = text;
        size_t len, key;

        for (unsigned line = 1; *p; line++) {
                len = strcspn(p, "\n");
                if (*p == '\t' && strspn(p, " \t") < len)
                        return diag_set(diag, -EINVAL, "network-config: line %u begins with a tab, where YAML takes spaces only",
                                        line);
                if (!began && strspn(p, " ") < len && p[strspn(p, " ")] != '#' && strncmp(p, "---", 3) != 0) {
                        key = strcspn(p, ":\n");
                        began = *p == '{' || (key > 0 && p[key] == ':' && strchr(" \n", p[key + 1]));
                        if (!began)
                                return diag_set(diag, -EINVAL, "network-config: line %u is no key of YAML, such as version: 2",
                                                line);
                }
                p += len + (p[len] == '\n');
        }
        return 0;
}

static int set_network_config(struct command *cmd, const char *value, struct diag *diag)
{
        int r;

        r = object_check_text(value, INSTANCE_NETWORK_MAX, "network-config", diag);
        if (r == 0)
                r = refuse_no_mapping(value, diag);
        if (r == 0)
                r = need_cloud_init(cmd, diag);
        return r < 0 ? r : update(cmd, DB_TEXT(value));
}

/* ---- the table ---- */

static const struct field {
        command_fn *carry_out;
        enum instance_verb verb; /* with which it must be allowed */
} fields[INSTANCE_FIELD_COUNT] = {
        [INSTANCE_FIELD_NAME] = { set_name, INSTANCE_DESCRIBE },
        [INSTANCE_FIELD_DESCRIPTION] = { set_description, INSTANCE_DESCRIBE },
        [INSTANCE_FIELD_TYPE] = { set_type, INSTANCE_SET_TYPE },
        [INSTANCE_FIELD_POWER] = { set_power, INSTANCE_DESCRIBE }, /* asks itself, for start or stop */
        [INSTANCE_FIELD_ATTACH] = { attach, INSTANCE_ATTACH },
        [INSTANCE_FIELD_DETACH] = { detach, INSTANCE_DETACH },
        [INSTANCE_FIELD_CDROM] = { set_cdrom, INSTANCE_ATTACH },
        [INSTANCE_FIELD_IMAGE_DISKS] = { set_image_disks, INSTANCE_DESCRIBE },
        [INSTANCE_FIELD_PASSWORD] = { set_password, INSTANCE_DESCRIBE },
        [INSTANCE_FIELD_SSH_KEYS] = { set_ssh_keys, INSTANCE_DESCRIBE },
        [INSTANCE_FIELD_HOSTNAME] = { set_hostname, INSTANCE_DESCRIBE },
        [INSTANCE_FIELD_USER_DATA] = { set_user_data, INSTANCE_DESCRIBE },
        [INSTANCE_FIELD_NETWORK_CONFIG] = { set_network_config, INSTANCE_DESCRIBE },
};

/* The disk that is to be attached: whoever has closed it may go on. */
static void settle_disk(struct model *m, uint64_t id, const char *disk)
{
        struct instance instance;
        struct volume v;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = instance_load(&t, id, &instance);
                if (r == 0)
                        r = volume_load_by_name(&t, instance.region, disk, &v);
        }
        if (r == 0)
                volumes_settle(m, OBJECT_VOLUME, v.o.id);
}

static int carry_out(struct command *cmd, uint64_t id, const char *value, struct db_owed *owed, struct diag *diag)
{
        const struct field *f = &fields[cmd->field];
        LOCK_SCOPE(volumes_gate(cmd->m, OBJECT_INSTANCE, id));
        DB_TXN(t);
        int r;

        cmd->t = &t;
        r = db_begin(cmd->m->db, DB_WRITE, &t);
        if (r == 0)
                r = instance_load_for(cmd->m, &t, id, f->verb, diag, &cmd->instance);
        if (r == 0)
                r = f->carry_out(cmd, value, diag);
        return r < 0 ? r : db_commit_early(&t, owed);
}

int instance_set(struct model *m, const struct caller *c, uint64_t id, enum instance_field field, const char *value,
                 struct diag *diag)
{
        struct command cmd = { .m = m, .c = c, .field = field };
        struct db_owed owed;
        int r;

        if (field == INSTANCE_FIELD_IMAGE)
                return instance_rebuild(m, c, id, value, diag);
        if (field == INSTANCE_FIELD_PASSWORD)
                cmd.password.r = instance_hash_password(value, &cmd.password.diag, cmd.password.hash,
                                                        sizeof(cmd.password.hash));
        if (field == INSTANCE_FIELD_ATTACH)
                settle_disk(m, id, value);
        r = carry_out(&cmd, id, value, &owed, diag);
        if (r == 0)
                r = db_await(&owed);
        if (r < 0)
                return r;
        changes_add(&cmd.ch, OBJECT_INSTANCE, id);
        changes_tell(m, &cmd.ch);
        return 0;
}
