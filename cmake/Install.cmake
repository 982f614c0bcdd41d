# SPDX-License-Identifier: Apache-2.0
#
# cmake --install: both libraries, the headers, a pkg-config file, and a CMake package with the
# targets weir::shared and weir::static.

include(CMakePackageConfigHelpers)

set(WEIR_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/weir)

install(TARGETS weir_static weir_shared EXPORT weir-targets)
install(DIRECTORY include/weir DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT weir-targets NAMESPACE weir:: DESTINATION ${WEIR_PACKAGE_DIR})

configure_package_config_file(cmake/weir-config.cmake.in weir-config.cmake
    INSTALL_DESTINATION ${WEIR_PACKAGE_DIR})
write_basic_package_version_file(weir-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weir-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/weir-config-version.cmake
        DESTINATION ${WEIR_PACKAGE_DIR})

# The prefix is found from the file's own place, so that an installed tree may be moved.
file(RELATIVE_PATH WEIR_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/weir.pc.in weir.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weir.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
