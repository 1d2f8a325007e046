#include "programs/programs.hpp"

int main(int argc, char** argv) {
  return programs::generate("generate_model", "", argc, argv);
}
