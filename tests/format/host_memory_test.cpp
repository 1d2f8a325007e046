#include <nash_swarm/format/host_memory.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <nash_swarm/matmul.hpp>

#include "io/support.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"

namespace {

using nash_swarm::copy_to_memory;
using nash_swarm::PackedMatrix;
using nash_swarm::test::contains;
using nash_swarm::test::message_of;

/// Memory of a host, filled with ones; counts the blocks that are in use.
struct HostMemory {
  int blocks = 0;

  std::shared_ptr<std::byte> take(std::size_t bytes) {
    constexpr std::align_val_t alignment{nash_swarm::packed_alignment};
    ++blocks;
    auto* const memory = static_cast<std::byte*>(::operator new(bytes, alignment));
    std::fill_n(memory, bytes, std::byte{0xff});
    return {memory, [this](std::byte* block) {
              ::operator delete(block, alignment);
              --blocks;
            }};
  }
};

bool lies_within(std::span<const std::byte> part, std::span<const std::byte> memory) {
  return part.data() >= memory.data() && part.data() + part.size() <= memory.data() + memory.size();
}

}  // namespace

TEST_CASE("host memory: a copy has all its bytes there, and outlives the matrix it was made of") {
  for (const bool ordered : {false, true}) {
    CAPTURE(ordered);
    HostMemory host;
    std::optional<PackedMatrix> given =
        support::mixed_matrix(37, support::make_basis(130, 64, true), 5);
    if (ordered) given = support::in_order(*given, support::random_row_order(37, 2));
    const support::Row x = support::random_inputs(2, 130, 3);
    const support::Row expected = support::multiply(*given, x);
    const std::size_t bytes = given->stored_bytes();
    {
      std::shared_ptr<std::byte> block = host.take(bytes);
      const std::span<std::byte> memory(block.get(), bytes);
      const PackedMatrix copy = copy_to_memory(*given, memory, std::move(block));
      given.reset();
      CHECK(copy.name() == "matrix");
      CHECK(copy.stored_bytes() == bytes);
      CHECK(lies_within(copy.codes(), memory));
      CHECK(lies_within(std::as_bytes(copy.row_scales()), memory));
      CHECK(lies_within(std::as_bytes(copy.run_table()), memory));
      if (ordered) CHECK(lies_within(std::as_bytes(copy.row_order_bytes()), memory));
      const PackedMatrix kept = copy;
      CHECK(support::bits_of(support::multiply(kept, x)) == support::bits_of(expected));
      CHECK(host.blocks == 1);
    }
    CHECK(host.blocks == 0);
  }
}

TEST_CASE("host memory: too little, not aligned, and no matrix are refused") {
  HostMemory host;
  const PackedMatrix matrix = support::mixed_matrix(16, support::make_basis(64, 0, false), 1);
  const std::size_t bytes = matrix.stored_bytes();
  const std::shared_ptr<std::byte> block = host.take(bytes + 1);
  CHECK(contains(message_of([&] {
                   copy_to_memory(matrix, {block.get(), bytes - 1});
                 }),
                 "matrix: " + std::to_string(bytes - 1) + " bytes"));
  CHECK(contains(message_of([&] {
                   copy_to_memory(matrix, {block.get() + 1, bytes});
                 }),
                 "not aligned"));
  CHECK(contains(message_of([&] {
                   copy_to_memory(PackedMatrix(), {block.get(), bytes});
                 }),
                 "the matrix is empty"));
}
