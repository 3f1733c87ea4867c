/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_FETCH_H
#define MODEL_INTAKE_FETCH_H

/*
 * Images that are fetched from elsewhere. While a file comes, its image is uploading; then it is imported as if it had
 * been uploaded. A fetch that was cut off goes on from the bytes that are there, as long as the server has the same
 * file.
 */

#include "model/core/object.h"

/*
 * Accepts "URL" or "URL SUM" (SUM: sha256=…, sha512=…, md5=…, xxh128=…) for an image that is queued, as written to import-url;
 * and where an import from an address has failed, likewise, or "again" for the same one. -EINVAL, -EBUSY, -EDQUOT,
 * -EPERM, -ENOENT; -EOPNOTSUPP in a build without libcurl. No sentence holds a password.
 */
int image_fetch(struct model *m, const struct caller *c, uint64_t image, const char *text, struct diag *diag);

/* The address that an image is being fetched from, or was not, as far as it may be shown; "" where there is none. */
#define FETCH_SHOWN_MAX 2048
int image_get_fetch(struct model *m, uint64_t image, char *buf, size_t size);

#endif
