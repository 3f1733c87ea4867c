# SPDX-License-Identifier: MIT
# embed_text(OUT file...) makes one C source with `const char embed_<stem>_<ext>[]` for each file; its path goes into OUT.
# The declarations stand where they are used. Changing a file reconfigures the build.
function(embed_text OUT)
        set(source "// made from text files by scripts/cmake/EmbedText.cmake\n")
        foreach(file IN LISTS ARGN)
                get_filename_component(name "${file}" NAME)
                string(MAKE_C_IDENTIFIER "embed_${name}" symbol)
                set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
                file(READ "${file}" bytes HEX)
                string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
                string(APPEND source "extern const char ${symbol}[];\nconst char ${symbol}[] = { ${bytes}0 };\n")
        endforeach()
        set(path "${CMAKE_BINARY_DIR}/embed/${OUT}.c")
        file(CONFIGURE OUTPUT "${path}" CONTENT "${source}" @ONLY)
        set(${OUT} "${path}" PARENT_SCOPE)
endfunction()
