/* SPDX-License-Identifier: MIT */

/*
 * Images as rows: loading, listing, making, removing. A row's handle is unique in its class and region. What an image
 * was made with stays apart from where it is: class is the directory that shows it, source the class that it was
 * made in, and that a restore from the recycle bin brings it back to.
 */

#include "model/image/image.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "blobstore/import/inside.h"
#include "blobstore/import/source.h"
#include "model/core/clock.h"
#include "model/core/ident.h"
#include "model/core/object_row.h"
#include "model/core/quota_row.h"
#include "model/core/region_row.h"
#include "model/image/image_row.h"

#define IMAGE_MODE_PRIVATE 0700
#define IMAGE_MODE_SHOWN   0755

enum { GET, GET_OBJECT, FIND, EACH, INSERT, SET_FOUND, SET_ERROR, ERASE, HINT, FOUND_SYSTEM, FIRST_INSTANCE };

/* Does work on it, or one that makes something of it, go on? */
#define IS_BUSY                                                                                            \
        "(image.status IN ('uploading', 'pending', 'replicating') OR EXISTS (SELECT 1 FROM task "              \
        "WHERE (task.image = image.id OR task.result = image.id) AND task.status IN ('queued', 'running')))"

static const char *const image_sql[] = {
        [GET] = "SELECT " OBJECT_COLUMNS_IMAGE ", ident, region, class, source, status, restore_status, type, "
                "encrypted, " IS_BUSY ", name, error, format, os, platform, platform_version, "
                "architecture, boot_mode, features, project_group, provider, description, labels, "
                "ifnull(deleted, 0), family, lifecycle, protected FROM image WHERE id = ?1",
        [GET_OBJECT] = "SELECT " OBJECT_COLUMNS_IMAGE " FROM image WHERE id = ?1",
        [FIND] = "SELECT " OBJECT_COLUMNS_IMAGE " FROM image WHERE region = ?1 AND class = ?2 AND handle = ?3",
        [EACH] = "SELECT " OBJECT_COLUMNS_IMAGE " FROM image WHERE region = ?1 AND class = ?2 ORDER BY handle",
        [INSERT] = "INSERT INTO image (ident, region, class, source, handle, uid, gid, mode, created, updated, name, "
                   "status, type, encrypted, error, format, os, platform, platform_version, architecture, boot_mode, "
                   "features, project_group, provider, description, labels, family) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
                   "?9, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)",
        [SET_FOUND] = "UPDATE image SET format = ?2, encrypted = ?3, updated = max(?4, updated + 1) WHERE id = ?1",
        [SET_ERROR] = "UPDATE image SET error = ?2, updated = max(?3, updated + 1) WHERE id = ?1",
        [ERASE] = "DELETE FROM image WHERE id = ?1",
        [FOUND_SYSTEM] = "UPDATE image SET os = iif(os = '', ?2, os), platform = iif(platform = '', ?3, platform), "
                         "platform_version = iif(platform_version = '' AND platform IN ('', ?3), ?4, platform_version), "
                         "architecture = iif(architecture = '', ?5, architecture), "
                         "boot_mode = iif(boot_mode = '', ?6, boot_mode) WHERE id = ?1",
        [HINT] = "UPDATE image SET os = iif(os = '', ?2, os), platform = iif(platform = '', ?3, platform), "
                 "description = iif(description = '', ?4, description) WHERE id = ?1",
        [FIRST_INSTANCE] = "SELECT " OBJECT_COLUMNS("instance") ", instance.image IS NOT image.id FROM image "
                           "JOIN instance ON " INSTANCE_HAS_IMAGE " "
                           "WHERE image.id = ?1 AND " IMAGE_OPENS_TO_INSTANCE " ORDER BY instance.handle LIMIT 1",
};
const struct db_statements image_statements = DB_STATEMENTS(image_sql);

/* ---- words ---- */

static const char *const class_names[CLASS_COUNT] = {
        [CLASS_PRIVATE] = "private",
        [CLASS_PUBLIC] = "public",
        [CLASS_MARKETPLACE] = "marketplace",
        [CLASS_ISO] = "iso",
        [CLASS_RECYCLE] = "recycle",
};

static const char *const status_names[IMAGE_STATUS_COUNT] = {
        [IMAGE_QUEUED] = "queued",
        [IMAGE_UPLOADING] = "uploading",
        [IMAGE_PENDING] = "pending",
        [IMAGE_REPLICATING] = "replicating",
        [IMAGE_AVAILABLE] = "available",
        [IMAGE_ERROR] = "error",
        [IMAGE_DELETING] = "deleting",
        [IMAGE_DELETED] = "deleted",
};

static const char *const type_names[] = {
        [TYPE_LOCAL] = "local",
        [TYPE_CLOUD] = "cloud",
        [TYPE_BOTH] = "both",
};

static const char *const class_phrases[CLASS_COUNT] = {
        [CLASS_PRIVATE] = "a private image",
        [CLASS_PUBLIC] = "a public image",
        [CLASS_MARKETPLACE] = "a marketplace image",
        [CLASS_ISO] = "an ISO image",
        [CLASS_RECYCLE] = "a deleted image",
};

static const char *const type_phrases[] = {
        [TYPE_LOCAL] = "a local image",
        [TYPE_CLOUD] = "a cloud image",
        [TYPE_BOTH] = "an image of both types",
};

const char *image_class_phrase(enum image_class c)
{
        return class_phrases[c];
}

const char *image_type_phrase(enum image_type t)
{
        return type_phrases[t];
}

const char *image_class_name(enum image_class c)
{
        return class_names[c];
}

const char *image_status_name(enum image_status s)
{
        return status_names[s];
}

const char *image_type_name(enum image_type t)
{
        return type_names[t];
}

/* The schema's constraints allow no other words; FALLBACK is for the empty one. */
static unsigned find_word(const char *const *words, unsigned n, const char *word, unsigned fallback)
{
        for (unsigned i = 0; i < n; i++) {
                if (strcmp(words[i], word) == 0)
                        return i;
        }
        return fallback;
}

enum image_class image_class_of_word(const char *word)
{
        return find_word(class_names, CLASS_COUNT, word, CLASS_PRIVATE);
}

/* ---- loading ---- */

static int fill_image(void *ctx, const struct db_row *row)
{
        struct image *image = ctx;
        int col = OBJECT_N_COLUMNS;

#define TEXT(field) db_row_text(row, col++, image->field, sizeof(image->field))
        object_fill(&image->o, row);
        TEXT(ident);
        image->region = (uint64_t)db_row_int(row, col++);
        image->class = image_class_of_word(db_row_str(row, col++));
        image->source = image_class_of_word(db_row_str(row, col++));
        image->status = find_word(status_names, IMAGE_STATUS_COUNT, db_row_str(row, col++), IMAGE_ERROR);
        image->restore = find_word(status_names, IMAGE_STATUS_COUNT, db_row_str(row, col++), IMAGE_AVAILABLE);
        image->type = find_word(type_names, TYPE_BOTH + 1, db_row_str(row, col++), TYPE_CLOUD);
        image->encrypted = db_row_int(row, col++) != 0;
        image->busy = db_row_int(row, col++) != 0;
        TEXT(name);
        TEXT(error);
        TEXT(format);
        TEXT(os);
        TEXT(platform);
        TEXT(platform_version);
        TEXT(architecture);
        TEXT(boot_mode);
        TEXT(features);
        TEXT(project_group);
        TEXT(provider);
        TEXT(description);
        TEXT(labels);
        image->deleted_us = db_row_int(row, col++);
        TEXT(family);
        TEXT(lifecycle);
        image->protected = db_row_int(row, col++) != 0;
#undef TEXT
        return 0;
}

int image_load(struct db_txn *t, uint64_t id, struct image *ret)
{
        return db_one(t, image_sql[GET], fill_image, ret, DB_INT(id));
}

int image_load_with_store(struct db_txn *t, uint64_t id, struct image *ret, uint64_t *ret_store)
{
        struct region region;
        int r;

        r = image_load(t, id, ret);
        if (r == 0)
                r = region_load(t, ret->region, &region);
        if (r == 0)
                *ret_store = region.store;
        return r;
}

int image_get(struct model *m, uint64_t id, struct image *ret)
{
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = image_load(&t, id, ret);
                if (r < 0)
                        return r;
        }
        if (m->image_hooks)
                m->image_hooks->overlay(m, ret);
        return 0;
}

int image_get_object(struct model *m, uint64_t id, struct object *ret)
{
        return object_get(m, image_sql[GET_OBJECT], id, ret);
}

static int load_by_handle(struct db_txn *t, uint64_t region, enum image_class class, const char *handle,
                          struct object *ret)
{
        return db_one(t, image_sql[FIND], object_load_row, ret, DB_INT(region), DB_TEXT(class_names[class]),
                      DB_TEXT(handle));
}

int image_find(struct model *m, uint64_t region, enum image_class class, const char *handle, struct object *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : load_by_handle(&t, region, class, handle, ret);
}

int image_each(struct model *m, uint64_t region, enum image_class class, object_fn *fn, void *ctx)
{
        struct object_walk walk = { .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, image_sql[EACH], object_row, &walk, DB_INT(region), DB_TEXT(class_names[class]));
}

struct class_walk {
        image_fn *fn;
        void *ctx;
};

static int class_row(void *ctx, const struct db_row *row)
{
        const struct class_walk *walk = ctx;
        struct object o;

        object_fill(&o, row);
        return walk->fn(walk->ctx, &o, image_class_of_word(db_row_str(row, OBJECT_N_COLUMNS)));
}

int image_each_of(struct model *m, const char *sql, uint64_t arg, image_fn *fn, void *ctx)
{
        struct class_walk walk = { .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, sql, class_row, &walk, DB_INT(arg));
}

/* ---- rows ---- */

struct place {
        struct db_txn *t;
        uint64_t region;
        enum image_class class;
};

static int is_taken(void *ctx, const char *handle)
{
        const struct place *p = ctx;
        struct object o;
        int r;

        r = load_by_handle(p->t, p->region, p->class, handle, &o);
        return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int image_free_handle(struct db_txn *t, uint64_t region, enum image_class class, const char *wanted, char *buf)
{
        struct place place = { .t = t, .region = region, .class = class };

        return object_free_handle(wanted, is_taken, &place, buf);
}

int image_insert(struct db_txn *t, struct image *image, bool suffix, struct diag *diag)
{
        int64_t now = clock_now_us();
        char ident[IDENT_MAX];
        int r;

        assert(image->class != CLASS_RECYCLE);
        r = ident_new("img", ident, sizeof(ident));
        if (r < 0)
                return r;
        if (suffix) {
                r = image_free_handle(t, image->region, image->class, image->o.handle, image->o.handle);
                if (r < 0)
                        return r;
        }

        r = db_run(t, image_sql[INSERT], DB_TEXT(ident), DB_INT(image->region), DB_TEXT(class_names[image->class]),
                   DB_TEXT(class_names[image->source]), DB_TEXT(image->o.handle), DB_INT(image->o.uid),
                   DB_INT(image->o.gid), DB_INT(image->o.mode), DB_INT(now), DB_TEXT(image->name),
                   DB_TEXT(status_names[image->status]), DB_TEXT(type_names[image->type]), DB_INT(image->encrypted),
                   DB_TEXT(image->error), DB_TEXT(image->format), DB_TEXT(image->os), DB_TEXT(image->platform),
                   DB_TEXT(image->platform_version), DB_TEXT(image->architecture), DB_TEXT(image->boot_mode),
                   DB_TEXT(image->features), DB_TEXT(image->project_group), DB_TEXT(image->provider),
                   DB_TEXT(image->description), DB_TEXT(image->labels), DB_TEXT(image->family));
        if (r == -EEXIST)
                return image_refuse_taken(image->class, image->o.handle, diag);
        if (r < 0)
                return r;
        image->o.id = db_last_id(t);
        image->o.created_us = now;
        image->o.updated_us = now;
        memcpy(image->ident, ident, sizeof(ident));
        return 0;
}

int image_refuse_taken(enum image_class class, const char *handle, struct diag *diag)
{
        return object_refuse_taken(class_names[class], handle, "an image", diag);
}

int image_set_found(struct db_txn *t, uint64_t id, const char *format, bool encrypted)
{
        return db_run_one(t, image_sql[SET_FOUND], DB_INT(id), DB_TEXT(format), DB_INT(encrypted),
                          DB_INT(clock_now_us()));
}

int image_set_system(struct db_txn *t, uint64_t id, const struct inside_system *system)
{
        return db_run_one(t, image_sql[FOUND_SYSTEM], DB_INT(id), DB_TEXT(system->os), DB_TEXT(system->platform),
                          DB_TEXT(system->platform_version), DB_TEXT(system->architecture),
                          DB_TEXT(system->boot_mode));
}

int image_set_hints(struct db_txn *t, uint64_t id, const char *os, const char *platform, const char *description)
{
        return db_run_one(t, image_sql[HINT], DB_INT(id), DB_TEXT(os), DB_TEXT(platform),
                          DB_TEXT(description));
}

int image_set_error(struct db_txn *t, uint64_t id, const char *sentence)
{
        return db_run_one(t, image_sql[SET_ERROR], DB_INT(id), DB_TEXT(sentence), DB_INT(clock_now_us()));
}

int image_erase(struct db_txn *t, uint64_t id)
{
        return db_run_one(t, image_sql[ERASE], DB_INT(id));
}

/* ---- making ---- */

int image_refuse_bin(enum image_class class, struct diag *diag)
{
        if (class == CLASS_RECYCLE)
                return diag_set(diag, -EPERM, "recycle: images come here when they are deleted; make them in private");
        return 0;
}

int image_refuse_stranger(enum image_class class, const struct caller *c, struct diag *diag)
{
        if (class == CLASS_PRIVATE || class == CLASS_ISO || c->admin)
                return 0;
        return diag_set(diag, -EPERM, "%s: only the administrator changes what is in it", class_names[class]);
}

bool image_counts(enum image_class class, uid_t uid)
{
        return class == CLASS_PRIVATE || (class == CLASS_ISO && uid != 0);
}

void image_begin(struct image *image, const struct caller *c, uint64_t region, enum image_class class, const char *handle)
{
        const bool private = class == CLASS_PRIVATE || (class == CLASS_ISO && !c->admin);

        *image = (struct image){
                .o = { .uid = c->uid, .gid = c->gid, .mode = private ? IMAGE_MODE_PRIVATE : IMAGE_MODE_SHOWN },
                .region = region,
                .class = class,
                .source = class,
                .status = IMAGE_QUEUED,
                .type = class == CLASS_PRIVATE ? TYPE_CLOUD : TYPE_BOTH,
        };
        (void)snprintf(image->o.handle, sizeof(image->o.handle), "%s", handle);
        (void)snprintf(image->name, sizeof(image->name), "%s", handle);
        (void)snprintf(image->format, sizeof(image->format), "%s", image_format_name(IMAGE_FORMAT_AUTO));
}

/* Told before what else may be in the way: deleting another image would not help. */
static int refuse_taken_now(struct db_txn *t, const struct image *image, struct diag *diag)
{
        struct object o;
        int r;

        r = load_by_handle(t, image->region, image->class, image->o.handle, &o);
        if (r == 0)
                return image_refuse_taken(image->class, image->o.handle, diag);
        return r == -ENOENT ? 0 : r;
}

/*
 * For a file, its bytes must have a place to go. And nobody waits for the disk: the directory is kept meanwhile, and what a
 * power cut takes of it is an upload that it has cut off.
 */
static int create(struct model *m, const struct caller *c, struct image *image, bool for_file, struct diag *diag,
                  uint64_t *ret)
{
        struct region region;
        DB_TXN(t);
        int r;

        r = image_refuse_bin(image->class, diag);
        if (r == 0)
                r = image_refuse_stranger(image->class, c, diag);
        if (r == 0)
                r = object_check_name(image->o.handle, "image", diag);
        if (r == 0)
                r = for_file ? db_begin_lazy(m->db, &t) : db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = region_load(&t, image->region, &region);
        if (r == 0)
                r = refuse_taken_now(&t, image, diag);
        if (r == 0 && for_file)
                r = region_refuse_offline(m, &t, image->region, diag);
        if (r == 0 && image_counts(image->class, image->o.uid))
                r = quota_check(&t, image->region, image->o.uid, LIMIT_PRIVATE_IMAGES, 1, diag);
        if (r == 0)
                r = image_insert(&t, image, false, diag);
        if (r == 0)
                r = db_commit(&t);
        if (r < 0)
                return r;
        changes_send(m, OBJECT_IMAGE, image->o.id);
        *ret = image->o.id;
        return 0;
}

int image_create(struct model *m, const struct caller *c, uint64_t region, enum image_class class, const char *handle,
                 struct diag *diag, uint64_t *ret)
{
        struct image image;
        int r;

        r = object_check_name(handle, "image", diag);
        if (r < 0)
                return r;
        image_begin(&image, c, region, class, handle);
        return create(m, c, &image, false, diag, ret);
}

/*
 * What the ending of a file's name says. Cloud images named .img are as often qcow2 as raw, so that the content
 * decides. An ISO has its own class, in which nothing else makes sense.
 */
static const struct ending {
        const char *text;
        enum image_format format;
        bool compressed; /* also with the ending of a compressor */
} endings[] = {
        { ".qcow2", IMAGE_FORMAT_QCOW2, true },
        { ".raw", IMAGE_FORMAT_RAW, true },
        { ".img", IMAGE_FORMAT_AUTO, true },
        { ".vmdk", IMAGE_FORMAT_VMDK, false },
        { ".vhd", IMAGE_FORMAT_VHD, false },
        { ".vhdx", IMAGE_FORMAT_VHDX, false },
        { ".vdi", IMAGE_FORMAT_VDI, false },
        { ".ova", IMAGE_FORMAT_OVA, false },
        { ".iso", IMAGE_FORMAT_ISO, false },
};

static const char *const compressions[] = { ".gz", ".xz", ".zst" };

static bool ends_with(const char *text, size_t len, const char *ending)
{
        size_t n = strlen(ending);

        return len > n && strncasecmp(text + len - n, ending, n) == 0;
}

/* Gives the format of a file, and the length of its name without the ending. */
static int find_ending(const char *filename, enum image_class class, enum image_format *ret, size_t *ret_stem,
                       struct diag *diag)
{
        size_t len = strlen(filename);
        bool compressed = false;

        for (size_t i = 0; i < sizeof(compressions) / sizeof(compressions[0]); i++) {
                if (ends_with(filename, len, compressions[i])) {
                        len -= strlen(compressions[i]);
                        compressed = true;
                        break;
                }
        }
        for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
                const struct ending *e = &endings[i];

                if (!ends_with(filename, len, e->text) || (compressed && !e->compressed))
                        continue;
                if ((e->format == IMAGE_FORMAT_ISO) != (class == CLASS_ISO))
                        return diag_set(diag, -EINVAL, "%s: ISO files go into iso/, and only those", filename);
                /* What is compressed is not taken for the disk's own bytes. */
                *ret = compressed && e->format == IMAGE_FORMAT_RAW ? IMAGE_FORMAT_AUTO : e->format;
                *ret_stem = len - strlen(e->text);
                return 0;
        }
        return diag_set(diag, -EINVAL,
                        "%s: a file put here must end in .qcow2, .raw, .img (these also with .gz, .xz or .zst), .vmdk, "
                        ".vhd, .vhdx, .vdi or .ova (.iso in iso/); other formats become one with: qemu-img convert -O "
                        "qcow2",
                        filename);
}

int image_create_for_file(struct model *m, const struct caller *c, uint64_t region, enum image_class class,
                          const char *filename, struct diag *diag, uint64_t *ret)
{
        enum image_format format = IMAGE_FORMAT_AUTO;
        char handle[NAME_LEN_MAX + 1];
        struct image image;
        size_t stem = 0;
        int r;

        if (!text_is_clean(filename, strlen(filename)) || strlen(filename) > NAME_MAX)
                return object_check_name("", "image", diag);
        r = image_refuse_bin(class, diag);
        if (r == 0)
                r = find_ending(filename, class, &format, &stem, diag);
        if (r < 0)
                return r;

        if (stem > NAME_LEN_MAX)
                return object_check_name("", "image", diag);
        (void)snprintf(handle, sizeof(handle), "%.*s", (int)stem, filename);
        image_begin(&image, c, region, class, handle);
        (void)snprintf(image.format, sizeof(image.format), "%s", image_format_name(format));
        return create(m, c, &image, true, diag, ret);
}

int image_find_for_file(struct model *m, uint64_t region, enum image_class class, const char *filename, uint64_t *ret)
{
        enum image_format format = IMAGE_FORMAT_AUTO;
        char handle[NAME_LEN_MAX + 1];
        struct object o;
        size_t stem = 0;
        int r;

        r = find_ending(filename, class, &format, &stem, NULL);
        if (r == 0 && stem > NAME_LEN_MAX)
                r = -ENOENT;
        if (r < 0)
                return r;
        (void)snprintf(handle, sizeof(handle), "%.*s", (int)stem, filename);
        r = image_find(m, region, class, handle, &o);
        if (r == 0)
                *ret = o.id;
        return r;
}

void image_tell_gone(struct model *m, uint64_t image, uint64_t region, const char *ident)
{
        if (m->image_hooks)
                m->image_hooks->gone(m, image, region, ident);
}

void image_tell_recycled(struct model *m, uint64_t image, uint64_t region, const char *ident)
{
        if (m->image_hooks)
                m->image_hooks->recycled(m, image, region, ident);
}

struct user_of_image {
        struct object *instance;
        bool *in_drive;
};

static int load_user(void *ctx, const struct db_row *row)
{
        const struct user_of_image *user = ctx;

        object_fill(user->instance, row);
        *user->in_drive = db_row_int(row, OBJECT_N_COLUMNS) != 0;
        return 0;
}

int image_load_instance(struct db_txn *t, uint64_t image, struct object *ret, bool *ret_in_drive)
{
        struct user_of_image user = { .instance = ret, .in_drive = ret_in_drive };

        return db_one(t, image_sql[FIRST_INSTANCE], load_user, &user, DB_INT(image));
}
