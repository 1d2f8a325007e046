// Multiplies by a packed matrix and checks the result; what else is included is used a little.
#include "product.hpp"

#if defined(CONSUMER_QUANTIZES)
#include <nash_swarm/quantize.hpp>
#endif
#if defined(CONSUMER_READS_FILES)
#include <nash_swarm/io/packed_model.hpp>
#endif

#include <cstdio>

int main() {
  const nash_swarm::PackedMatrix matrix(Product::parts());
  bool right = Product::is_right(matrix, Product::output(matrix));
#if defined(CONSUMER_QUANTIZES)
  right = right && nash_swarm::Budget::bits(3.0).for_weights(800) == 300;
#endif
#if defined(CONSUMER_READS_FILES)
  right = right && nash_swarm::packed_model_sizes({}, {}).matrix_bytes == 0;
#endif
  std::printf("%s\n", right ? "right" : "wrong");
  return right ? 0 : 1;
}
