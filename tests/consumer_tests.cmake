# Projects of strangers (consumer/) take the library in by every way that is offered. The compilers,
# dialects and optimisations of hosts are spread over the ways; the kernels are those of this build
# where they are not what is tested, since they take half a minute to compile.
set(prefix ${CMAKE_CURRENT_BINARY_DIR}/prefix)
set(single ${CMAKE_CURRENT_BINARY_DIR}/single)
set(archive ${CMAKE_CURRENT_BINARY_DIR}/nash_swarm.tar.gz)
set(kernels $<TARGET_FILE:nash_swarm_kernels>)
set(consumers ${CMAKE_CURRENT_SOURCE_DIR}/consumer)
set(warnings -Werror -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wold-style-cast)
math(EXPR next_minor "${PROJECT_VERSION_MINOR} + 1")

set(gnu g++)
set(clang clang++)
foreach(compiler gnu clang)
  find_program(NASH_SWARM_CONSUMER_${compiler} ${${compiler}})
  mark_as_advanced(NASH_SWARM_CONSUMER_${compiler})
  set(${compiler} ${NASH_SWARM_CONSUMER_${compiler}})
  if(NOT ${compiler})
    set(${compiler} ${CMAKE_CXX_COMPILER})
  endif()
endforeach()

# Adds a test labelled as those of consumers.
function(nash_swarm_add_labelled_test name)
  add_test(NAME consumer.${name} COMMAND ${ARGN})
  set_tests_properties(consumer.${name} PROPERTIES LABELS consumer TIMEOUT 300)
endfunction()

# What consumers take: the library installed, the headers in one file, and the source in an archive.
nash_swarm_add_labelled_test(
  install ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${prefix})
nash_swarm_add_labelled_test(
  install_single_header ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${single}
                        --component single_header)
nash_swarm_add_labelled_test(
  archive ${CMAKE_COMMAND} -E chdir ${PROJECT_SOURCE_DIR} ${CMAKE_COMMAND} -E tar czf ${archive} --
          CMakeLists.txt cmake include)
# FetchContent would keep what it has unpacked from an older archive.
nash_swarm_add_labelled_test(
  forget_archive ${CMAKE_COMMAND} -E rm -rf
                 ${CMAKE_CURRENT_BINARY_DIR}/consumer_fetch_content_archive)
set_tests_properties(
  consumer.install consumer.install_single_header consumer.archive consumer.forget_archive
  PROPERTIES FIXTURES_SETUP nash_swarm_to_take)

# Adds a test of something that takes the library.
function(nash_swarm_add_taking_test name)
  nash_swarm_add_labelled_test(${name} ${ARGN})
  set_tests_properties(consumer.${name} PROPERTIES FIXTURES_REQUIRED nash_swarm_to_take)
endfunction()

# Configures, builds and runs the project of the folder consumer/<way>.
#   nash_swarm_add_consumer_test(name way compiler standard flags option...)
function(nash_swarm_add_consumer_test name way compiler standard flags)
  set(binary_dir ${CMAKE_CURRENT_BINARY_DIR}/consumer_${name})
  nash_swarm_add_taking_test(
    ${name}
    ${CMAKE_CTEST_COMMAND} --build-and-test ${consumers}/${way} ${binary_dir}
    --build-generator ${CMAKE_GENERATOR} --build-makeprogram ${CMAKE_MAKE_PROGRAM}
    --build-options -DCMAKE_CXX_COMPILER=${compiler} -DCMAKE_CXX_STANDARD=${standard}
                    -DCMAKE_CXX_FLAGS=${flags} -DCONSUMER_KERNELS=${kernels} ${ARGN}
    --test-command ${binary_dir}/consumer)
endfunction()

set(without_dependencies
    -DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON)
set(all -DCONSUMER_COMPONENT=nash_swarm)
set(matmul -DCONSUMER_COMPONENT=matmul ${without_dependencies})
set(installed -DCONSUMER_PREFIX=${prefix})
set(source -DCONSUMER_SOURCE=${PROJECT_SOURCE_DIR})

nash_swarm_add_consumer_test(
  find_package find_package ${gnu} 20 -O2 ${all} ${installed} -DCONSUMER_VERSION=${PROJECT_VERSION})
nash_swarm_add_consumer_test(
  find_package_matmul find_package ${clang} 23 -O1 ${matmul} ${installed})
nash_swarm_add_consumer_test(
  find_package_io find_package ${clang} 20 -O0 -DCONSUMER_COMPONENT=io ${installed})
nash_swarm_add_consumer_test(add_subdirectory add_subdirectory ${gnu} 23 -O1 ${all} ${source})
nash_swarm_add_consumer_test(
  add_subdirectory_matmul add_subdirectory ${clang} 20 -O3 ${matmul} ${source})
nash_swarm_add_consumer_test(fetch_content fetch_content ${clang} 20 -O0 ${matmul} ${source})
nash_swarm_add_consumer_test(
  fetch_content_archive fetch_content ${gnu} 23 -O3 ${matmul} -DCONSUMER_SOURCE=${archive})
nash_swarm_add_consumer_test(
  shared_library shared_library ${gnu} 20 -O2 ${installed})
nash_swarm_add_consumer_test(
  single_header single_header ${gnu} 20 -O0 -DCONSUMER_SINGLE=${single})
nash_swarm_add_consumer_test(no_exceptions no_exceptions ${gnu} 20 -O2 ${installed})

# The shared library that consumer.shared_library has built shows its own function and none of
# nash_swarm. (Templates of the standard library for types of nash_swarm, such as
# std::vector<FormatId>, g++ does not always hide; they are the same in every version.)
set_tests_properties(consumer.shared_library PROPERTIES FIXTURES_SETUP nash_swarm_shared_library)
nash_swarm_add_labelled_test(
  shared_library.symbols ${CMAKE_NM} --dynamic --defined-only
                         ${CMAKE_CURRENT_BINARY_DIR}/consumer_shared_library/libhidden.so)
set_tests_properties(
  consumer.shared_library.symbols
  PROPERTIES FIXTURES_REQUIRED nash_swarm_shared_library
             PASS_REGULAR_EXPRESSION "hidden_product_is_right"
             FAIL_REGULAR_EXPRESSION "_Z[A-Z]*N[A-Z]*10nash_swarm;10Thread(Pool|Crew)")

# The program made of the one file prints what the program made of the headers does.
set_tests_properties(
  consumer.find_package consumer.single_header PROPERTIES FIXTURES_SETUP nash_swarm_same_program)
nash_swarm_add_labelled_test(
  single_header.output
  sh -c "./consumer_find_package/consumer > output.txt && ./consumer_single_header/consumer | cmp - output.txt")
set_tests_properties(
  consumer.single_header.output
  PROPERTIES FIXTURES_REQUIRED nash_swarm_same_program
             WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})

# Whatever is compiled of the one file is compiled of the headers.
get_target_property(eigen Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
foreach(pair nash_swarm:quantize nash_swarm_matmul:matmul)
  string(REGEX MATCH "(.*):(.*)" pair ${pair})
  nash_swarm_add_taking_test(
    single_header.text.${CMAKE_MATCH_1}
    ${consumers}/single_header/same_text.sh ${CMAKE_CURRENT_BINARY_DIR} ${CMAKE_MATCH_1}.hpp
    nash_swarm/${CMAKE_MATCH_2}.hpp ${CMAKE_CXX_COMPILER} -std=c++20 -I${single}/include
    -I${prefix}/include -I${eigen})
endforeach()

# The program of consumer.no_exceptions with nobody who handles errors.
set_tests_properties(consumer.no_exceptions PROPERTIES FIXTURES_SETUP nash_swarm_no_exceptions)
nash_swarm_add_labelled_test(
  no_exceptions.unhandled ${CMAKE_CURRENT_BINARY_DIR}/consumer_no_exceptions/consumer unhandled)
set_tests_properties(
  consumer.no_exceptions.unhandled
  PROPERTIES FIXTURES_REQUIRED nash_swarm_no_exceptions
             PASS_REGULAR_EXPRESSION
             "PackedMatrix: the matrix is empty.*load one first[^a-z]*terminated")
nash_swarm_add_labelled_test(
  no_exceptions.clang ${clang} -std=c++20 -fno-exceptions -fno-rtti -fsyntax-only ${warnings}
                      -I${PROJECT_SOURCE_DIR}/include ${consumers}/no_exceptions/main.cpp)

# A version that is not there must be refused, in words.
foreach(version ${PROJECT_VERSION_MAJOR}.${next_minor} 99)
  set(name refused_version.${version})
  nash_swarm_add_taking_test(
    ${name}
    ${CMAKE_COMMAND} -S ${consumers}/find_package -B ${CMAKE_CURRENT_BINARY_DIR}/consumer_${name}
    -G ${CMAKE_GENERATOR} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} ${matmul} ${installed}
    -DCONSUMER_VERSION=${version})
  set_tests_properties(
    consumer.${name}
    PROPERTIES PASS_REGULAR_EXPRESSION
               "not accepted:[^a-z]*[^ ]*nash_swarmConfig.cmake, version: ${PROJECT_VERSION}")
endforeach()

# Hosts without CMake.
find_program(NASH_SWARM_PKG_CONFIG pkg-config)
mark_as_advanced(NASH_SWARM_PKG_CONFIG)
if(NASH_SWARM_PKG_CONFIG)
  nash_swarm_add_taking_test(
    pkg_config ${consumers}/pkg_config/build.sh ${clang} nash_swarm header_only -std=c++2b -O0
               -DCONSUMER_QUANTIZES)
  nash_swarm_add_taking_test(
    pkg_config_matmul ${consumers}/pkg_config/build.sh ${gnu} nash_swarm_matmul ${kernels}
                      -std=c++20 -O2 ${warnings})
  nash_swarm_add_taking_test(
    pkg_config.version ${NASH_SWARM_PKG_CONFIG} --atleast-version=${PROJECT_VERSION} nash_swarm)
  nash_swarm_add_taking_test(
    pkg_config.refused_version ${NASH_SWARM_PKG_CONFIG} --print-errors
                               "nash_swarm >= ${PROJECT_VERSION_MAJOR}.${next_minor}")
  set_tests_properties(
    consumer.pkg_config consumer.pkg_config_matmul consumer.pkg_config.version
    consumer.pkg_config.refused_version
    PROPERTIES ENVIRONMENT PKG_CONFIG_PATH=${prefix}/${CMAKE_INSTALL_DATADIR}/pkgconfig)
  set_tests_properties(
    consumer.pkg_config.refused_version
    PROPERTIES PASS_REGULAR_EXPRESSION "version '${PROJECT_VERSION}', required version is")
endif()
