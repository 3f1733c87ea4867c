/* SPDX-License-Identifier: MIT */
#ifndef FS_TASK_LOG_H
#define FS_TASK_LOG_H

#include "model/model.h"

/* Logs how a task ended, for whoever saw in the log that it was accepted. */
void task_log_end(struct model *m, const struct task *task);

#endif
