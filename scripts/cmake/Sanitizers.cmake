# SPDX-License-Identifier: MIT
# -DIMAGEFS_SANITIZE=address,undefined or -DIMAGEFS_SANITIZE=thread
set(IMAGEFS_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize= takes them")
if(IMAGEFS_SANITIZE)
        # -O1 halves the time of tests, and -g1 takes a fifth off the compiler's: both keep the lines of a report true. With
        # what sanitizers add, the compiler takes texts for longer than they are; the other builds warn of those that are.
        add_compile_options(-O1 -g1 $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation> $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> -fsanitize=${IMAGEFS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
        add_link_options(-fsanitize=${IMAGEFS_SANITIZE})
endif()

# -DIMAGEFS_FUZZ=ON, with clang: what is built tells libFuzzer where it has been, and the harnesses of tests/fuzz are built with it.
option(IMAGEFS_FUZZ "Build the fuzzers, which only clang can" OFF)
if(IMAGEFS_FUZZ)
        add_compile_options(-fsanitize=fuzzer-no-link)
endif()
