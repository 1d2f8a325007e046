# Instructions on ARM, which g++'s optimised code takes.
if(CMAKE_CROSSCOMPILING_EMULATOR MATCHES "qemu-aarch64" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU"
   AND CMAKE_BUILD_TYPE STREQUAL "Release")
  add_executable(emulated_one_product emulated/one_product.cpp)
  target_link_libraries(
    emulated_one_product PRIVATE nash_swarm_kernels nash_swarm_warnings doctest::doctest)
  target_include_directories(emulated_one_product PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(emulated_one_product PRIVATE DOCTEST_CONFIG_DISABLE)
  target_link_options(emulated_one_product PRIVATE -static)  # addresses are those of the file
  set(case "instruction budget: one token's products on ARM")
  add_test(
    NAME ${case}
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/emulated/arm_budgets.sh ${CMAKE_NM}
            $<TARGET_FILE:emulated_one_product> ${CMAKE_CROSSCOMPILING_EMULATOR})
  set_tests_properties(${case} PROPERTIES TIMEOUT 900)
endif()

# Machines that lack the newest instructions, emulated.
find_program(NASH_SWARM_QEMU_X86_64 qemu-x86_64)
mark_as_advanced(NASH_SWARM_QEMU_X86_64)
# A sanitizer or an option like -march=native would be what is tested, not the library's choice.
if(NOT NASH_SWARM_QEMU_X86_64 OR CMAKE_CROSSCOMPILING OR NASH_SWARM_TESTS_OF
   OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$"
   OR NOT CMAKE_BUILD_TYPE STREQUAL "Release"
   OR CMAKE_CXX_FLAGS MATCHES "-fsanitize|-m(arch|cpu|sse|avx)")
  return()
endif()

# Adds a test of a command on an emulated machine; what the caller's environment forces is ignored.
function(nash_swarm_add_emulated_test name cpu)
  add_test(NAME "emulated.${name}" COMMAND ${NASH_SWARM_QEMU_X86_64} -cpu ${cpu} ${ARGN})
  set_tests_properties("emulated.${name}" PROPERTIES ENVIRONMENT NASH_SWARM_INSTRUCTION_SET=
                                                     LABELS emulated TIMEOUT 900)
endfunction()

# Files of a program that are compiled for different machines. The linker keeps the first copy of
# what several of them define, so the order of the files matters if anything does. What is compiled
# for AVX-512 is not called, since it cannot be emulated: it must not be what the others call.
foreach(machine x86-64 haswell icelake-server)
  add_library(emulated_${machine} OBJECT emulated/multiply.cpp)
  target_link_libraries(emulated_${machine} PRIVATE nash_swarm::matmul nash_swarm_warnings)
  # -O1 keeps more functions apart, for the linker to choose among.
  target_compile_options(emulated_${machine} PRIVATE -O1 -march=${machine})
  list(APPEND oldest_first $<TARGET_OBJECTS:emulated_${machine}>)
  list(PREPEND newest_first $<TARGET_OBJECTS:emulated_${machine}>)
endforeach()
add_library(emulated_main OBJECT emulated/main.cpp)
target_link_libraries(
  emulated_main PRIVATE nash_swarm::matmul nash_swarm_warnings doctest::doctest)
target_include_directories(emulated_main PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(emulated_main PRIVATE DOCTEST_CONFIG_DISABLE)
foreach(order oldest_first newest_first)
  add_executable(emulated_${order} ${${order}} $<TARGET_OBJECTS:emulated_main>)
  target_link_libraries(emulated_${order} PRIVATE nash_swarm::matmul)
  set(program $<TARGET_FILE:emulated_${order}>)
  nash_swarm_add_emulated_test(${order}.nehalem Nehalem ${program} baseline portable)
  nash_swarm_add_emulated_test(${order}.haswell Haswell ${program} baseline avx2)
  nash_swarm_add_emulated_test(${order}.haswell_file Haswell ${program} haswell avx2)
  nash_swarm_add_emulated_test(${order}.refused Nehalem ${program} baseline avx2)
  set_tests_properties(
    emulated.${order}.refused
    PROPERTIES ENVIRONMENT NASH_SWARM_INSTRUCTION_SET=avx2
               PASS_REGULAR_EXPRESSION
               "NASH_SWARM_INSTRUCTION_SET: this machine has no \"avx2\"\\$<SEMICOLON> use portable")
endforeach()

# What these files define and share.
foreach(pair avx2:haswell avx512vbmi:icelake-server)
  string(REGEX MATCH "(.*):(.*)" pair ${pair})
  add_test(
    NAME emulated.shared_functions.${CMAKE_MATCH_1}
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/emulated/shared_functions.sh ${CMAKE_NM} ${CMAKE_OBJDUMP}
            target_${CMAKE_MATCH_1} $<TARGET_OBJECTS:emulated_${CMAKE_MATCH_2}>)
  set_tests_properties(
    emulated.shared_functions.${CMAKE_MATCH_1} PROPERTIES LABELS emulated TIMEOUT 900)
endforeach()

# The tests of the kernels.
foreach(cpu Nehalem Haswell)
  nash_swarm_add_emulated_test(
    kernels.${cpu} ${cpu} $<TARGET_FILE:nash_swarm_tests> "--source-file=*/kernel/*")
  set_tests_properties(
    emulated.kernels.${cpu} PROPERTIES FAIL_REGULAR_EXPRESSION "test cases: +0")
endforeach()
