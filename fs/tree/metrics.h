/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_METRICS_H
#define FS_TREE_METRICS_H

#include "fs/tree/req.h"

/* The daemon begins to serve: from here on its uptime is counted. */
void metrics_begin(struct counts *c);

/* Adds all metrics as Prometheus reads them (text format 0.0.4). They name no object and no user. Any thread may call. */
int metrics_add(struct fs *fs, struct strbuf *out);

#endif
