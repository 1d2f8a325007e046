// Multiplies by a packed matrix, checks the result and prints its bits; what else is included is
// used a little.
#include "product.hpp"

#if defined(CONSUMER_QUANTIZES) && !defined(CONSUMER_SINGLE_HEADER)
#include <nash_swarm/quantize.hpp>
#endif
#if defined(CONSUMER_READS_FILES)
#include <nash_swarm/io/packed_model.hpp>
#endif

#include <cstdio>

int main() {
  const nash_swarm::PackedMatrix matrix(Product::parts());
  const std::vector<float> y = Product::output(matrix);
  for (const float value : y) std::printf("%a\n", static_cast<double>(value));
  bool right = Product::is_right(matrix, y);
#if defined(CONSUMER_QUANTIZES)
  right = right && nash_swarm::Budget::bits(3.0).for_weights(800) == 300;
#endif
#if defined(CONSUMER_READS_FILES)
  right = right && nash_swarm::packed_model_sizes({}, {}).matrix_bytes == 0;
#endif
  std::printf("%s\n", right ? "right" : "wrong");
  return right ? 0 : 1;
}
