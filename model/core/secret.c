/* SPDX-License-Identifier: MIT */

#include "model/core/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/parse.h"

#define KEY_SIZE 32
#define KEY_TMP  SECRET_FILE ".tmp"

/* AES-256-GCM: a number used once, the text, and what proves it. */
#define IV_SIZE  12
#define TAG_SIZE 16
#define SEALED   "sealed:"

struct secret {
        uint8_t key[KEY_SIZE];
};

DEFINE_CLEANUP(EVP_CIPHER_CTX *, cleanup_cipher, EVP_CIPHER_CTX_free)

/* ---- the key ---- */

static int read_key(int dir_fd, uint8_t key[KEY_SIZE])
{
        CLEANUP_CLOSE int fd = openat(dir_fd, SECRET_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size != KEY_SIZE)
                return -EUCLEAN;
        return pread_full(fd, key, KEY_SIZE, 0);
}

/* It is there whole, or not. */
static int make_key(int dir_fd, uint8_t key[KEY_SIZE])
{
        CLEANUP_CLOSE int fd = -1;
        int r;

        if (getrandom(key, KEY_SIZE, 0) != KEY_SIZE)
                return -EIO;
        (void)unlinkat(dir_fd, KEY_TMP, 0);
        fd = openat(dir_fd, KEY_TMP, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        r = pwrite_full(fd, key, KEY_SIZE, 0);
        if (r == 0 && (fsync(fd) < 0 || renameat(dir_fd, KEY_TMP, dir_fd, SECRET_FILE) < 0))
                r = -errno;
        return r < 0 ? r : fsync_dir(dir_fd);
}

int secret_open(struct model *m)
{
        struct secret *secret = calloc(1, sizeof(*secret));
        bool made = false;
        int r;

        if (!secret)
                return -ENOMEM;
        r = read_key(m->dir_fd, secret->key);
        if (r == -ENOENT && !m->read_only) {
                r = make_key(m->dir_fd, secret->key);
                made = true;
        }
        if (r < 0) {
                free(secret);
                return r == -ENOENT ? 0 : r;
        }
        m->secret = secret;
        return made;
}

void secret_close(struct model *m)
{
        if (!m->secret)
                return;
        explicit_bzero(m->secret, sizeof(*m->secret));
        free(m->secret);
        m->secret = NULL;
}

/* ---- its uses ---- */

int secret_mac(const struct model *m, const char *purpose, const void *bytes, size_t n, uint8_t ret[SECRET_MAC_SIZE])
{
        uint8_t key[SECRET_MAC_SIZE];

        if (!m->secret)
                return -EKEYREJECTED;
        if (!HMAC(EVP_sha256(), m->secret->key, KEY_SIZE, (const uint8_t *)purpose, strlen(purpose), key, NULL) ||
            !HMAC(EVP_sha256(), key, sizeof(key), bytes, n, ret, NULL))
                return -ENOMEM; /* nothing else can fail */
        explicit_bzero(key, sizeof(key));
        return 0;
}

bool secret_is_sealed(const char *text)
{
        return strncmp(text, SEALED, strlen(SEALED)) == 0;
}

int secret_seal(const struct model *m, const char *text, char *ret, size_t size)
{
        CLEANUP(cleanup_cipher) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
        CLEANUP_FREE uint8_t *bytes = NULL;
        const size_t n = strlen(text);
        uint8_t key[SECRET_MAC_SIZE];
        int len, r;

        if (size < SECRET_SEALED_SIZE(n))
                return -E2BIG;
        bytes = malloc(IV_SIZE + n + TAG_SIZE);
        if (!cipher || !bytes)
                return -ENOMEM;
        r = secret_mac(m, "seal", "", 0, key);
        if (r < 0)
                return r;
        if (getrandom(bytes, IV_SIZE, 0) != IV_SIZE)
                return -EIO;
        if (EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, bytes) != 1 ||
            EVP_EncryptUpdate(cipher, bytes + IV_SIZE, &len, (const uint8_t *)text, (int)n) != 1 ||
            EVP_EncryptFinal_ex(cipher, bytes + IV_SIZE + len, &len) != 1 ||
            EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, bytes + IV_SIZE + n) != 1)
                return -ENOMEM;
        explicit_bzero(key, sizeof(key));
        memcpy(ret, SEALED, sizeof(SEALED));
        put_hex(ret + strlen(SEALED), bytes, IV_SIZE + n + TAG_SIZE);
        return 0;
}

int secret_unseal(const struct model *m, const char *sealed, char *ret, size_t size)
{
        CLEANUP(cleanup_cipher) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
        CLEANUP_FREE uint8_t *bytes = NULL;
        const char *hex = sealed + strlen(SEALED);
        uint8_t key[SECRET_MAC_SIZE];
        size_t digits, n;
        int len, r;

        if (!secret_is_sealed(sealed))
                return -EKEYREJECTED;
        digits = strlen(hex);
        if (digits / 2 < IV_SIZE + TAG_SIZE)
                return -EKEYREJECTED;
        n = digits / 2 - IV_SIZE - TAG_SIZE;
        if (n >= size)
                return -E2BIG;
        bytes = malloc(digits / 2);
        if (!cipher || !bytes)
                return -ENOMEM;
        if (parse_hex(hex, digits, bytes) < 0)
                return -EKEYREJECTED;
        r = secret_mac(m, "seal", "", 0, key);
        if (r < 0)
                return r;
        if (EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, bytes) != 1 ||
            EVP_DecryptUpdate(cipher, (uint8_t *)ret, &len, bytes + IV_SIZE, (int)n) != 1 ||
            EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, bytes + IV_SIZE + n) != 1 ||
            EVP_DecryptFinal_ex(cipher, (uint8_t *)ret + len, &len) != 1)
                r = -EKEYREJECTED;
        explicit_bzero(key, sizeof(key));
        ret[r < 0 ? 0 : n] = '\0';
        return r;
}
