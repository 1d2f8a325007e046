# A stranger's project (consumer/) uses the library in every way that is offered.
set(prefix ${CMAKE_CURRENT_BINARY_DIR}/prefix)
math(EXPR next_minor "${PROJECT_VERSION_MINOR} + 1")
set(next_version ${PROJECT_VERSION_MAJOR}.${next_minor})

add_test(NAME consumer.install
         COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${prefix})
set_tests_properties(
  consumer.install PROPERTIES FIXTURES_SETUP nash_swarm_prefix LABELS consumer)

# Configures, builds and runs the consumer with the given options.
function(nash_swarm_add_consumer_test name)
  set(binary_dir ${CMAKE_CURRENT_BINARY_DIR}/consumer_${name})
  add_test(
    NAME consumer.${name}
    COMMAND
      ${CMAKE_CTEST_COMMAND} --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/consumer ${binary_dir}
      --build-generator ${CMAKE_GENERATOR} --build-makeprogram ${CMAKE_MAKE_PROGRAM}
      --build-options -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} -DCMAKE_BUILD_TYPE=Debug ${ARGN}
      --test-command ${binary_dir}/consumer)
  set_tests_properties(
    consumer.${name} PROPERTIES FIXTURES_REQUIRED nash_swarm_prefix LABELS consumer TIMEOUT 300)
endfunction()

set(without_dependencies
    -DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON)
set(installed -DCONSUMER_PREFIX=${prefix})
set(subdirectory -DCONSUMER_SOURCE_DIR=${PROJECT_SOURCE_DIR})

nash_swarm_add_consumer_test(find_package ${installed} -DCONSUMER_VERSION=${PROJECT_VERSION})
nash_swarm_add_consumer_test(
  find_package_matmul ${installed} -DCONSUMER_COMPONENTS=matmul ${without_dependencies})
nash_swarm_add_consumer_test(find_package_io ${installed} -DCONSUMER_COMPONENTS=io)
nash_swarm_add_consumer_test(add_subdirectory ${subdirectory})
nash_swarm_add_consumer_test(
  add_subdirectory_matmul ${subdirectory} -DCONSUMER_COMPONENTS=matmul ${without_dependencies})
nash_swarm_add_consumer_test(pkg_config ${installed} -DCONSUMER_PKG_CONFIG=ON)

# The version that is not there must be refused, in words.
add_test(
  NAME consumer.refused_version
  COMMAND
    ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_SOURCE_DIR}/consumer
    -B ${CMAKE_CURRENT_BINARY_DIR}/consumer_refused_version -G ${CMAKE_GENERATOR}
    -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} ${installed} -DCONSUMER_VERSION=${next_version})
set_tests_properties(
  consumer.refused_version
  PROPERTIES FIXTURES_REQUIRED nash_swarm_prefix
             LABELS consumer
             PASS_REGULAR_EXPRESSION "not accepted:[^a-z]*[^ ]*nash_swarmConfig.cmake, version: ${PROJECT_VERSION}")
