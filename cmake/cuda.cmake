# The module libtercet-cuda.so, the device gpu. nvcc compiles kernels/cuda/*.cu, each to one fatbin with code for every
# architecture, which are put into the module as they are; its host side is C, and opens all of NVIDIA's libraries at run time. So
# nvcc, and cuda.h beside it, are needed for this module and for nothing else; the rest of the build never asks for CUDA.
set(TERCET_CUDA AUTO CACHE STRING "The module for NVIDIA GPUs: AUTO builds it where nvcc is found, ON needs it, OFF leaves it out")
set(cuda_architectures "75;80;86;89;90;100")
if(DEFINED ENV{CUDA_BUILD_ARCHITECTURES})
  set(cuda_architectures "$ENV{CUDA_BUILD_ARCHITECTURES}")
endif()
set(TERCET_CUDA_ARCHITECTURES "${cuda_architectures}" CACHE STRING "Compute capabilities with code in the module; the last one as PTX too")
set(TERCET_CUDA_IMAGES "$ENV{CUDA_BUILD_IMAGES}" CACHE PATH
    "Folder of fatbins that another build made (its folder cuda/), used instead of running nvcc")

set(tercet_has_cuda FALSE)
if(TERCET_CUDA STREQUAL "OFF")
  return()
endif()
if(CMAKE_CROSSCOMPILING OR TERCET_FUZZ)
  set(cuda_lacks "a cross build or one for fuzzing has none")
else()
  find_program(TERCET_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin /usr/local/cuda/bin)
  get_filename_component(cuda_root "${TERCET_NVCC}" DIRECTORY)
  get_filename_component(cuda_root "${cuda_root}" DIRECTORY)
  find_path(TERCET_CUDA_INCLUDE cuda.h HINTS ${cuda_root}/include ${cuda_root}/targets/${CMAKE_SYSTEM_PROCESSOR}-linux/include)
  set(cuda_lacks "")
  if(NOT TERCET_NVCC AND NOT TERCET_CUDA_IMAGES)
    set(cuda_lacks "nvcc is not here (looked on the path, in CUDA_HOME/bin and in /usr/local/cuda/bin; -DTERCET_NVCC=FILE names it)")
  elseif(NOT TERCET_CUDA_INCLUDE)
    set(cuda_lacks "cuda.h is not beside nvcc (-DTERCET_CUDA_INCLUDE=FOLDER names its folder)")
  elseif(NOT EXISTS ${TERCET_CUDA_INCLUDE}/cublasLt.h)
    set(cuda_lacks "cublasLt.h is not beside ${TERCET_CUDA_INCLUDE}/cuda.h (install cuBLAS' headers)")
  elseif(NOT EXISTS ${TERCET_CUDA_INCLUDE}/cudnn.h)
    set(cuda_lacks "cudnn.h is not beside ${TERCET_CUDA_INCLUDE}/cuda.h (install cuDNN's headers)")
  elseif(NOT EXISTS ${TERCET_CUDA_INCLUDE}/nvrtc.h)
    set(cuda_lacks "nvrtc.h is not beside ${TERCET_CUDA_INCLUDE}/cuda.h (install NVRTC's headers)")
  elseif(NOT EXISTS ${TERCET_CUDA_INCLUDE}/nvtx3/nvToolsExt.h)
    set(cuda_lacks "nvtx3/nvToolsExt.h is not beside ${TERCET_CUDA_INCLUDE}/cuda.h (install NVTX' headers)")
  endif()
endif()
if(cuda_lacks)
  if(TERCET_CUDA STREQUAL "ON")
    message(FATAL_ERROR "TERCET_CUDA=ON, but ${cuda_lacks}")
  endif()
  message(STATUS "CUDA: ${cuda_lacks}: libtercet-cuda.so, the device gpu, is not built")
  return()
endif()
set(tercet_has_cuda TRUE)

# ---- device code ----

set(cuda_codes "")
foreach(architecture IN LISTS TERCET_CUDA_ARCHITECTURES)
  list(APPEND cuda_codes -gencode arch=compute_${architecture},code=sm_${architecture})
  set(cuda_last ${architecture})
endforeach()
list(APPEND cuda_codes -gencode arch=compute_${cuda_last},code=compute_${cuda_last})
# No contraction: kernels write their own fma, as everywhere.
set(cuda_flags -std=c++17 --fmad=false -ccbin ${CMAKE_C_COMPILER} -I${PROJECT_SOURCE_DIR} -I${PROJECT_SOURCE_DIR}/include
    -I${PROJECT_BINARY_DIR}/include)

file(GLOB cuda_kernel_sources CONFIGURE_DEPENDS kernels/cuda/*.cu)
set(cuda_images "")
set(cuda_image_rows "")
set(cuda_image_code "")
foreach(source IN LISTS cuda_kernel_sources)
  get_filename_component(name ${source} NAME_WE)
  if(TERCET_CUDA_IMAGES)
    set(image ${TERCET_CUDA_IMAGES}/${name}.fatbin)
  else()
    set(image ${PROJECT_BINARY_DIR}/cuda/${name}.fatbin)
    add_custom_command(
      OUTPUT ${image} DEPENDS ${source} DEPFILE ${image}.d
      COMMAND ${TERCET_NVCC} -fatbin ${cuda_codes} ${cuda_flags} -MD -MF ${image}.d -MT ${image} -o ${image} ${source}
      COMMENT "nvcc kernels/cuda/${name}.cu" VERBATIM)
  endif()
  list(APPEND cuda_images ${image})
  string(APPEND cuda_image_code "IMAGE(${name}, \"${image}\")\n")
  string(APPEND cuda_image_rows "    {\"${name}\", tct_cuda_image_${name}},\n")
endforeach()
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/cuda)
string(REPLACE ";" ", " cuda_architecture_list "${TERCET_CUDA_ARCHITECTURES}")
list(LENGTH TERCET_CUDA_ARCHITECTURES n_cuda_architectures)
list(LENGTH cuda_kernel_sources n_cuda_images)
set(cuda_image_source ${PROJECT_BINARY_DIR}/generated/cuda_images.c)
file(CONFIGURE OUTPUT ${cuda_image_source} CONTENT "/* Written by cmake/cuda.cmake. */
#include \"backends/cuda/image.h\"

#define IMAGE(name, path) \\
  extern const unsigned char tct_cuda_image_##name[]; \\
  __asm__(\".pushsection .rodata\\n.balign 64\\n.globl tct_cuda_image_\" #name \"\\n.hidden tct_cuda_image_\" #name \\
          \"\\ntct_cuda_image_\" #name \":\\n.incbin \\\"\" path \"\\\"\\n.byte 0\\n.popsection\");
@cuda_image_code@
const tct_cuda_image tct_cuda_images[] = {
@cuda_image_rows@};
const int32_t tct_cuda_n_images = @n_cuda_images@;
const int32_t tct_cuda_architectures[] = {@cuda_architecture_list@};
const int32_t tct_cuda_n_architectures = @n_cuda_architectures@;
" @ONLY)
set_source_files_properties(${cuda_image_source} PROPERTIES OBJECT_DEPENDS "${cuda_images}")

# ---- the module ----

file(GLOB cuda_sources CONFIGURE_DEPENDS backends/cuda/*.c backends/cuda/libraries/*.c backends/cuda/ops/*.c)
add_library(tercet_cuda MODULE ${cuda_sources} ${cuda_image_source})
target_include_directories(tercet_cuda PRIVATE ${tercet_include} ${PROJECT_SOURCE_DIR})
target_include_directories(tercet_cuda SYSTEM PRIVATE ${TERCET_CUDA_INCLUDE})
target_compile_options(tercet_cuda PRIVATE $<$<CONFIG:Release>:-O2>)
if(TERCET_COVERAGE)
  target_compile_options(tercet_cuda PRIVATE -O0 -fno-inline --coverage -fprofile-update=atomic)
endif()
target_link_libraries(tercet_cuda PRIVATE tercet_flags ${CMAKE_DL_LIBS})
# The module calls nothing but libc by name: what it needs of Tercet comes through the host's table.
if(NOT TERCET_SANITIZE AND NOT TERCET_SANITIZE_THREAD)
  target_link_options(tercet_cuda PRIVATE -Wl,--no-undefined)
endif()
set_target_properties(tercet_cuda PROPERTIES OUTPUT_NAME tercet-cuda LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/modules/cuda)
install(TARGETS tercet_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/tercet COMPONENT gpu)
