# SPDX-License-Identifier: Apache-2.0
#
# What weir is built from. Concurrency Kit is the only library that it links, and only core/event.*
# includes it. Static tracepoints are optional. cmocka is looked for by the tests.

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(CK REQUIRED IMPORTED_TARGET ck>=0.7.1)

include(CheckIncludeFile)
check_include_file(sys/sdt.h WEIR_HAVE_SDT)
if(NOT WEIR_HAVE_SDT)
    message(STATUS "sys/sdt.h not found: no static tracepoints (Debian: systemtap-sdt-dev)")
endif()

find_program(CCACHE ccache)
mark_as_advanced(CCACHE)
if(CCACHE AND PROJECT_IS_TOP_LEVEL AND NOT DEFINED CMAKE_C_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()
