#include "programs/programs.hpp"

int main(int argc, char** argv) {
  return programs::quantize("quantize_model", "", argc, argv);
}
