# What holds for the programs of this project and never for a host: build type, dialect, warnings.

if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
  endif()
  if(NOT DEFINED CMAKE_COMPILE_WARNING_AS_ERROR)
    set(CMAKE_COMPILE_WARNING_AS_ERROR ON)
  endif()
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()
set(CMAKE_CXX_EXTENSIONS OFF)

add_library(nash_swarm_warnings INTERFACE)
target_compile_options(
  nash_swarm_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow)
# g++ 12 warns falsely about std::string (-Wrestrict, its bug 105651) and about nlohmann_json and
# Eigen (-Wmaybe-uninitialized) once they are inlined.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(
    nash_swarm_warnings INTERFACE -Wno-restrict -Wno-maybe-uninitialized)
endif()

# What takes long to compile, once for all that link it.
add_library(nash_swarm_kernels STATIC EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/kernels.cpp)
target_link_libraries(nash_swarm_kernels PUBLIC nash_swarm::nash_swarm PRIVATE nash_swarm_warnings)
target_compile_definitions(nash_swarm_kernels INTERFACE NASH_SWARM_KERNELS_ELSEWHERE)
# What lies in a shared library must not depend on its address. Hidden, it is as fast as before.
set_target_properties(
  nash_swarm_kernels PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden)

# Every header compiles alone, and none reaches for what its library does not depend on.
function(nash_swarm_verify_headers library)
  get_target_property(headers ${library} HEADER_SET)
  foreach(header IN LISTS headers)
    cmake_path(RELATIVE_PATH header BASE_DIRECTORY ${PROJECT_SOURCE_DIR}/include
               OUTPUT_VARIABLE name)
    set(source ${PROJECT_BINARY_DIR}/alone/${name}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include <${name}>\n")
    list(APPEND sources ${source})
    # What others define is compiled with them.
    file(STRINGS ${header} definitions REGEX NASH_SWARM_DEFINITION LIMIT_COUNT 1)
    if(NOT definitions)
      set_source_files_properties(
        ${source} PROPERTIES COMPILE_DEFINITIONS NASH_SWARM_KERNELS_ELSEWHERE)
    endif()
  endforeach()
  add_library(${library}_alone OBJECT ${sources})
  target_link_libraries(${library}_alone PRIVATE ${library} nash_swarm_warnings)
  target_compile_options(${library}_alone PRIVATE -O0)
  set_target_properties(${library}_alone PROPERTIES UNITY_BUILD OFF)
endfunction()
if(NASH_SWARM_VERIFY_HEADERS)
  foreach(library matmul nash_swarm io)
    nash_swarm_verify_headers(nash_swarm_${library})
  endforeach()
endif()
