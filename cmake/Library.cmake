# SPDX-License-Identifier: Apache-2.0
#
# The library: compiled once (position-independent), linked as libweir.a and as libweir.so.0.
# The shared library exports weir_* and nothing else: hidden visibility, and a version script on
# top of it. The static library is what the tests link: there they reach the internal functions.

file(GLOB WEIR_SOURCES CONFIGURE_DEPENDS
     ${PROJECT_SOURCE_DIR}/core/*.c
     ${PROJECT_SOURCE_DIR}/workqueue/*.c
     ${PROJECT_SOURCE_DIR}/session/*.c
     ${PROJECT_SOURCE_DIR}/session/*/*.c)

add_library(weir_objects OBJECT ${WEIR_SOURCES})
target_link_libraries(weir_objects PRIVATE weir_library_flags)

add_library(weir_static STATIC)
add_library(weir_shared SHARED)
foreach(kind IN ITEMS static shared)
    target_sources(weir_${kind} PRIVATE $<TARGET_OBJECTS:weir_objects>)
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
