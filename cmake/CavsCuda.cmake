# The texts of the device's kernels as C++ string literals, in build/cuda_texts.cpp: NVRTC compiles them at run
# time, and needs the headers that they include as texts too.

# Writes FILE, a list {name, text} of the files `names`, which stand in `folder`.
function(cavs_embed_texts file folder names)
  set(content "// Made by cmake/CavsCuda.cmake.\n")
  foreach(name IN LISTS names)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${folder}/${name}")
    file(READ "${folder}/${name}" text)
    string(APPEND content "{\"${name}\", R\"cavs_text(${text})cavs_text\"},\n")
  endforeach()
  if(EXISTS "${file}")
    file(READ "${file}" before)
  endif()
  if(NOT "${before}" STREQUAL "${content}")
    file(WRITE "${file}" "${content}")
  endif()
endfunction()

# The name under which an #include finds each: relative to csrc/.
function(cavs_embed_kernels target)
  set(folder "${PROJECT_SOURCE_DIR}/csrc")
  file(GLOB names RELATIVE "${folder}" CONFIGURE_DEPENDS
       "${folder}/cuda/kernels/*.cu" "${folder}/cuda/kernels/*.h")
  list(APPEND names group/one_lane.h group/scalar_math.h group/scalar_ops.h group/scalar_functions.h
              group/special_double.h
              group/special_math.h runtime/optimizer_formulas.h)
  cavs_embed_texts("${PROJECT_BINARY_DIR}/cuda/kernel_texts.inc" "${folder}" "${names}")
  target_include_directories(${target} PRIVATE "${PROJECT_BINARY_DIR}")
endfunction()
