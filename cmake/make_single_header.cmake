# Makes one file of a header and all of nash_swarm that it includes, loop texts too:
#   cmake -DHEADER=quantize.hpp -DINCLUDE_DIR=include -DOUTPUT=nash_swarm.hpp -P make_single_header.cmake
# A header comes where it is included first, or behind a guard wherever it is included while that
# was under conditions. What other libraries have stays included.
cmake_minimum_required(VERSION 3.24)

# What replaces text, by kind: an #include of a file, the name of a loop text, its #include.
set(include "\n#include <nash_swarm/([^>\n]+)>")
set(name_text "\n#define NASH_SWARM_TEXT <nash_swarm/([^>\n]+)>")
set(include_text "\n#include NASH_SWARM_TEXT")

set(output "#pragma once\n// nash_swarm/${HEADER} and all that it includes, in one file. License: Apache-2.0.\n")
set(alone "a single header of nash_swarm goes with no other header of it in one file")
string(APPEND output "#if defined(NASH_SWARM_TARGET)\n#error \"${alone}\"\n#endif\n")
set(rest "\n#include <nash_swarm/${HEADER}>\n")
set(done "")         # headers that are there under all conditions
set(conditional "")  # headers that are there behind a guard
set(depth 0)         # of conditions
set(text "")         # the loop text that has the name NASH_SWARM_TEXT
while(rest MATCHES "${include}|${name_text}|${include_text}")
  set(match "${CMAKE_MATCH_0}")
  set(file "${CMAKE_MATCH_1}${CMAKE_MATCH_2}")
  string(FIND "${rest}" "${match}" place)
  string(SUBSTRING "${rest}" 0 ${place} before)
  string(LENGTH "${match}" length)
  math(EXPR place "${place} + ${length}")
  string(SUBSTRING "${rest}" ${place} -1 rest)
  string(APPEND output "${before}")
  string(REGEX MATCHALL "\n#if" opened "${before}")
  string(REGEX MATCHALL "\n#endif" closed "${before}")
  list(LENGTH opened opened)
  list(LENGTH closed closed)
  math(EXPR depth "${depth} + ${opened} - ${closed}")

  if(match MATCHES "^\n#define")
    set(text "${file}")
    continue()
  elseif(NOT file)
    set(file "${text}")
  endif()
  if(file IN_LIST done)
    continue()
  endif()
  file(READ "${INCLUDE_DIR}/nash_swarm/${file}" content)
  string(REPLACE "#pragma once\n" "" content "${content}")
  if(file MATCHES "\\.hpp$")
    if(depth GREATER 0)
      list(APPEND conditional "${file}")
    else()
      list(APPEND done "${file}")
    endif()
    if(file IN_LIST conditional)
      string(MAKE_C_IDENTIFIER "NASH_SWARM_SINGLE_${file}" guard)
      set(content "#if !defined(${guard})\n#define ${guard}\n${content}\n#endif\n")
    endif()
  endif()
  set(rest "\n${content}${rest}")
endwhile()
string(APPEND output "${rest}")
string(REPLACE "\n#undef NASH_SWARM_TEXT\n" "\n" output "${output}")
string(REGEX REPLACE "\n\n\n+" "\n\n" output "${output}")
string(APPEND output "#define NASH_SWARM_SINGLE_HEADER\n")
file(WRITE "${OUTPUT}" "${output}")
