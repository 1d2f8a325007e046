# Compares the section of README.md that shows how a host adopts the library with the difference of
# engine_before.cpp and engine_after.cpp, and counts its lines. With -D UPDATE=ON writes the section:
#
#   cmake -D UPDATE=ON -P examples/integrate/readme_diff.cmake
cmake_minimum_required(VERSION 3.24)

set(most_lines 30)
set(begin "<!-- engine.diff: begin -->\n")
set(end "<!-- engine.diff: end -->\n")
if(NOT DEFINED README)
  cmake_path(SET README NORMALIZE "${CMAKE_CURRENT_LIST_DIR}/../../README.md")
endif()

execute_process(
  COMMAND diff -U 1 --label engine_before.cpp --label engine_after.cpp engine_before.cpp
          engine_after.cpp
  WORKING_DIRECTORY ${CMAKE_CURRENT_LIST_DIR}
  OUTPUT_VARIABLE difference
  ERROR_VARIABLE problem
  RESULT_VARIABLE result)
if(NOT result EQUAL 1)  # 0: no difference
  message(FATAL_ERROR "diff of the engines: exit code ${result}; ${problem}")
endif()

string(REGEX MATCHALL "\n[+]" added "${difference}")
list(LENGTH added lines)
math(EXPR lines "${lines} - 1")  # that of the file's name
if(lines GREATER most_lines)
  message(FATAL_ERROR "engine_after.cpp: ${lines} lines are new or changed, of ${most_lines} at most")
endif()

file(READ ${README} readme)
string(FIND "${readme}" "${begin}" first)
string(FIND "${readme}" "${end}" last)
if(first EQUAL -1 OR last LESS first)
  message(FATAL_ERROR "${README}: no section between the lines\n${begin}${end}")
endif()
string(LENGTH "${begin}" length)
math(EXPR first "${first} + ${length}")
math(EXPR length "${last} - ${first}")
string(SUBSTRING "${readme}" ${first} ${length} section)
set(expected "```diff\n${difference}```\n")

if(UPDATE)
  string(SUBSTRING "${readme}" 0 ${first} before)
  string(SUBSTRING "${readme}" ${last} -1 after)
  file(WRITE ${README} "${before}${expected}${after}")
elseif(NOT section STREQUAL expected)
  message(FATAL_ERROR "${README}: the section is not the difference of the engines; write it with\n"
                      "cmake -D UPDATE=ON -P examples/integrate/readme_diff.cmake")
endif()
message(STATUS "${lines} lines are new or changed")
