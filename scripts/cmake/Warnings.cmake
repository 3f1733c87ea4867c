# SPDX-License-Identifier: MIT
# Warnings that have found real mistakes; errors in CI, where -DIMAGEFS_WERROR=ON is set.
option(IMAGEFS_WERROR "Treat warnings as errors" OFF)
add_compile_options(-Wall -Wextra -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
        -Wwrite-strings -Wvla -Wundef -Wimplicit-fallthrough -fno-common -fstack-protector-strong)
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
        # Rows of tables leave out what is 0, and a statement of SQL in an array has several lines.
        add_compile_options(-Wno-missing-field-initializers -Wno-string-concatenation)
endif()
if(IMAGEFS_WERROR)
        add_compile_options(-Werror)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" OR CMAKE_BUILD_TYPE STREQUAL "Release")
        add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
