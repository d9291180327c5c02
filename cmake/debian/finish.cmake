# Run by cpack on the staged files of the Debian packages: manual pages and changelogs are compressed, as Debian's policy
# asks, without the time of day, so that the same tree gives the same package.
if(NOT CPACK_GENERATOR STREQUAL "DEB")
  return()
endif()
file(GLOB stages ${CPACK_TEMPORARY_DIRECTORY}/*)
foreach(stage IN LISTS stages)
  file(GLOB_RECURSE pages ${stage}/usr/share/man/*.[13])
  file(GLOB documents ${stage}/usr/share/doc/*)
  set(compressed ${pages})
  foreach(document IN LISTS documents)
    get_filename_component(package ${document} NAME)
    file(WRITE ${document}/changelog.Debian
         "${package} (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium\n\n"
         "  * Release ${CPACK_PACKAGE_VERSION}; what is new stands in the upstream CHANGELOG.md.\n\n"
         " -- ${CPACK_PACKAGE_CONTACT}  Thu, 01 Jan 2026 00:00:00 +0000\n")
    list(APPEND compressed ${document}/changelog.Debian)
  endforeach()
  execute_process(COMMAND gzip -9nf ${compressed} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
