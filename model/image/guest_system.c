/* SPDX-License-Identifier: MIT */

#include "model/image/guest_system.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "blobstore/base/log.h"
#include "model/core/state.h"
#include "model/image/guest_turns.h"

#define LOOK_MS 5000

bool guest_system_is_wanted(const struct image *i)
{
        return !i->os[0] || !i->platform[0] || !i->platform_version[0] || !i->architecture[0] || !i->boot_mode[0];
}

struct reading {
        struct blob *blob;
        const struct guest_look *look;
        int ended;
};

static int read_blob(void *ctx, void *buf, size_t n, uint64_t off)
{
        struct reading *reading = ctx;
        ssize_t got;

        reading->ended = reading->look->go_on ? reading->look->go_on(reading->look->ctx) : 0;
        if (reading->ended < 0)
                return reading->ended;
        got = blob_pread(reading->blob, buf, n, off);
        return got < 0 ? (int)got : (size_t)got == n ? 0 : -EBADMSG;
}

static int64_t now_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What ends by its limit, or close to it, was kept busy. */
static int find_in_turn(const struct inside_disk *disk, const struct guest_look *look, struct inside_system *ret)
{
        int64_t begun_ms;
        int r;

        if (!guest_turns_take(look->m->guest_turns, look->uid))
                return -EBUSY;
        begun_ms = now_ms();
        r = inside_find_system(disk, LOOK_MS, ret);
        guest_turns_give(look->m->guest_turns, look->uid, r < 0 && now_ms() - begun_ms >= LOOK_MS / 2);
        return r;
}

int guest_system_find(struct blob *blob, const struct guest_look *look, struct inside_system *ret)
{
        struct reading reading = { .blob = blob, .look = look };
        const struct inside_disk disk = { blob_get_info(blob)->size_bytes, read_blob, &reading };
        char start[INSIDE_START_BYTES];
        int r;

        memset(ret, 0, sizeof(*ret));
        if (blob_pread(blob, start, sizeof(start), 0) != (ssize_t)sizeof(start) || !inside_may_be(start))
                return 0;
        r = find_in_turn(&disk, look, ret);
        if (r < 0)
                log_debug("what is inside of a new image is not known: %s", strerror(-r));
        return reading.ended;
}
