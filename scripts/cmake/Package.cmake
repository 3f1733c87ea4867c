# SPDX-License-Identifier: MIT
#
# What `cmake --install` puts where besides the programs, and `cpack -G DEB` into a package. scripts/package calls it.

file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/links")
# mount(8) and fsck(8) look for these names; the program knows by which it is called.
foreach(name mount.imagefs mount.fuse.imagefs fsck.imagefs)
        file(CREATE_LINK ../bin/imagefs "${CMAKE_BINARY_DIR}/links/${name}" SYMBOLIC)
        install(FILES "${CMAKE_BINARY_DIR}/links/${name}" DESTINATION ${CMAKE_INSTALL_SBINDIR})
endforeach()
install(FILES fs/system/imagefs@.service DESTINATION lib/systemd/system)
install(FILES fs/system/mnt-images.mount DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES fs/imagefs.bash-completion DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME imagefs)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY fs/guide DESTINATION ${CMAKE_INSTALL_DOCDIR}/fs) # where README names it

# Debian's policy, chapter 12: a copyright file, and a compressed changelog with the program's history.
file(READ LICENSE license)
string(REGEX REPLACE "\n\n" "\n.\n" license "${license}")
string(REGEX REPLACE "\n" "\n " license " ${license}")
string(STRIP "${license}" license)
configure_file(fs/system/copyright.in package/copyright @ONLY)
install(FILES "${CMAKE_BINARY_DIR}/package/copyright" DESTINATION ${CMAKE_INSTALL_DOCDIR})
find_program(GZIP gzip REQUIRED)
add_custom_command(OUTPUT package/changelog.gz
        COMMAND "${GZIP}" -9nc "${CMAKE_SOURCE_DIR}/fs/system/changelog" > package/changelog.gz
        DEPENDS "${CMAKE_SOURCE_DIR}/fs/system/changelog" VERBATIM)
add_custom_target(changelog ALL DEPENDS package/changelog.gz)
install(FILES "${CMAKE_BINARY_DIR}/package/changelog.gz" DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME imagefs)
set(CPACK_PACKAGE_CONTACT "the imagefs authors <maintainers@imagefs.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "library of virtual machine images, as a mounted directory")
set(CPACK_PACKAGE_DESCRIPTION "Images are imported, copied between regions, shared, snapshotted and booted
with ls, cat, cp, mkdir and mv: the rules of an image service are those of the
file system. Blobs are deduplicated and compressed, so that ten releases of a
system take little more room than one, and machines run from the mount.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION otherosfs)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "fuse3, qemu-utils") # what it runs, and no linker knows of
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "gpgv, xxhash")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${CMAKE_SOURCE_DIR}/fs/system/postinst;${CMAKE_SOURCE_DIR}/fs/system/prerm;${CMAKE_SOURCE_DIR}/fs/system/postrm")
set(CPACK_PRE_BUILD_SCRIPTS "${CMAKE_SOURCE_DIR}/scripts/cmake/CompressPages.cmake")
include(CPack)
