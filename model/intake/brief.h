/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_BRIEF_H
#define MODEL_INTAKE_BRIEF_H

/*
 * Images that nothing ever came to: those that the short form made for a file which was closed empty go some seconds
 * later, unless it is opened again (touch, or a tool that makes a file first and opens it for its bytes then); what was
 * made to be filled and has stood queued for a day goes, too.
 *
 * The first are known while the program runs; what is left of them after that is queued as any image is.
 */

#include <stdbool.h>
#include <stdint.h>

struct model;
struct briefs;

int briefs_new(struct briefs **ret);
void briefs_free(struct briefs *b); /* accepts NULL */

/* The rest is for any thread. The short form made the image, and is going to open its upload. -ENOMEM */
int brief_add(struct model *m, uint64_t image);
/* Its upload is open. */
void brief_opened(struct briefs *b, uint64_t image);
/* It was closed, and is looked at again in a while where it was EMPTY; else it is an image as any other. */
void brief_closed(struct model *m, uint64_t image, bool empty);
/* There is no such image any more. */
void brief_forget(struct briefs *b, uint64_t image);

/* Removes those whose time is up, for the upkeep; when to call it again, 0: there is no need. */
int64_t briefs_expire(struct model *m);

#endif
