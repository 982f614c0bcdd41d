# SPDX-License-Identifier: Apache-2.0
#
# What a test runs under. Sets WEIR_TEST_LAUNCHER and WEIR_TEST_ENVIRONMENT.
# The number of workers is not set here: a run chooses it by the variable WEIR_TEST_WORKERS.

set(WEIR_TEST_ENVIRONMENT
    "ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1"
    "UBSAN_OPTIONS=print_stacktrace=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:history_size=4")

# Sanitizers of gcc 12 and clang 14 place their shadow at fixed addresses, which kernels with
# vm.mmap_rnd_bits above 28 may have given away. Without randomized addresses they always fit.
set(WEIR_TEST_LAUNCHER "")
if(WEIR_SANITIZE)
    find_program(SETARCH setarch)
    mark_as_advanced(SETARCH)
    if(SETARCH)
        execute_process(COMMAND ${SETARCH} -R true RESULT_VARIABLE refused OUTPUT_QUIET ERROR_QUIET)
        if(refused EQUAL 0)
            set(WEIR_TEST_LAUNCHER ${SETARCH} -R)
        endif()
    endif()
endif()
