# SPDX-License-Identifier: Apache-2.0
#
# The library: compiled once (position-independent), linked as libweir.a and as libweir.so.0, which
# show weir_* and nothing else: hidden visibility, with a version script on top of it in the shared
# one; in the static one all objects become a single one, in which what is hidden is local, so that
# an internal name cannot clash with one of the program's. The tests link weir_internal, where
# they reach the internal functions.

file(GLOB WEIR_SOURCES CONFIGURE_DEPENDS
     ${PROJECT_SOURCE_DIR}/core/*.c
     ${PROJECT_SOURCE_DIR}/workqueue/*.c
     ${PROJECT_SOURCE_DIR}/session/*.c
     ${PROJECT_SOURCE_DIR}/session/*/*.c)

add_library(weir_objects OBJECT ${WEIR_SOURCES})
target_link_libraries(weir_objects PRIVATE weir_library_flags)

add_library(weir_internal STATIC $<TARGET_OBJECTS:weir_objects>)
set_target_properties(weir_internal PROPERTIES LINKER_LANGUAGE C)
target_include_directories(weir_internal INTERFACE ${PROJECT_SOURCE_DIR}/include)
target_link_libraries(weir_internal PUBLIC Threads::Threads PRIVATE PkgConfig::CK)

# A sanitizer's constructors, and objects that are not machine code yet, are left as they are.
if(WEIR_SANITIZE OR "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${CMAKE_BUILD_TYPE}}" MATCHES "-flto" OR NOT CMAKE_OBJCOPY)
    set(static_objects $<TARGET_OBJECTS:weir_objects>)
else()
    set(static_objects ${CMAKE_CURRENT_BINARY_DIR}/libweir.o)
    add_custom_command(OUTPUT ${static_objects}
        COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o ${static_objects} $<TARGET_OBJECTS:weir_objects>
        COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${static_objects}
        DEPENDS weir_objects $<TARGET_OBJECTS:weir_objects>
        COMMAND_EXPAND_LISTS VERBATIM)
    set_source_files_properties(${static_objects} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
endif()

add_library(weir_static STATIC ${static_objects})
add_library(weir_shared SHARED $<TARGET_OBJECTS:weir_objects>)
foreach(kind IN ITEMS static shared)
    set_target_properties(weir_${kind} PROPERTIES
        OUTPUT_NAME weir EXPORT_NAME ${kind} LINKER_LANGUAGE C)
    target_include_directories(weir_${kind} INTERFACE
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    add_library(weir::${kind} ALIAS weir_${kind})
endforeach()

target_link_libraries(weir_static PUBLIC Threads::Threads PRIVATE PkgConfig::CK)
target_link_libraries(weir_shared PRIVATE Threads::Threads PkgConfig::CK)
target_link_options(weir_shared PRIVATE ${WEIR_SANITIZER_FLAGS}
    -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/weir.map)
if(NOT WEIR_SANITIZE)                              # a sanitizer's symbols come from the executable
    target_link_options(weir_shared PRIVATE -Wl,-z,defs)
endif()
set_target_properties(weir_shared PROPERTIES
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/weir.map)
