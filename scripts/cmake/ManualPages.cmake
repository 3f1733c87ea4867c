# SPDX-License-Identifier: MIT
#
# The manual pages of fs/man, into man/ of the build folder. imagefs-tree(7) has its list of paths from the program that was
# built: CMake runs it by CMAKE_CROSSCOMPILING_EMULATOR where it is for another processor.
set(MAN_PAGES imagefs-tree.7)
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/man")
add_custom_command(OUTPUT man/imagefs-tree.7
        COMMAND imagefs --print-tree-mdoc > man/paths
        COMMAND sed -e "/^@PATHS@$/r man/paths" -e "/^@PATHS@$/d" "${CMAKE_SOURCE_DIR}/fs/man/imagefs-tree.7.in"
                > man/imagefs-tree.7
        DEPENDS imagefs fs/man/imagefs-tree.7.in VERBATIM)
file(GLOB MAN_SOURCES CONFIGURE_DEPENDS fs/man/*.[1-8])
foreach(source IN LISTS MAN_SOURCES)
        get_filename_component(page "${source}" NAME)
        configure_file("${source}" "man/${page}" COPYONLY)
        list(APPEND MAN_PAGES "${page}")
endforeach()
add_custom_target(man ALL DEPENDS man/imagefs-tree.7)
foreach(page IN LISTS MAN_PAGES)
        string(REGEX MATCH "[1-8]$" section "${page}")
        install(FILES "${CMAKE_BINARY_DIR}/man/${page}" DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}")
endforeach()
install(FILES "${CMAKE_BINARY_DIR}/man/mount.imagefs.8" DESTINATION "${CMAKE_INSTALL_MANDIR}/man8" RENAME mount.fuse.imagefs.8)
