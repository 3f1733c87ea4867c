# SPDX-License-Identifier: MIT
#
# room(FOLDER [USES FOLDER...] [WITHOUT FILE...] [EXTRA FILE...] [LIBRARIES TARGET...]) makes a static library of what lies
# in FOLDER, named like it with hyphens (model/image: model-image), which links the rooms that it USES and the LIBRARIES of
# others. Only rooms made before it can be used, so that the order of the calls is the order in which the rooms stand.
# The list goes into rooms.txt in the build folder, a line each, "folder: folders", for scripts/check-rooms and
# scripts/check-includes, which hold the direction on symbols and on includes.
file(WRITE "${CMAKE_BINARY_DIR}/rooms.txt" "")
function(room FOLDER)
        cmake_parse_arguments(ROOM "" "" "USES;WITHOUT;EXTRA;LIBRARIES" ${ARGN})
        string(REPLACE "/" "-" target "${FOLDER}")
        file(GLOB sources CONFIGURE_DEPENDS "${FOLDER}/*.c")
        foreach(file IN LISTS ROOM_WITHOUT)
                list(REMOVE_ITEM sources "${CMAKE_SOURCE_DIR}/${FOLDER}/${file}")
        endforeach()
        add_library(${target} STATIC ${sources} ${ROOM_EXTRA})
        foreach(used IN LISTS ROOM_USES)
                string(REPLACE "/" "-" below "${used}")
                if(NOT TARGET ${below})
                        message(FATAL_ERROR "${FOLDER} uses ${used}, which is no room below it")
                endif()
                target_link_libraries(${target} PUBLIC ${below})
        endforeach()
        target_link_libraries(${target} PRIVATE ${ROOM_LIBRARIES})
        string(REPLACE ";" " " uses "${ROOM_USES}")
        file(APPEND "${CMAKE_BINARY_DIR}/rooms.txt" "${FOLDER}: ${uses}\n")
endfunction()
