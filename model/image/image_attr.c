/* SPDX-License-Identifier: MIT */

/* The attributes of an image that can be written: what each takes, as a table, and one function to write them. */

#include <errno.h>
#include <string.h>

#include "blobstore/import/source.h"
#include "model/core/clock.h"
#include "model/core/object_row.h"
#include "model/image/image_row.h"
#include "model/image/lifecycle.h"

#define SET(column) "UPDATE image SET " column " = ?2, updated = max(?3, updated + 1) WHERE id = ?1"

static const char *const image_attr_sql[IMAGE_FIELD_COUNT] = {
        [IMAGE_FIELD_NAME] = SET("name"),
        [IMAGE_FIELD_DESCRIPTION] = SET("description"),
        [IMAGE_FIELD_TYPE] = SET("type"),
        [IMAGE_FIELD_FORMAT] = SET("format"),
        [IMAGE_FIELD_OS] = SET("os"),
        [IMAGE_FIELD_PLATFORM] = SET("platform"),
        [IMAGE_FIELD_PLATFORM_VERSION] = SET("platform_version"),
        [IMAGE_FIELD_ARCHITECTURE] = SET("architecture"),
        [IMAGE_FIELD_BOOT_MODE] = SET("boot_mode"),
        [IMAGE_FIELD_FEATURES] = SET("features"),
        [IMAGE_FIELD_LABELS] = SET("labels"),
        [IMAGE_FIELD_PROJECT_GROUP] = SET("project_group"),
        [IMAGE_FIELD_PROVIDER] = SET("provider"),
        [IMAGE_FIELD_FAMILY] = SET("family"),
        [IMAGE_FIELD_PROTECTED] = SET("protected"),
        [IMAGE_FIELD_LIFECYCLE] = SET("lifecycle"),
};
const struct db_statements image_attr_statements = DB_STATEMENTS(image_attr_sql);

struct field;

/* Checks VALUE; what is to be stored goes into OUT, where that differs from VALUE. */
typedef int field_check(const struct field *f, const struct image *image, const char *value, struct strbuf *out,
                        struct diag *diag);

struct field {
        const char *name;
        field_check *check;
        const char *const *words; /* ends with NULL */
        bool queued_only;
};

/* ---- checks ---- */

static int check_name(const struct field *f, const struct image *image, const char *value, struct strbuf *out,
                      struct diag *diag)
{
        (void)image;
        (void)out;
        return object_check_name(value, f->name, diag);
}

static int check_line(const struct field *f, const struct image *image, const char *value, struct strbuf *out,
                      struct diag *diag)
{
        size_t len = strlen(value);

        (void)image;
        (void)out;
        if (len > IMAGE_VALUE_MAX || !text_is_clean(value, len))
                return diag_set(diag, -EINVAL, "%s: one line of up to %d bytes of UTF-8, no control characters",
                                f->name, IMAGE_VALUE_MAX);
        return 0;
}

static int check_text(const struct field *f, const struct image *image, const char *value, struct strbuf *out,
                      struct diag *diag)
{
        (void)image;
        (void)out;
        return object_check_text(value, IMAGE_TEXT_MAX, f->name, diag);
}

static bool is_word(const char *const *words, const char *text, size_t len)
{
        for (; *words; words++) {
                if (strlen(*words) == len && memcmp(*words, text, len) == 0)
                        return true;
        }
        return false;
}

static int refuse_words(const struct field *f, const char *how, const char *const *words, struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf list = { 0 };

        for (size_t i = 0; words[i]; i++)
                strbuf_addf(&list, "%s%s", i > 0 ? ", " : "", words[i]);
        return diag_set(diag, -EINVAL, "%s: %s %s", f->name, how, strbuf_text(&list));
}

/* One of the words, or nothing. */
static int check_word(const struct field *f, const struct image *image, const char *value, struct strbuf *out,
                      struct diag *diag)
{
        (void)image;
        (void)out;
        if (value[0] && !is_word(f->words, value, strlen(value)))
                return refuse_words(f, "nothing, or one of:", f->words, diag);
        return 0;
}

/* A set of the words; stored in the order of the table. */
static int check_words(const struct field *f, const struct image *image, const char *value, struct strbuf *out,
                       struct diag *diag)
{
        unsigned found = 0;

        (void)image;
        for (const char *p = value; *p;) {
                size_t len = strcspn(p, " ");

                if (len > 0 && !is_word(f->words, p, len))
                        return refuse_words(f, "words of:", f->words, diag);
                for (unsigned i = 0; len > 0 && f->words[i]; i++)
                        found |= is_word((const char *const[]){ f->words[i], NULL }, p, len) ? 1u << i : 0;
                p += len + strspn(p + len, " ");
        }
        strbuf_add(out, "");
        for (unsigned i = 0; f->words[i]; i++) {
                if (found & (1u << i))
                        strbuf_addf(out, "%s%s", out->len > 0 ? " " : "", f->words[i]);
        }
        return 0;
}

static int check_type(const struct field *f, const struct image *image, const char *value, struct strbuf *out,
                      struct diag *diag)
{
        (void)out;
        if (image->source != CLASS_PRIVATE && strcmp(value, "both") != 0)
                return diag_set(diag, -EINVAL, "%s: an image in %s is always both", f->name,
                                image_class_name(image->source));
        if (image->source == CLASS_PRIVATE && !is_word(f->words, value, strlen(value)))
                return refuse_words(f, "one of:", f->words, diag);
        return 0;
}

static int check_format(const struct field *f, const struct image *image, const char *value, struct strbuf *out,
                        struct diag *diag)
{
        enum image_format format = IMAGE_FORMAT_AUTO;

        (void)image;
        if (strcmp(value, "img") == 0)
                value = ""; /* files of that ending are as often qcow2 as raw */
        if (value[0] && image_format_parse(value, &format) < 0)
                return diag_set(diag, -EINVAL,
                                "%s: auto, raw, img, qcow2, vmdk, vhd, vhdx, vdi, ova or iso; other formats become one "
                                "with: qemu-img convert -O qcow2", f->name);
        strbuf_add(out, image_format_name(format));
        return 0;
}

/* Is the key of the line at LINE (N bytes of key) that of an earlier line of TEXT? */
static bool key_repeats(const char *text, const char *line, size_t n)
{
        while (text < line) {
                if (strncmp(text, line, n) == 0 && text[n] == '=')
                        return true;
                text += strcspn(text, "\n") + 1;
        }
        return false;
}

static int check_labels(const struct field *f, const struct image *image, const char *value, struct strbuf *out,
                        struct diag *diag)
{
        int r;

        r = check_text(f, image, value, out, diag);
        if (r < 0)
                return r;
        for (const char *line = value; *line;) {
                size_t len = strcspn(line, "\n");
                size_t key = strcspn(line, "=\n");

                if (key == 0 || line[key] != '=')
                        return diag_set(diag, -EINVAL, "%s: lines of key=value", f->name);
                if (key_repeats(value, line, key))
                        return diag_set(diag, -EINVAL, "%s: the key %.*s is there twice", f->name, (int)key, line);
                line += len + (line[len] == '\n');
        }
        return 0;
}

/* It is the name of a directory. */
static int check_family(const struct field *f, const struct image *image, const char *value, struct strbuf *out,
                        struct diag *diag)
{
        (void)image;
        (void)out;
        return value[0] ? object_check_name(value, f->name, diag) : 0;
}

static int check_yes_no(const struct field *f, const struct image *image, const char *value, struct strbuf *out,
                        struct diag *diag)
{
        (void)image;
        if (!is_word(f->words, value, strlen(value)))
                return refuse_words(f, "one of:", f->words, diag);
        strbuf_add(out, strcmp(value, "yes") == 0 ? "1" : "0");
        return 0;
}

static int check_lifecycle(const struct field *f, const struct image *image, const char *value, struct strbuf *out,
                           struct diag *diag)
{
        (void)f;
        (void)image;
        (void)out;
        return lifecycle_check(value, diag);
}

/* ---- the table ---- */

static const char *const type_words[] = { "local", "cloud", NULL };
static const char *const os_words[] = { "linux", "windows", "kylin", "other", NULL };
static const char *const architecture_words[] = { "x86_64", "aarch64", NULL };
static const char *const boot_mode_words[] = { "bios", "uefi", NULL };
static const char *const feature_words[] = { "cloud-init", "qemu-ga", "hot-upgrade", NULL };

static const char *const yes_no_words[] = { "yes", "no", NULL };

static const struct field fields[IMAGE_FIELD_COUNT] = {
        [IMAGE_FIELD_NAME] = { "name", check_name, NULL, false },
        [IMAGE_FIELD_DESCRIPTION] = { "description", check_text, NULL, false },
        [IMAGE_FIELD_TYPE] = { "type", check_type, type_words, true },
        [IMAGE_FIELD_FORMAT] = { "format", check_format, NULL, true },
        [IMAGE_FIELD_OS] = { "os", check_word, os_words, false },
        [IMAGE_FIELD_PLATFORM] = { "platform", check_line, NULL, false },
        [IMAGE_FIELD_PLATFORM_VERSION] = { "platform-version", check_line, NULL, false },
        [IMAGE_FIELD_ARCHITECTURE] = { "architecture", check_word, architecture_words, false },
        [IMAGE_FIELD_BOOT_MODE] = { "boot-mode", check_word, boot_mode_words, false },
        [IMAGE_FIELD_FEATURES] = { "features", check_words, feature_words, false },
        [IMAGE_FIELD_LABELS] = { "labels", check_labels, NULL, false },
        [IMAGE_FIELD_PROJECT_GROUP] = { "project-group", check_line, NULL, false },
        [IMAGE_FIELD_PROVIDER] = { "provider", check_line, NULL, false },
        [IMAGE_FIELD_FAMILY] = { "family", check_family, NULL, false },
        [IMAGE_FIELD_PROTECTED] = { "protected", check_yes_no, yes_no_words, false },
        [IMAGE_FIELD_LIFECYCLE] = { "lifecycle", check_lifecycle, NULL, false },
};

int image_set_in(struct db_txn *t, const struct image *image, enum image_field field, const char *value,
                 struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf changed = { 0 };
        const struct field *f = &fields[field];
        int r;

        if (f->queued_only && image->status != IMAGE_QUEUED)
                return diag_set(diag, -EBUSY,
                                "%s: can only be set while the image is queued, before its upload; %s is %s", f->name,
                                image->o.handle, image_status_name(image->status));
        r = f->check(f, image, value, &changed, diag);
        if (r == 0)
                r = strbuf_error(&changed);
        if (r == 0 && field == IMAGE_FIELD_LIFECYCLE)
                r = lifecycle_refuse_unknown(t, image, value, diag);
        if (r < 0)
                return r;

        if (changed.text)
                value = strbuf_text(&changed);
        r = db_run(t, image_attr_sql[field], DB_INT(image->o.id), DB_TEXT(value), DB_INT(clock_now_us()));
        return r < 0 ? r : 0;
}

int image_set(struct model *m, const struct caller *c, uint64_t id, enum image_field field, const char *value,
              struct diag *diag)
{
        struct image image;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = image_load(&t, id, &image);
        if (r == 0)
                r = image_refuse_stranger(image.source, c, diag);
        if (r == 0)
                r = image_set_in(&t, &image, field, value, diag);
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                changes_send(m, OBJECT_IMAGE, id);
        return r;
}
