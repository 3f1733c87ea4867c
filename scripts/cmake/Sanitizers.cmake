# SPDX-License-Identifier: MIT
# -DIMAGEFS_SANITIZE=address,undefined or -DIMAGEFS_SANITIZE=thread
set(IMAGEFS_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize= takes them")
if(IMAGEFS_SANITIZE)
        # -O1 halves the time of tests, and -g1 takes a fifth off the compiler's: both keep the lines of a report true. With
        # what sanitizers add, the compiler takes texts for longer than they are; the other builds warn of those that are.
        add_compile_options(-O1 -g1 -Wno-format-truncation -Wno-maybe-uninitialized -fsanitize=${IMAGEFS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
        add_link_options(-fsanitize=${IMAGEFS_SANITIZE})
endif()
