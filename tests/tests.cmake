# SPDX-License-Identifier: MIT
# Dropping a file into tests/unit or tests/mount/cases registers it. Labels: unit, mount, crash. 77 is a skip.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka>=1.1)

file(GLOB TEST_LIB_SOURCES CONFIGURE_DEPENDS tests/lib/*.c)
# What earlier versions left on disk: embed_schema_2_sql and its like.
file(GLOB TEST_FIXTURES CONFIGURE_DEPENDS tests/fixtures/*.sql)
embed_text(TEST_EMBEDDED ${TEST_FIXTURES})
add_library(testlib STATIC ${TEST_LIB_SOURCES} ${TEST_EMBEDDED})
target_link_libraries(testlib PUBLIC model PkgConfig::CMOCKA)
target_compile_definitions(testlib PRIVATE TESTS_DIR="${CMAKE_SOURCE_DIR}/tests")
add_dependencies(testlib imagefs-judge)

# What is built for another processor runs by an emulator here, some thirty times slower.
set(UNIT_SECONDS 300)
if(CMAKE_CROSSCOMPILING)
        set(UNIT_SECONDS 3000)
endif()
file(GLOB UNIT_TESTS CONFIGURE_DEPENDS tests/unit/test_*.c)
if(NOT POSTGRESQL_FOUND)
        list(REMOVE_ITEM UNIT_TESTS "${CMAKE_SOURCE_DIR}/tests/unit/test_db_pg.c" "${CMAKE_SOURCE_DIR}/tests/unit/test_statements_pg.c")
endif()
foreach(source IN LISTS UNIT_TESTS)
        get_filename_component(name "${source}" NAME_WE)
        add_executable(${name} ${source})
        target_link_libraries(${name} PRIVATE testlib fs PkgConfig::CMOCKA
                PkgConfig::SQLITE3 PkgConfig::XXHASH PkgConfig::LIBCRYPT)
        add_test(NAME unit/${name} COMMAND ${name})
        set_tests_properties(unit/${name} PROPERTIES LABELS unit TIMEOUT ${UNIT_SECONDS} SKIP_RETURN_CODE 77)
endforeach()

# The model with its catalogue on a server: what counts most by triggers, and events. IMAGEFS_TEST_CATALOGUE=postgresql has any
# other of them so, too, but for
#   test_lost_sync test_quota_random test_restore test_stores      they are about the file, or its copies
#   test_catalogue test_check test_listing test_reap test_scrubbing    they write to the database in sqlite's dialect
#   test_event test_share      races and full rings: they take minutes there, and have not been seen to come to their end
if(POSTGRESQL_FOUND)
        foreach(name IN ITEMS test_batch test_quota test_snapshot test_upload)
                add_test(NAME unit/${name}-postgresql COMMAND ${name})
                set_tests_properties(unit/${name}-postgresql PROPERTIES LABELS unit TIMEOUT ${UNIT_SECONDS}
                        SKIP_RETURN_CODE 77 ENVIRONMENT IMAGEFS_TEST_CATALOGUE=postgresql)
        endforeach()
endif()

# What a child of the daemon does, in a process of the test's own, where sanitizers can watch it.
target_sources(test_fstab_reader PRIVATE blobstore/import/guest_reader/areas.c blobstore/import/fstab_reader/lines.c)
file(GLOB JUDGE_TESTED CONFIGURE_DEPENDS blobstore/import/judge/*.c)
list(REMOVE_ITEM JUDGE_TESTED "${CMAKE_SOURCE_DIR}/blobstore/import/judge/main.c")
target_sources(test_judge PRIVATE ${JUDGE_TESTED})

# Another reader of URLs, to compare with.
if(CURL_FOUND)
        target_compile_definitions(test_url PRIVATE HAVE_CURL)
        target_link_libraries(test_url PRIVATE PkgConfig::CURL)
endif()

include(tests/fuzz/fuzz.cmake)

add_executable(fsop tests/mount/lib/fsop.c)
add_executable(disk-stress tests/mount/lib/disk-stress.c)
add_executable(matrix tests/mount/lib/matrix.c)
add_executable(hang-fs tests/mount/lib/hang-fs.c)
target_link_libraries(hang-fs PRIVATE PkgConfig::FUSE3 Threads::Threads)
set_target_properties(fsop disk-stress matrix hang-fs PROPERTIES RUNTIME_OUTPUT_DIRECTORY "$<TARGET_FILE_DIR:imagefs>")
add_library(slow-users MODULE tests/mount/lib/slow-users.c)
add_library(unanswered MODULE tests/mount/lib/unanswered.c)
target_include_directories(unanswered PRIVATE ${FUSE3_INCLUDE_DIRS})
set_target_properties(slow-users unanswered PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY "$<TARGET_FILE_DIR:imagefs>")
# What cases run or read, without the unit tests.
add_custom_target(programs DEPENDS imagefs fsop disk-stress matrix hang-fs slow-users unanswered man changelog)
foreach(child imagefs-judge imagefs-unpack imagefs-fstab imagefs-inside)
        if(TARGET ${child})
                add_dependencies(programs ${child})
        endif()
endforeach()

file(GLOB MOUNT_CASES CONFIGURE_DEPENDS tests/mount/cases/*.sh tests/crash/*.sh)
foreach(case IN LISTS MOUNT_CASES)
        get_filename_component(name "${case}" NAME_WE)
        get_filename_component(dir "${case}" DIRECTORY)
        if(dir MATCHES "/crash$")
                set(label crash)
        else()
                set(label mount)
        endif()
        add_test(NAME ${label}/${name} COMMAND bash ${CMAKE_SOURCE_DIR}/tests/mount/lib/run-case ${case})
        # What is given long begins first, so that nothing waits for it in the end.
        file(STRINGS "${case}" limit REGEX "^# time limit: [0-9]+" LIMIT_COUNT 1)
        string(REGEX MATCH "[0-9]+" cost "${limit}")
        if(NOT cost)
                set(cost 1)
        endif()
        set_tests_properties(${label}/${name} PROPERTIES LABELS ${label} TIMEOUT 600 SKIP_RETURN_CODE 77 COST ${cost}
                ENVIRONMENT "IMAGEFS=$<TARGET_FILE:imagefs>;FSOP=$<TARGET_FILE:fsop>")
endforeach()

add_test(NAME check/includes COMMAND ${CMAKE_SOURCE_DIR}/scripts/check-includes ${CMAKE_BINARY_DIR})
set_tests_properties(check/includes PROPERTIES LABELS check)
add_test(NAME check/rooms COMMAND ${CMAKE_SOURCE_DIR}/scripts/check-rooms ${CMAKE_BINARY_DIR})
set_tests_properties(check/rooms PROPERTIES LABELS check)
