#include "programs/programs.hpp"

int main(int argc, char** argv) {
  return programs::evaluate("evaluate_gpt2", NASH_SWARM_EXAMPLE_DATA "/wiki-gpt2", argc, argv);
}
