#include "hidden.hpp"

#include "../product.hpp"

bool hidden_product_is_right() {
  const nash_swarm::PackedMatrix matrix(Product::parts());
  return Product::is_right(matrix, Product::output(matrix));
}
