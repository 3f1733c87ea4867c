/* SPDX-License-Identifier: MIT */

#include "fs/tree/image_json.h"

#include "fs/tree/dir.h"

static void json_member(struct strbuf *out, const char *key, const char *value)
{
        strbuf_addf(out, ",\n  \"%s\": ", key);
        strbuf_add_json(out, value);
}

static void json_time(struct strbuf *out, const char *key, int64_t us)
{
        strbuf_addf(out, ",\n  \"%s\": \"", key);
        strbuf_add_time(out, us);
        strbuf_add(out, "\"");
}

/* "a b" → ["a", "b"], and key=value lines → {"key": "value"}. */
static void json_words(struct strbuf *out, const char *words)
{
        strbuf_add(out, ",\n  \"features\": [");
        for (const char *sep = ""; *words; sep = ", ") {
                size_t n = strcspn(words, " ");

                strbuf_addf(out, "%s\"%.*s\"", sep, (int)n, words);
                words += n + strspn(words + n, " ");
        }
        strbuf_add(out, "]");
}

static int json_labels(struct strbuf *out, const char *labels)
{
        CLEANUP_FREE char *copy = strdup(labels);
        char *rest = copy, *line, *equals;
        const char *sep = "";

        if (!copy)
                return -ENOMEM;
        strbuf_add(out, ",\n  \"labels\": {");
        while ((line = strsep(&rest, "\n"))) {
                equals = strchr(line, '=');
                if (!equals)
                        continue;
                *equals = '\0';
                strbuf_add(out, sep);
                strbuf_add_json(out, line);
                strbuf_add(out, ": ");
                strbuf_add_json(out, equals + 1);
                sep = ", ";
        }
        strbuf_add(out, "}");
        return 0;
}

struct json_disks {
        struct strbuf *out;
        const char *sep;
};

static int json_disk(void *ctx, const struct image_disk *d)
{
        struct json_disks *v = ctx;
        struct strbuf *out = v->out;

        if (!d->has_blob)
                return 0;
        strbuf_addf(out, "%s\n    {\"device\": \"/dev/%s\", \"role\": \"%s\", \"size\": %llu, \"data\": %llu", v->sep,
                    d->device, d->system ? "system" : "data", (unsigned long long)d->blob.size_bytes,
                    (unsigned long long)d->blob.data_bytes);
        strbuf_add(out, ", \"snapshot\": ");
        strbuf_add_json(out, d->snapshot ? d->snapshot_ident : NULL);
        if (blob_has_checksum(&d->blob)) {
                strbuf_add(out, ", \"xxh128\": \"");
                for (size_t i = 0; i < BLOB_CHECKSUM_SIZE; i++)
                        strbuf_addf(out, "%02x", d->blob.checksum.bytes[i]);
                strbuf_add(out, "\"");
        }
        strbuf_add(out, "}");
        v->sep = ",";
        return 0;
}

int image_json(struct req *rq, const struct image *i, const char *source, struct strbuf *out)
{
        struct json_disks v = { .out = out, .sep = "" };
        char owner[NAME_LEN_MAX + 1];
        int r;

        user_name_soon(rq->fs->model, i->o.uid, owner, sizeof(owner));
        strbuf_add(out, "{\n  \"id\": ");
        strbuf_add_json(out, i->ident);
        json_member(out, "name", i->name);
        json_member(out, "description", i->description);
        json_member(out, "status", image_status_name(i->status));
        json_member(out, "error", i->error);
        json_member(out, "type", image_type_name(i->type));
        json_member(out, "source", source);
        json_member(out, "owner", owner);
        json_time(out, "created", i->o.created_us);
        json_time(out, "updated", i->o.updated_us);
        strbuf_addf(out, ",\n  \"size\": %llu", (unsigned long long)i->o.size_bytes);
        json_member(out, "format", i->format);
        json_member(out, "os", i->os);
        json_member(out, "platform", i->platform);
        json_member(out, "platform-version", i->platform_version);
        json_member(out, "architecture", i->architecture);
        json_member(out, "boot-mode", i->boot_mode);
        json_words(out, i->features);
        r = json_labels(out, i->labels);
        if (r < 0)
                return r;
        json_member(out, "project-group", i->project_group);
        strbuf_addf(out, ",\n  \"encrypted\": %s", i->encrypted ? "true" : "false");
        json_member(out, "provider", i->provider);
        json_member(out, "family", i->family);
        strbuf_addf(out, ",\n  \"protected\": %s", i->protected ? "true" : "false");
        json_member(out, "lifecycle", i->lifecycle);
        strbuf_add(out, ",\n  \"disks\": [");
        r = image_disk_each(rq->fs->model, i->o.id, json_disk, &v);
        strbuf_add(out, "\n  ]\n}\n");
        return r;
}
