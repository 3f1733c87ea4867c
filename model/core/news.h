/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_NEWS_H
#define MODEL_CORE_NEWS_H

/* What other hosts change in a catalogue that they share with this one. */

struct model;

/*
 * From now on the listener is told of OBJECT_NONE whenever another host may have changed anything: when it has, at once, and
 * when that could not be known for a while. Work that was ended there ends, and who waits for work looks. Where the catalogue
 * is in a directory nobody else can. Once; M is open.
 */
int news_start(struct model *m);
/* For model_close(): when it returns nobody is told any more. */
void news_stop(struct model *m);

#endif
