/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_PARSE_H
#define BLOBSTORE_BASE_PARSE_H

/*
 * Strict parsing of what people write: the whole string or nothing, no signs,
 * no leading blanks, no locale. All return 0 or a negative errno and set *ret
 * only on success.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes in a name; the contract's limit, which also fits every file system's NAME_MAX with a suffix. */
#define NAME_LEN_MAX 128

/* Decimal digits only. -EINVAL, -ERANGE. */
int parse_u64(const char *text, uint64_t *ret);

/* Decimal digits with an optional K, M, G or T (powers of 1024). -EINVAL, -ERANGE. */
int parse_size(const char *text, uint64_t *ret);

/* "yes" or "no". -EINVAL. */
int parse_bool(const char *text, bool *ret);

/* N bytes of hex into N / 2 bytes. -EINVAL. */
int parse_hex(const char *text, size_t n, uint8_t *ret);

/* Is TEXT (LEN bytes) well-formed UTF-8 (no overlong forms, no surrogates) without control characters (C0, DEL, C1)? */
bool text_is_clean(const char *text, size_t len);

/* As text_is_clean(), but newlines and tabs are fine: for descriptions. */
bool text_is_clean_multiline(const char *text, size_t len);

/* Puts question marks in the place of what text_is_clean() refuses. */
void text_make_clean(char *text);

/* How much of TEXT fits into MAX bytes, with characters left whole. */
size_t text_fit(const char *text, size_t max);

/* 1 to 128 bytes of clean UTF-8, no '/', no leading '.'. */
bool name_is_valid(const char *name);

#endif
