# Files csrc/cpu/isa_<name>.cpp hold the same kernels, each compiled for one instruction set;
# the one to use is chosen at start-up. Nothing else is compiled for more than the baseline, so an
# installed wheel runs on any machine of its architecture.

set(CAVS_ISA_FLAGS_generic "")
set(CAVS_ISA_FLAGS_avx2 -mavx2 -mfma)
set(CAVS_ISA_FLAGS_avx512 -mavx512f -mavx512vl -mavx512dq -mavx512bw -mavx2 -mfma
                          -mprefer-vector-width=512)
# What vectorisation needs and no result depends on. Not -ffast-math: it breaks the rounding trick of
# the exponential.
set(CAVS_ISA_COMMON_FLAGS -fno-math-errno -fno-trapping-math -ffp-contract=fast)

# Gives each isa_<name>.cpp of the list its flags; on other processors than x86-64 takes all but
# isa_generic.cpp out of the list.
function(cavs_set_isa_flags sources_variable)
  set(sources ${${sources_variable}})
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    list(FILTER sources EXCLUDE REGEX "/isa_avx[a-z0-9]*\\.cpp$")
  endif()
  foreach(source IN LISTS sources)
    if(source MATCHES "/isa_([a-z0-9]+)\\.cpp$")
      set(isa ${CMAKE_MATCH_1})
      if(NOT DEFINED CAVS_ISA_FLAGS_${isa})
        message(FATAL_ERROR "[build] no compiler flags for instruction set '${isa}' of ${source}; "
                            "add CAVS_ISA_FLAGS_${isa} to cmake/CavsKernels.cmake")
      endif()
      set_source_files_properties(
        ${source} PROPERTIES COMPILE_OPTIONS "${CAVS_ISA_FLAGS_${isa}};${CAVS_ISA_COMMON_FLAGS}")
    endif()
  endforeach()
  set(${sources_variable} ${sources} PARENT_SCOPE)
endfunction()
