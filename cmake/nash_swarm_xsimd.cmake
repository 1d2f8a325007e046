# Defines nash_swarm::xsimd, the headers of xsimd as system headers. Used by the build and by the
# installed package.
#
# xsimd is looked up by its header: the package file of Debian's xsimd 8.1 makes every user link a
# library `xtl` that is not there, and it lies in a folder of one architecture, where a cross build
# does not find it.
if(NOT TARGET nash_swarm::xsimd)
  find_path(NASH_SWARM_XSIMD_INCLUDE_DIR xsimd/xsimd.hpp)
  mark_as_advanced(NASH_SWARM_XSIMD_INCLUDE_DIR)
  if(NASH_SWARM_XSIMD_INCLUDE_DIR)
    add_library(nash_swarm::xsimd INTERFACE IMPORTED)
    set_target_properties(
      nash_swarm::xsimd PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${NASH_SWARM_XSIMD_INCLUDE_DIR}")
  elseif(TARGET xsimd)  # the host's own copy
    add_library(nash_swarm::xsimd INTERFACE IMPORTED)
    set_target_properties(nash_swarm::xsimd PROPERTIES INTERFACE_LINK_LIBRARIES xsimd)
  elseif(PROJECT_IS_TOP_LEVEL AND PROJECT_NAME STREQUAL "nash_swarm")
    message(FATAL_ERROR "xsimd/xsimd.hpp not found (Debian: libxsimd-dev)")
  endif()
endif()
