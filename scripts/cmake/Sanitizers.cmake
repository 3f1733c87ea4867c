# SPDX-License-Identifier: MIT
# -DIMAGEFS_SANITIZE=address,undefined or -DIMAGEFS_SANITIZE=thread
set(IMAGEFS_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize= takes them")
if(IMAGEFS_SANITIZE)
        # -O1 halves the time of tests and keeps the lines of a report true.
        add_compile_options(-O1 -fsanitize=${IMAGEFS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
        add_link_options(-fsanitize=${IMAGEFS_SANITIZE})
endif()
