# What the projects of strangers have in common. How they are built is told from outside:
#   CMAKE_CXX_STANDARD, CMAKE_CXX_FLAGS   as in any project
#   CONSUMER_COMPONENT                    the library nash_swarm::<component> that is linked
#   CONSUMER_KERNELS                      a file that has the kernels, compiled once for all

# Adds the program.
function(add_consumer name)
  add_executable(${name} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/main.cpp)
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF)
  target_link_libraries(${name} PRIVATE nash_swarm::${CONSUMER_COMPONENT} ${CONSUMER_KERNELS})
  target_compile_definitions(
    ${name} PRIVATE NASH_SWARM_KERNELS_ELSEWHERE
                    $<$<NOT:$<STREQUAL:${CONSUMER_COMPONENT},matmul>>:CONSUMER_QUANTIZES>
                    $<$<STREQUAL:${CONSUMER_COMPONENT},io>:CONSUMER_READS_FILES>)
  target_compile_options(
    ${name} PRIVATE -Werror -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wold-style-cast)

  get_property(tests DIRECTORY PROPERTY TESTS)
  if(tests OR TARGET nash_swarm_tests)
    message(FATAL_ERROR "nash_swarm adds its tests to a host's project")
  endif()
endfunction()
