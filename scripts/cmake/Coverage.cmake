# SPDX-License-Identifier: MIT
# -DIMAGEFS_COVERAGE=ON: notes which lines ran, for scripts/coverage. What a child of a test ran counts, too, though it ends
# by _exit(), behind the back of what would write it down.
option(IMAGEFS_COVERAGE "Note which lines ran" OFF)
if(IMAGEFS_COVERAGE)
        add_compile_options(-O0 --coverage -fprofile-update=atomic)
        add_link_options(--coverage -Wl,--wrap=_exit)
        file(WRITE "${CMAKE_BINARY_DIR}/coverage_exit.c" "void __gcov_dump(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
void __wrap__exit(int status)
{
        __gcov_dump();
        __real__exit(status);
}
")
        add_library(coverage-exit OBJECT "${CMAKE_BINARY_DIR}/coverage_exit.c")
        set_target_properties(coverage-exit PROPERTIES COMPILE_OPTIONS -w)
        link_libraries($<TARGET_OBJECTS:coverage-exit>)
endif()
