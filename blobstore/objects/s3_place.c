/* SPDX-License-Identifier: MIT */

#include "blobstore/objects/s3_place.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/parse.h"

#define SCHEME   "s3://"
#define REGION   "us-east-1"
#define TEXT_MAX 4096
#define FILE_MAX ((size_t)64 << 10)

/* All that need not be encoded in a path, and the slash: what else there is, is a person's mistake more often than not. */
static bool is_plain(const char *text)
{
        for (; *text; text++) {
                if (!isalnum((unsigned char)*text) && !strchr("-._~/", *text))
                        return false;
        }
        return true;
}

/* Letters in small, since it may be part of a host's name. */
static bool is_bucket(const char *name)
{
        const size_t n = strlen(name);

        if (n < 3 || n > S3_BUCKET_MAX || !isalnum((unsigned char)name[0]) || !isalnum((unsigned char)name[n - 1]))
                return false;
        for (; *name; name++) {
                if (!islower((unsigned char)*name) && !isdigit((unsigned char)*name) && *name != '-' && *name != '.')
                        return false;
        }
        return true;
}

static int refuse(struct strbuf *why, const char *what)
{
        strbuf_add(why, what);
        return -EINVAL;
}

static int take(char *buf, size_t size, const char *value)
{
        return snprintf(buf, size, "%s", value) < (int)size ? 0 : -ENAMETOOLONG;
}

static int take_endpoint(const char *value, struct s3_place *p, struct strbuf *why)
{
        const char *host = strncmp(value, "https://", 8) == 0 ? value + 8 : strncmp(value, "http://", 7) == 0 ? value + 7 : "";

        /* No login, no path, no query: what comes after the host would be lost, or end up in logs. */
        if (!*host || strpbrk(host, "/@?#\\") || take(p->endpoint, sizeof(p->endpoint), value) < 0)
                return refuse(why, "endpoint= wants https://HOST, http://HOST, or one of these with :PORT");
        return 0;
}

static int take_word(char *word, struct s3_place *p, struct strbuf *why)
{
        char *value = strchr(word, '=');

        if (!value)
                return refuse(why, "after s3://BUCKET/PREFIX come endpoint=, region=, path-style= and profile= only");
        *value++ = '\0';
        if (strcmp(word, "endpoint") == 0)
                return take_endpoint(value, p, why);
        if (strcmp(word, "path-style") == 0)
                return parse_bool(value, &p->path_style) == 0 ? 0 : refuse(why, "path-style= wants yes or no");
        if (strcmp(word, "region") == 0 && *value && is_plain(value) && take(p->region, sizeof(p->region), value) == 0)
                return 0;
        if (strcmp(word, "profile") == 0 && *value && is_plain(value) && take(p->profile, sizeof(p->profile), value) == 0)
                return 0;
        return refuse(why, strcmp(word, "region") == 0 || strcmp(word, "profile") == 0
                                   ? "region= and profile= want a name"
                                   : "after s3://BUCKET/PREFIX come endpoint=, region=, path-style= and profile= only");
}

static int take_address(char *address, struct s3_place *p, struct strbuf *why)
{
        char *prefix = strchrnul(address, '/');
        size_t n;

        if (*prefix)
                *prefix++ = '\0';
        n = strlen(prefix);
        while (n > 0 && prefix[n - 1] == '/')
                prefix[--n] = '\0';
        if (!is_bucket(address))
                return refuse(why, "a bucket's name has 3 to 63 small letters, digits, hyphens and dots");
        if (!is_plain(prefix) || strstr(prefix, "//") || prefix[0] == '/' || n + 1 > S3_PREFIX_MAX)
                return refuse(why, "the prefix has letters, digits and -._~ between single slashes, at most 511 of them");
        (void)snprintf(p->bucket, sizeof(p->bucket), "%s", address);
        (void)snprintf(p->prefix, sizeof(p->prefix), "%s%s", prefix, n > 0 ? "/" : "");
        return 0;
}

int s3_place_print(const struct s3_place *p, char *buf, size_t size)
{
        const bool region = strcmp(p->region, REGION) != 0;
        const size_t prefix = strlen(p->prefix);
        int n;

        n = snprintf(buf, size, SCHEME "%s%s%.*s endpoint=%s%s%s%s%s%s", p->bucket, prefix ? "/" : "",
                     (int)(prefix ? prefix - 1 : 0), p->prefix, p->endpoint, region ? " region=" : "", region ? p->region : "",
                     p->path_style ? "" : " path-style=no", p->profile[0] ? " profile=" : "", p->profile);
        return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int s3_place_parse(const char *text, struct s3_place *ret, struct strbuf *why)
{
        struct s3_place p = { .region = REGION, .path_style = true };
        char copy[TEXT_MAX], *rest = copy, *word;
        int r = -EINVAL;

        if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy) || strncmp(copy, SCHEME, strlen(SCHEME)) != 0)
                return refuse(why, "write s3://BUCKET/PREFIX endpoint=https://HOST");
        for (bool first = true; (word = strsep(&rest, " ")); first = false) {
                if (!*word)
                        continue;
                r = first ? take_address(word + strlen(SCHEME), &p, why) : take_word(word, &p, why);
                if (r < 0)
                        return r;
        }
        if (!p.endpoint[0])
                return refuse(why, "endpoint= is missing: which server has the bucket");
        *ret = p;
        return 0;
}

/* ---- keys ---- */

static const struct {
        const char *in_environment, *in_file;
        size_t at, size;
} key_names[] = {
        { "AWS_ACCESS_KEY_ID", "aws_access_key_id", offsetof(struct s3_keys, id), S3_NAME_MAX },
        { "AWS_SECRET_ACCESS_KEY", "aws_secret_access_key", offsetof(struct s3_keys, secret), S3_KEY_MAX },
        { "AWS_SESSION_TOKEN", "aws_session_token", offsetof(struct s3_keys, token), S3_KEY_MAX },
};
#define KEY_NAMES (sizeof(key_names) / sizeof(key_names[0]))

/* A line break in one would be another header. */
static int take_key(struct s3_keys *keys, size_t i, const char *value)
{
        if (!text_is_clean(value, strlen(value)))
                return -EINVAL;
        return take((char *)keys + key_names[i].at, key_names[i].size, value);
}

static int from_environment(struct s3_keys *keys)
{
        int r = 0;

        if (!getenv(key_names[0].in_environment))
                return 0;
        for (size_t i = 0; r == 0 && i < KEY_NAMES; i++)
                r = take_key(keys, i, getenv(key_names[i].in_environment) ?: "");
        return r;
}

static char *trim(char *text)
{
        size_t n;

        text += strspn(text, " \t\r");
        n = strlen(text);
        while (n > 0 && strchr(" \t\r", text[n - 1]))
                text[--n] = '\0';
        return text;
}

static int from_text(char *text, const char *profile, struct s3_keys *keys)
{
        bool ours = false;
        char *line;
        int r = 0;

        while (r == 0 && (line = strsep(&text, "\n"))) {
                char *value, *name = trim(line);

                if (name[0] == '[') {
                        name[strcspn(name, "]")] = '\0';
                        ours = strcmp(trim(name + 1), profile) == 0;
                        continue;
                }
                value = strchr(name, '=');
                if (!ours || !value || name[0] == '#' || name[0] == ';')
                        continue;
                *value++ = '\0';
                name = trim(name);
                for (size_t i = 0; r == 0 && i < KEY_NAMES; i++) {
                        if (strcmp(name, key_names[i].in_file) == 0)
                                r = take_key(keys, i, trim(value));
                }
        }
        return r;
}

static int from_file(const char *path, const char *profile, struct s3_keys *keys)
{
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        CLEANUP_FREE char *text = calloc(1, FILE_MAX + 1);
        ssize_t n;
        int r;

        if (fd < 0)
                return -errno;
        if (!text)
                return -ENOMEM;
        n = pread_full(fd, text, FILE_MAX + 1, 0);
        if (n < 0)
                return (int)n;
        if ((size_t)n > FILE_MAX)
                return -EFBIG;
        text[n] = '\0';
        r = from_text(text, profile, keys);
        explicit_bzero(text, FILE_MAX + 1);
        return r;
}

int s3_keys_find(const char *profile, struct s3_keys *ret, struct strbuf *why)
{
        const char *file = getenv("AWS_SHARED_CREDENTIALS_FILE"), *home = getenv("HOME");
        struct s3_keys keys = { 0 };
        char path[PATH_MAX];
        int r = 0;

        if (!profile[0])
                r = from_environment(&keys);
        if (r == 0 && !keys.id[0]) {
                (void)snprintf(path, sizeof(path), "%s%s", file ?: home ?: "", file ? "" : "/.aws/credentials");
                r = from_file(path, profile[0] ? profile : getenv("AWS_PROFILE") ?: "default", &keys);
        }
        if (r == 0 && (!keys.id[0] || !keys.secret[0]))
                r = -ENOENT;
        if (r < 0)
                strbuf_addf(why, "no keys for the bucket, neither in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor in the "
                                 "credentials file: %s", strerror(-r));
        else
                *ret = keys;
        explicit_bzero(&keys, sizeof(keys));
        return r;
}
