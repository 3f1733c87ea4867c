/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_LISTING_CACHE_H
#define MODEL_IMAGE_LISTING_CACHE_H

/* The lists that a model keeps. Private to model/. */

struct listings;

int listings_new(struct listings **ret);
void listings_free(struct listings *ls); /* accepts NULL */

#endif
