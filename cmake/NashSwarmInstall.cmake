# Headers, the CMake package (find_package(nash_swarm)), the pkg-config files and, as a component that
# has to be asked for, the headers that hold all in one file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/nash_swarm)

install(
  TARGETS nash_swarm_matmul nash_swarm_nash_swarm nash_swarm_io
  EXPORT nash_swarm
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILE_SET loops DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(
  EXPORT nash_swarm
  NAMESPACE nash_swarm::
  FILE nash_swarmTargets.cmake
  DESTINATION ${package_dir})

configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/nash_swarmConfig.cmake.in
  ${PROJECT_BINARY_DIR}/nash_swarmConfig.cmake
  INSTALL_DESTINATION ${package_dir})
# While the major version is 0, a new minor version may break hosts.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
else()
  set(compatibility SameMajorVersion)
endif()
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/nash_swarmConfigVersion.cmake
  COMPATIBILITY ${compatibility} ARCH_INDEPENDENT)
install(
  FILES ${PROJECT_BINARY_DIR}/nash_swarmConfig.cmake
        ${PROJECT_BINARY_DIR}/nash_swarmConfigVersion.cmake
  DESTINATION ${package_dir})

# nash_swarm_matmul is for hosts that only run packed models, as the CMake component is.
foreach(package nash_swarm nash_swarm_matmul)
  set(requires "")
  if(package STREQUAL "nash_swarm")
    set(requires "eigen3")
  endif()
  configure_file(${CMAKE_CURRENT_LIST_DIR}/nash_swarm.pc.in ${package}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${package}.pc
          DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
endforeach()

# nash_swarm.hpp is quantize.hpp and nash_swarm_matmul.hpp is matmul.hpp with all that they include.
set(headers ${CMAKE_CURRENT_LIST_DIR}/make_single_header.cmake)
foreach(target nash_swarm_matmul nash_swarm_nash_swarm)
  foreach(set HEADER_SET HEADER_SET_loops)
    get_target_property(files ${target} ${set})
    list(APPEND headers ${files})
  endforeach()
endforeach()
foreach(pair nash_swarm:quantize nash_swarm_matmul:matmul)
  string(REGEX REPLACE "(.*):(.*)" "${PROJECT_BINARY_DIR}/\\1.hpp" single ${pair})
  string(REGEX REPLACE "(.*):(.*)" "\\2.hpp" header ${pair})
  add_custom_command(
    OUTPUT ${single}
    COMMAND
      ${CMAKE_COMMAND} -DHEADER=${header} -DINCLUDE_DIR=${PROJECT_SOURCE_DIR}/include
      -DOUTPUT=${single} -P ${CMAKE_CURRENT_LIST_DIR}/make_single_header.cmake
    DEPENDS ${headers})
  list(APPEND single_headers ${single})
endforeach()
add_custom_target(nash_swarm_single_headers ALL DEPENDS ${single_headers})
install(FILES ${single_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT single_header EXCLUDE_FROM_ALL)
