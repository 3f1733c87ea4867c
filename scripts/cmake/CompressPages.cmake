# SPDX-License-Identifier: MIT
# Manual pages of a package are compressed, says Debian's policy; run by cpack before it packs what was installed.
file(GLOB_RECURSE pages "${CPACK_TEMPORARY_DIRECTORY}/usr/share/man/*.[1-8]")
foreach(page IN LISTS pages)
        execute_process(COMMAND gzip -9n "${page}" COMMAND_ERROR_IS_FATAL ANY)
endforeach()
