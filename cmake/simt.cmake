# The CUDA kernels as C++ for the tests (tests/support/simt): tercet_simt, an object library. Without a C++ compiler for this
# machine there is none, and TCT_NO_SIMT holds the reason that tests print when they skip.
set(TCT_NO_SIMT "")
if(CMAKE_CROSSCOMPILING)
  set(TCT_NO_SIMT "a cross build has no C++ compiler for the kernels' emulator")
elseif(TERCET_SANITIZE_THREAD OR TERCET_FUZZ)
  set(TCT_NO_SIMT "the kernels' emulator changes stacks, which this build's instrumentation does not follow")
else()
  include(CheckLanguage)
  check_language(CXX)
  if(CMAKE_CXX_COMPILER)
    enable_language(CXX)
  else()
    set(TCT_NO_SIMT "no C++ compiler was found when the build was configured")
  endif()
endif()

if(NOT TCT_NO_SIMT)
  file(GLOB simt_kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu support/simt/*.cu)
  set(simt_header ${CMAKE_CURRENT_SOURCE_DIR}/support/simt/device.h)
  add_library(tercet_simt OBJECT ${simt_kernels} support/simt/engine.cpp)
  set_source_files_properties(${simt_kernels} PROPERTIES LANGUAGE CXX OBJECT_DEPENDS ${simt_header}
                              COMPILE_OPTIONS "-xc++;-include;${simt_header}")
  target_include_directories(tercet_simt PRIVATE ${tercet_include} ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  set_target_properties(tercet_simt PROPERTIES CXX_STANDARD 17 CXX_EXTENSIONS ON
                        CXX_COMPILER_LAUNCHER "${CMAKE_C_COMPILER_LAUNCHER}")
  # An index beyond a shared or local array of known size traps.
  target_compile_options(tercet_simt PRIVATE -O2 -Wall -Wextra -Wno-unknown-pragmas -ffp-contract=off -fno-math-errno
                         -fno-trapping-math -fno-exceptions -fno-rtti -fno-threadsafe-statics -fvisibility=hidden
                         -fsanitize=bounds -fsanitize-undefined-trap-on-error
                         $<$<BOOL:${TERCET_WERROR}>:-Werror> $<$<BOOL:${TERCET_SANITIZE}>:-fsanitize=address>)
endif()
