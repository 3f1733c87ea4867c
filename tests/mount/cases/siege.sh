# SPDX-License-Identifier: MIT
# Three users do their worst at once; a fourth notices nothing but the time it takes. The short form of scripts/siege:
# what holds on a busy machine too: no error of hers, limits, a bound of memory, quotas and the library afterwards.
need_root "several users"
need python3
"$lib/siege" --seconds 6 --images 2000 --instances 100 --limit 4 --memory 150 "$IMAGEFS" "$WORK" >out 2>&1 ||
        fail "$(cat out)"
_clean_log
