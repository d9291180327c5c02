# Writes the chip files into a C source: chips_source is its path. The values' sources are for readers of the files.
file(GLOB chip_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/runtime/systolic/chips/*.yaml)
set(chip_rows "")
list(LENGTH chip_files n_chips)
foreach(file IN LISTS chip_files)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} text)
  string(REGEX REPLACE "{value: ([^,\n]*), source: \"[^\"\n]*\"}" "\\1" text "${text}")
  string(REPLACE "\\" "\\\\" text "${text}")
  string(REPLACE "\"" "\\\"" text "${text}")
  string(REPLACE "\n" "\\n\"\n     \"" text "${text}")
  string(APPEND chip_rows "    {\"${name}\",\n     \"${text}\"},\n")
endforeach()
set(chips_source ${PROJECT_BINARY_DIR}/generated/chips.c)
file(CONFIGURE OUTPUT ${chips_source} CONTENT "/* Written by cmake/chips.cmake. */
#include \"systolic/chips.h\"

const tct_chip_file tct_chip_files[] = {
@chip_rows@};
const int32_t tct_n_chip_files = @n_chips@;
" @ONLY)
