# SPDX-License-Identifier: MIT
# optional_library(PREFIX PACKAGE) looks for a library of which single features are made, as pkg_check_modules does: without
# it, what needs it answers EOPNOTSUPP. -DIMAGEFS_WITHOUT=CURL;EXPAT leaves out some that are there.
set(IMAGEFS_WITHOUT "" CACHE STRING "Libraries to build without: ARCHIVE CURL EXPAT EXT2FS MICROHTTPD ZLIB")
macro(optional_library PREFIX PACKAGE)
        if("${PREFIX}" IN_LIST IMAGEFS_WITHOUT)
                set(${PREFIX}_FOUND FALSE)
        else()
                pkg_check_modules(${PREFIX} IMPORTED_TARGET "${PACKAGE}")
        endif()
endmacro()
