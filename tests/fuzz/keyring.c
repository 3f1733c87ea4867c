/* SPDX-License-Identifier: MIT */

/* A keyring that somebody writes: what is taken is printed, and comes back the same. */

#include <errno.h>
#include <string.h>

#include "blobstore/import/keyring.h"
#include "tests/fuzz/lib/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP_STRBUF struct strbuf packets = { 0 }, armoured = { 0 }, again = { 0 }, reason = { 0 };
        int r = keyring_read(data, size, &packets, &reason);

        MUST(r == 0 || r == 1 || r == -EINVAL);
        MUST((r < 0) == (reason.len > 0));
        if (r != 0) {
                MUST(packets.len == 0);
                return 0;
        }
        MUST(packets.len > 0 && packets.len <= size);
        keyring_print(packets.text, packets.len, &armoured);
        MUST(keyring_read(armoured.text, armoured.len, &again, &reason) == 0);
        MUST(again.len == packets.len && memcmp(again.text, packets.text, again.len) == 0);
        return 0;
}
