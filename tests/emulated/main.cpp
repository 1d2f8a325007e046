// emulated <baseline|haswell> <instruction set>: succeeds if the file compiled for that machine
// multiplies with that instruction set and finds the golden bits.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string_view>

#include "multiply.hpp"
#include "support/golden_product.hpp"

namespace {

int run(Multiply multiply, std::string_view expected_set) {
  support::Fnv1a products;
  bool same_set = true;
  nash_swarm::ThreadPool pool(2);
  support::for_each_golden_matrix(
      [&](const nash_swarm::PackedMatrix& matrix, const support::Row& x) {
        support::Row y(support::golden_tokens * matrix.out_features());
        const nash_swarm::InstructionSet set =
            multiply(matrix, x.data(), y.data(), support::golden_tokens, pool);
        for (const auto& entry : nash_swarm::instruction_sets) {
          if (entry.set == set) same_set = same_set && entry.name == expected_set;
        }
        products.add(y);
      });
  const bool same_bits = products.value() == support::golden_product_hash;
  std::printf("%s instruction set, %s bits\n", same_set ? "expected" : "another",
              same_bits ? "golden" : "other");
  return same_set && same_bits ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    return run(argv[1] == std::string_view("haswell") ? &multiply_haswell : &multiply_baseline,
               argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
