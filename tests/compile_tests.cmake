# Tests of what the compiler must accept and refuse, and of what a header may include.
set(compile
    ${CMAKE_CXX_COMPILER} -std=c++20 -fsyntax-only -I ${PROJECT_SOURCE_DIR}/include)

# Misuse must not compile. Every file holds the right use as well, under NASH_SWARM_CONTROL, so that
# it fails for the misuse and nothing else.
file(GLOB sources CONFIGURE_DEPENDS */compile_fail/*.cpp)
foreach(source IN LISTS sources)
  cmake_path(GET source STEM name)
  add_test(NAME "compile_fail.${name}" COMMAND ${compile} ${source})
  set_tests_properties("compile_fail.${name}" PROPERTIES WILL_FAIL TRUE)
  add_test(NAME "compile_fail.${name}.control"
           COMMAND ${compile} -DNASH_SWARM_CONTROL ${source})
endforeach()

# A host that only runs packed models needs nothing but the compiler.
if(EXISTS ${PROJECT_SOURCE_DIR}/include/nash_swarm/matmul.hpp)
  add_test(NAME "matmul.hpp includes no other library"
           COMMAND ${compile} -M -x c++ ${PROJECT_SOURCE_DIR}/include/nash_swarm/matmul.hpp)
  set_tests_properties(
    "matmul.hpp includes no other library"
    PROPERTIES PASS_REGULAR_EXPRESSION "core/tensor_view\\.hpp"
               FAIL_REGULAR_EXPRESSION "[/ ]xsimd/;[/ ]Eigen/;[/ ]nlohmann/;[Ee]rror:")
endif()

# Hosts that compile with -ffast-math may multiply.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT NASH_SWARM_TESTS_OF)
  add_executable(nash_swarm_fast_math fast_math/main.cpp)
  target_link_libraries(nash_swarm_fast_math PRIVATE nash_swarm::matmul nash_swarm_warnings)
  target_compile_options(nash_swarm_fast_math PRIVATE -O2 -ffast-math)
  add_test(NAME "fast math: NaN and rounding are what they are else" COMMAND nash_swarm_fast_math)
endif()
