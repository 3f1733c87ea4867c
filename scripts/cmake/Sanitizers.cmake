# SPDX-License-Identifier: MIT
# -DIMAGEFS_SANITIZE=address,undefined or -DIMAGEFS_SANITIZE=thread
set(IMAGEFS_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize= takes them")
if(IMAGEFS_SANITIZE)
        add_compile_options(-fsanitize=${IMAGEFS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
        add_link_options(-fsanitize=${IMAGEFS_SANITIZE})
endif()
