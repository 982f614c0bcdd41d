# SPDX-License-Identifier: Apache-2.0
#
# Two interface targets: weir_flags for every C file of the project, weir_library_flags on top of
# it for the library's own objects. The explorer compiles the library with the same two lists.

set(WEIR_C_FLAGS -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Wconversion)
if(WEIR_WERROR)
    list(APPEND WEIR_C_FLAGS -Werror)
endif()

# initial-exec: a thread-local word costs one load, also in the shared library.
# no-semantic-interposition: calls inside the library may be inlined although it is built -fPIC.
# no-strict-aliasing: the inside of a weir_job is another struct than its outside. (Rejected: the
# attribute may_alias on the struct, with which gcc 12 fails at link-time optimisation.)
# exceptions: C code by itself unwinds nothing, but an exception of a user's function that comes by
# is to be noticed (R10: verify_returned in workqueue/worker.c).
set(WEIR_LIBRARY_FLAGS -fPIC -fvisibility=hidden -ftls-model=initial-exec
    -fno-semantic-interposition -fno-strict-aliasing -fexceptions)

set(WEIR_SANITIZER_FLAGS "")
if(WEIR_SANITIZE STREQUAL "address")
    set(WEIR_SANITIZER_FLAGS -fsanitize=address,undefined -fno-sanitize-recover=all
        -fno-omit-frame-pointer)
elseif(WEIR_SANITIZE STREQUAL "thread")
    set(WEIR_SANITIZER_FLAGS -fsanitize=thread -fno-omit-frame-pointer)
elseif(WEIR_SANITIZE)
    message(FATAL_ERROR "WEIR_SANITIZE is '${WEIR_SANITIZE}'; it may be address, thread or empty")
endif()

add_library(weir_flags INTERFACE)
target_compile_options(weir_flags INTERFACE ${WEIR_C_FLAGS} ${WEIR_SANITIZER_FLAGS})
target_link_options(weir_flags INTERFACE ${WEIR_SANITIZER_FLAGS})
target_include_directories(weir_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
target_link_libraries(weir_flags INTERFACE Threads::Threads)
if(WEIR_HAVE_SDT)
    target_compile_definitions(weir_flags INTERFACE WEIR_HAVE_SDT=1)
endif()

# Concurrency Kit's atomics are inline assembly, which no sanitizer sees. core/shadow/ck_pr.h says
# the same with compiler builtins; found first, it makes ck's operations visible to them.
set(WEIR_SHADOW_DIR ${PROJECT_SOURCE_DIR}/core/shadow)
if(WEIR_SANITIZE AND EXISTS ${WEIR_SHADOW_DIR})
    target_include_directories(weir_flags BEFORE INTERFACE ${WEIR_SHADOW_DIR})
endif()

add_library(weir_library_flags INTERFACE)
target_compile_options(weir_library_flags INTERFACE ${WEIR_LIBRARY_FLAGS})
target_link_libraries(weir_library_flags INTERFACE weir_flags PkgConfig::CK)
