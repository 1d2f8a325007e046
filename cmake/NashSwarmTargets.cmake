# The three libraries that a host may link; all are headers only.
#
#   nash_swarm::matmul      runs packed models; depends on nothing but the compiler
#   nash_swarm::nash_swarm  quantizes as well; Eigen
#   nash_swarm::io          safetensors and packed files as well; nlohmann_json
#
# Each has the headers of its own rooms as a file set.

# Inside a host's project a missing dependency matters only to the library that uses it.
set(nash_swarm_required QUIET)
if(PROJECT_IS_TOP_LEVEL)
  set(nash_swarm_required REQUIRED)
endif()
find_package(Threads ${nash_swarm_required})
find_package(Eigen3 CONFIG ${nash_swarm_required})
find_package(nlohmann_json CONFIG ${nash_swarm_required})

# Adds the library nash_swarm::<name> with the headers that match one of the patterns (relative to
# include/nash_swarm).
function(nash_swarm_add_library name)
  set(target nash_swarm_${name})
  add_library(${target} INTERFACE)
  add_library(nash_swarm::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(${target} INTERFACE cxx_std_20)

  list(TRANSFORM ARGN PREPEND "${PROJECT_SOURCE_DIR}/include/nash_swarm/" OUTPUT_VARIABLE patterns)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${patterns})
  # A loop text (.inc) is included by a header and does not compile alone.
  set(headers ${files})
  list(FILTER headers INCLUDE REGEX "\\.hpp$")
  set(loops ${files})
  list(FILTER loops INCLUDE REGEX "\\.inc$")
  target_sources(
    ${target}
    INTERFACE FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${headers}
              FILE_SET loops TYPE HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${loops})
endfunction()

nash_swarm_add_library(
  matmul
  version.hpp matmul.hpp
  core/*.hpp core/*.inc format/*.hpp format/*.inc kernel/*.hpp kernel/*.inc)
target_link_libraries(nash_swarm_matmul INTERFACE Threads::Threads)

nash_swarm_add_library(
  nash_swarm quantize.hpp rounding/*.hpp rounding/*.inc calibration/*.hpp game/*.hpp model/*.hpp)
target_link_libraries(nash_swarm_nash_swarm INTERFACE nash_swarm_matmul Eigen3::Eigen)

nash_swarm_add_library(io io/*.hpp)
target_link_libraries(
  nash_swarm_io INTERFACE nash_swarm_nash_swarm nlohmann_json::nlohmann_json)
