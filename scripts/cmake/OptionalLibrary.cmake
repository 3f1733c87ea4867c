# SPDX-License-Identifier: MIT
# optional_library(PREFIX PACKAGE [STEM]) looks for a library of which single features are made, as pkg_check_modules does:
# without it, what needs it answers EOPNOTSUPP. STEM.c uses it, and STEM_none.c stands in: PREFIX_UNUSED is the one that
# is not to be built. -DIMAGEFS_WITHOUT=CURL;EXPAT leaves out some that are there.
set(IMAGEFS_WITHOUT "" CACHE STRING "Libraries to build without: ARCHIVE CURL EXPAT EXT2FS MICROHTTPD POSTGRESQL ZLIB")
macro(optional_library PREFIX PACKAGE)
        if("${PREFIX}" IN_LIST IMAGEFS_WITHOUT)
                set(${PREFIX}_FOUND FALSE)
        else()
                pkg_check_modules(${PREFIX} IMPORTED_TARGET "${PACKAGE}")
        endif()
        if(${ARGC} GREATER 2)
                if(${PREFIX}_FOUND)
                        set(${PREFIX}_UNUSED "${ARGV2}_none.c")
                else()
                        set(${PREFIX}_UNUSED "${ARGV2}.c")
                endif()
        endif()
endmacro()
