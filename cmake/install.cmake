# What `cmake --install` puts where, in three components: lib (the shared library), dev (headers, static library,
# pkg-config and CMake files, libtercet(3)), tool (the command, its man pages and completion). Nothing that is installed
# holds the prefix, so that the tree may be moved.
include(CMakePackageConfigHelpers)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tercet)
install(TARGETS tercet EXPORT tercetTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT lib
        NAMELINK_COMPONENT dev)
install(TARGETS tercet_static EXPORT tercetStaticTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
install(DIRECTORY include/tercet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev
        FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
install(FILES kernels/common/elementwise.def DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tercet COMPONENT dev)

foreach(export IN ITEMS tercetTargets tercetStaticTargets)
  install(EXPORT ${export} NAMESPACE tercet:: DESTINATION ${config_dir} COMPONENT dev)
endforeach()
configure_package_config_file(cmake/tercetConfig.cmake.in tercetConfig.cmake INSTALL_DESTINATION ${config_dir})
# Before 1.0 a minor version may break what was built against another (docs/abi.md).
write_basic_package_version_file(tercetConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tercetConfig.cmake ${PROJECT_BINARY_DIR}/tercetConfigVersion.cmake
        DESTINATION ${config_dir} COMPONENT dev)

file(RELATIVE_PATH pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/tercet.pc.in tercet.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tercet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
install(FILES docs/libtercet.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 COMPONENT dev)

if(NOT TARGET tercet_tool)
  return()
endif()
# Under /usr the dynamic linker finds the library; elsewhere the command says where it lies, relative to itself.
if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set_target_properties(tercet_tool PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  file(RELATIVE_PATH libexec_to_lib /${CMAKE_INSTALL_LIBEXECDIR}/tercet /${CMAKE_INSTALL_LIBDIR})
  set_target_properties(tercet_perf_tool measure PROPERTIES INSTALL_RPATH "$ORIGIN/${libexec_to_lib}")
endif()
install(TARGETS tercet_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tool)
install(TARGETS tercet_perf_tool measure RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/tercet COMPONENT tool)
install(FILES docs/tercet.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT tool)
install(FILES tools/completion.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME tercet
        COMPONENT tool)

# A page per subcommand, written by the command itself from its tables; cross builds run it through their emulator.
if(NOT CMAKE_CROSSCOMPILING OR CMAKE_CROSSCOMPILING_EMULATOR)
  set(man_pages "")
  file(STRINGS tools/commands.def rows REGEX "^(COMMAND|PERF)\\(")
  foreach(row IN LISTS rows)
    string(REGEX REPLACE "^(COMMAND|PERF)\\(([a-z]+).*" "\\2" name "${row}")
    set(page ${PROJECT_BINARY_DIR}/man/tercet-${name}.1)
    add_custom_command(OUTPUT ${page} COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/man
                       COMMAND tercet_tool help ${name} --man > ${page} DEPENDS tercet_tool VERBATIM)
    list(APPEND man_pages ${page})
  endforeach()
  add_custom_target(tercet_man ALL DEPENDS ${man_pages})
  install(FILES ${man_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT tool)
endif()
