/* SPDX-License-Identifier: MIT */

/*
 * The attributes of an image from a metadata.json that was saved: all that its owner may set, in one transaction. What
 * the image says of itself (id, owner, status …), where its bytes were and of which format the file was is passed over,
 * and so is a type that images of its class cannot have.
 *
 * The text is taken apart by the database, which has a parser for it that many have attacked before.
 */

#include <errno.h>
#include <string.h>

#include "blobstore/base/strbuf.h"
#include "model/image/image_row.h"

enum { IS_OBJECT, MEMBERS, FEATURES, LABELS };

static const char *const image_metadata_sql[] = {
        [IS_OBJECT] = "SELECT CASE WHEN json_valid(?1) THEN iif(json_type(?1) = 'object', 1, 0) ELSE 0 END",
        [MEMBERS] = "SELECT key, type, value FROM json_each(?1)",
        [FEATURES] = "SELECT key, type, value FROM json_each(?1, '$.features')",
        [LABELS] = "SELECT key, type, value FROM json_each(?1, '$.labels')",
};
const struct db_statements image_metadata_statements = DB_STATEMENTS(image_metadata_sql);

static const struct member {
        const char *key, *type;
        enum image_field field;
} members[] = {
        { "name", "text", IMAGE_FIELD_NAME },
        { "description", "text", IMAGE_FIELD_DESCRIPTION },
        { "type", "text", IMAGE_FIELD_TYPE },
        { "os", "text", IMAGE_FIELD_OS },
        { "platform", "text", IMAGE_FIELD_PLATFORM },
        { "platform-version", "text", IMAGE_FIELD_PLATFORM_VERSION },
        { "architecture", "text", IMAGE_FIELD_ARCHITECTURE },
        { "boot-mode", "text", IMAGE_FIELD_BOOT_MODE },
        { "features", "array", IMAGE_FIELD_FEATURES },
        { "labels", "object", IMAGE_FIELD_LABELS },
        { "project-group", "text", IMAGE_FIELD_PROJECT_GROUP },
        { "provider", "text", IMAGE_FIELD_PROVIDER },
        { "family", "text", IMAGE_FIELD_FAMILY },
};
#define N_MEMBERS (sizeof(members) / sizeof(members[0]))

struct metadata {
        struct strbuf value[N_MEMBERS];
        bool given[N_MEMBERS];
        struct diag *diag;
};

static void metadata_done(struct metadata *md)
{
        for (size_t i = 0; i < N_MEMBERS; i++)
                strbuf_done(&md->value[i]);
}

/* Has the object that TEXT begins with its end? What is none has no end to wait for. */
static bool is_whole(const char *text)
{
        bool in_string = false;
        size_t depth = 0;

        text += strspn(text, " \t\r\n");
        if (*text != '{')
                return *text != '\0';
        for (; *text; text++) {
                if (in_string && *text == '\\' && text[1])
                        text++;
                else if (*text == '"')
                        in_string = !in_string;
                else if (!in_string && (*text == '{' || *text == '['))
                        depth++;
                else if (!in_string && (*text == '}' || *text == ']') && --depth == 0)
                        return true;
        }
        return false;
}

static int take_member(void *ctx, const struct db_row *row)
{
        const char *key = db_row_str(row, 0), *type = db_row_str(row, 1);
        struct metadata *md = ctx;
        size_t i = 0;

        while (i < N_MEMBERS && strcmp(members[i].key, key) != 0)
                i++;
        if (i == N_MEMBERS)
                return 0;
        if (md->given[i])
                return diag_set(md->diag, -EINVAL, "metadata.json: %s is there twice", key);
        if (strcmp(type, members[i].type) != 0)
                return diag_set(md->diag, -EINVAL, "metadata.json: %s is no %s", key, members[i].type);
        md->given[i] = true;
        if (strcmp(type, "text") == 0)
                strbuf_add(&md->value[i], db_row_str(row, 2));
        return strbuf_error(&md->value[i]);
}

struct list {
        struct strbuf *out;
        struct diag *diag;
};

static int add_feature(void *ctx, const struct db_row *row)
{
        const struct list *list = ctx;

        if (strcmp(db_row_str(row, 1), "text") != 0)
                return diag_set(list->diag, -EINVAL, "metadata.json: features are texts");
        strbuf_addf(list->out, "%s ", db_row_str(row, 2));
        return strbuf_error(list->out);
}

/* A line each; one may not be smuggled in by another. */
static int add_label(void *ctx, const struct db_row *row)
{
        const char *key = db_row_str(row, 0), *value = db_row_str(row, 2);
        const struct list *list = ctx;

        if (strcmp(db_row_str(row, 1), "text") != 0 || strpbrk(key, "=\n") || strchr(value, '\n'))
                return diag_set(list->diag, -EINVAL, "metadata.json: labels are texts of one line, their keys without =");
        strbuf_addf(list->out, "%s%s=%s", list->out->len > 0 ? "\n" : "", key, value);
        return strbuf_error(list->out);
}

static int parse(struct db_txn *t, const char *text, struct metadata *md)
{
        int64_t is_object;
        int r;

        /* the escaped zero would end a text that goes on */
        if (strstr(text, "\\u0000"))
                is_object = 0;
        else {
                r = db_int(t, image_metadata_sql[IS_OBJECT], &is_object, DB_TEXT(text));
                if (r < 0)
                        return r;
        }
        if (!is_object)
                return diag_set(md->diag, -EINVAL, "metadata.json: write what an image's metadata.json says, a JSON object");
        r = db_each(t, image_metadata_sql[MEMBERS], take_member, md, DB_TEXT(text));
        for (size_t i = 0; i < N_MEMBERS && r == 0; i++) {
                struct list list = { .out = &md->value[i], .diag = md->diag };

                if (md->given[i] && members[i].field == IMAGE_FIELD_FEATURES)
                        r = db_each(t, image_metadata_sql[FEATURES], add_feature, &list, DB_TEXT(text));
                if (md->given[i] && members[i].field == IMAGE_FIELD_LABELS)
                        r = db_each(t, image_metadata_sql[LABELS], add_label, &list, DB_TEXT(text));
        }
        return r;
}

static bool applies(const struct caller *c, const struct image *image, enum image_field field, const char *value)
{
        if (field == IMAGE_FIELD_TYPE)
                return image->source == CLASS_PRIVATE && strcmp(value, image_type_name(TYPE_BOTH)) != 0;
        return field != IMAGE_FIELD_PROVIDER || c->admin;
}

static int apply(struct db_txn *t, const struct caller *c, const struct image *image, const struct metadata *md)
{
        int r = 0;

        for (size_t i = 0; i < N_MEMBERS && r == 0; i++) {
                const char *value = strbuf_text(&md->value[i]);

                if (md->given[i] && applies(c, image, members[i].field, value))
                        r = image_set_in(t, image, members[i].field, value, md->diag);
        }
        return r;
}

int image_set_metadata(struct model *m, const struct caller *c, uint64_t id, const char *text, struct diag *diag)
{
        CLEANUP(metadata_done) struct metadata md = { .diag = diag };
        struct image image;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = image_load(&t, id, &image);
        if (r == 0)
                r = image_refuse_stranger(image.source, c, diag);
        if (r < 0)
                return r;
        if (image.status != IMAGE_QUEUED)
                return diag_set(diag, -EBUSY,
                                "metadata.json: can only be set while the image is queued, before its upload; %s is %s",
                                image.o.handle, image_status_name(image.status));
        if (!is_whole(text))
                return 1;
        r = parse(&t, text, &md);
        if (r == 0)
                r = apply(&t, c, &image, &md);
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                changes_send(m, OBJECT_IMAGE, id);
        return r;
}
