#include "programs/programs.hpp"

int main(int argc, char** argv) {
  return programs::evaluate("evaluate_model", "", argc, argv);
}
