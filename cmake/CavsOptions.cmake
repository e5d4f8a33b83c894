# Validates the options that users set, and turns them into flags carried by `cavs_options`.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

if(NOT CAVS_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "[build] CAVS_CUDA must be AUTO, ON or OFF, got '${CAVS_CUDA}'")
endif()
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

add_library(cavs_options INTERFACE)
target_compile_options(cavs_options INTERFACE -Wall -Wextra)
# dl: OpenBLAS is opened at run time from the wheel scipy-openblas32, never linked.
target_link_libraries(cavs_options INTERFACE Threads::Threads ${CMAKE_DL_LIBS})

# An overflow that a check has missed ends the process instead of going on, and the tables that calls
# go through are read-only once the library is loaded. Sanitizers look for the same and more.
if(NOT CAVS_SANITIZE)
  target_compile_options(cavs_options INTERFACE -fstack-protector-strong)
  # Needs optimisation; a compiler that sets it by itself warns of a second definition.
  target_compile_options(cavs_options INTERFACE
    $<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE$<SEMICOLON>-D_FORTIFY_SOURCE=2>)
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    target_link_options(cavs_options INTERFACE -Wl,-z,relro,-z,now)
  endif()
endif()

if(CAVS_SANITIZE)
  set(sanitize_flags -fsanitize=${CAVS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  target_compile_options(cavs_options INTERFACE ${sanitize_flags})
  target_link_options(cavs_options INTERFACE ${sanitize_flags})
endif()
