/* SPDX-License-Identifier: MIT */

#include "fs/bar.h"

void bar_add_size(struct strbuf *out, uint64_t bytes)
{
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
        double n = (double)bytes;
        unsigned unit = 0;

        for (; n >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
                n /= 1024;
        strbuf_addf(out, unit == 0 || n >= 100 ? "%.0f %s" : "%.1f %s", n, units[unit]);
}

void bar_add(struct strbuf *out, uint64_t done, uint64_t total, unsigned width)
{
        static const char *const eighths[] = { " ", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
        double part = total ? (double)done / (double)total : 0;
        unsigned full = (unsigned)((part > 1 ? 1 : part) * width * 8);

        for (unsigned i = 0; i < width; i++, full -= full < 8 ? full : 8)
                strbuf_add(out, full >= 8 ? "█" : eighths[full]);
}
