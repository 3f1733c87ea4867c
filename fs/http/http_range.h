/* SPDX-License-Identifier: MIT */
#ifndef FS_HTTP_HTTP_RANGE_H
#define FS_HTTP_HTTP_RANGE_H

/* What a client says about the part of a file that it wants, and about the file that it has (RFC 9110). */

#include <stdbool.h>
#include <stdint.h>

struct http_range {
        uint64_t begin, len;
};

/*
 * Range, of a file of SIZE bytes. 1: *ret is the one range that is wanted; 0: there is none that is understood, or
 * there are several: the whole file is then a right answer; -ERANGE: nothing of the file lies in it.
 */
int http_range_parse(const char *text, uint64_t size, struct http_range *ret);

/* Does a list, as If-Match and If-None-Match have it, name TAG (with its quotes)? */
bool http_tag_matches(const char *list, const char *tag);

#endif
