/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_GUEST_NODE_H
#define FS_OPS_GUEST_NODE_H

/* What a guest's files are shown as. What is asked of the guest is for threads that read disks (later.h). */

#include <sys/stat.h>

#include "fs/tree/guest.h"

/* Seconds for which the kernel may believe what it was told: images and snapshots never change. */
#define GUEST_TIMEOUT 86400.0

/* Who asks about files of N's partition: -ESTALE; or of one that is known. */
int guest_node_asker(struct req *rq, struct node n, struct guest_asker *ret);
struct guest_asker guest_node_asker_of(struct req *rq, const struct guest_at *at);
/* As inside.h has it, of a request. */
int guest_node_go_on(void *ctx);

/* As attr_get(), and attr_text() of a link. */
int guest_node_attr(struct req *rq, struct node n, struct stat *ret, double *ret_timeout);
int guest_node_target(struct req *rq, struct node n, struct strbuf *out);

/* What stat(2) says; its mode, and its number. */
void guest_node_stat(enum node_kind kind, const struct guest_at *at, const struct guest_attr *a, struct stat *ret);
mode_t guest_node_mode(const struct guest_attr *a);
ino_t guest_node_number(enum node_kind kind, const struct guest_at *at, uint32_t number);
/* Besides the number, of which it depends what it is of: by this a file handle's owner is told that it is another file. */
uint64_t guest_node_generation(const struct guest_at *at);

/* That nothing there can be changed: -EROFS with a sentence, where N is in guest/, or that. */
int guest_node_refuse_change(struct req *rq, struct node n);

#endif
