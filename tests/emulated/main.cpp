// emulated <baseline|haswell> <instruction set>: succeeds if the file compiled for that machine
// multiplies with that instruction set and finds the golden bits.
#include <cstddef>
#include <cstdio>
#include <exception>
#include <string_view>

#include "multiply.hpp"
#include "support/golden_product.hpp"
#include "support/instruction_sets.hpp"
#include "support/products.hpp"

namespace {

int run(Multiply multiply, std::string_view expected_set) {
  bool same_set = true;
  nash_swarm::ThreadPool pool(2);
  const auto product = [&](const nash_swarm::PackedMatrix& matrix, const support::Row& x) {
    const std::size_t tokens = x.size() / matrix.in_features();
    support::Row y(tokens * matrix.out_features());
    const nash_swarm::InstructionSet set = multiply(matrix, x.data(), y.data(), tokens, pool);
    same_set = same_set && support::name_of(set) == expected_set;
    return y;
  };
  bool same_bits = true;
  for (const std::size_t tokens : {support::golden_tokens, std::size_t{1}}) {
    same_bits =
        same_bits && support::hash_of_products(tokens, product) == support::golden_product_hash;
  }
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
