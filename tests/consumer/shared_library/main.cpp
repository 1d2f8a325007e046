#include <cstdio>

#include "../product.hpp"
#include "hidden.hpp"

int main() {
  const nash_swarm::PackedMatrix matrix(Product::parts());
  const bool own = Product::is_right(matrix, Product::output(matrix));
  const bool hidden = hidden_product_is_right();
  std::printf("own %s, hidden %s\n", own ? "right" : "wrong", hidden ? "right" : "wrong");
  return own && hidden ? 0 : 1;
}
