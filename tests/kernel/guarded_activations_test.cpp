#include <nash_swarm/kernel/activation.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <list>
#include <memory>
#include <new>
#include <vector>

#include <nash_swarm/matmul.hpp>

#include "support/guarded_memory.hpp"
#include "support/instruction_sets.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

// Activations own their memory. So all aligned memory of this program, which is that of
// `AlignedBuffer`, borders on addresses without memory: a load that a sanitizer does not see, such
// as one of an inline assembly, ends the program as well.

using nash_swarm::ActivationBits;
using nash_swarm::Activations;
using nash_swarm::InputBasis;
using nash_swarm::InstructionSet;
using nash_swarm::PackedMatrix;
using support::GuardedArray;
using support::GuardedEnd;
using support::Row;
using support::serial;

namespace {

/// Of what is allocated next.
GuardedEnd guarded_end = GuardedEnd::back;

std::list<GuardedArray<std::byte>> guarded_blocks;

}  // namespace

void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto multiple = static_cast<std::size_t>(alignment);
  if (multiple > support::memory_page()) throw std::bad_alloc();
  const std::size_t bytes = nash_swarm::round_up(size, multiple);
  return guarded_blocks.emplace_back(bytes, guarded_end).values().data();
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  try {
    return ::operator new(size, alignment);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory, std::align_val_t) noexcept {
  guarded_blocks.remove_if([&](const auto& block) { return block.values().data() == memory; });
}
void operator delete(void* memory, std::size_t, std::align_val_t alignment) noexcept {
  ::operator delete(memory, alignment);
}

namespace {

/// All codes, sums and scales.
std::vector<std::byte> bytes_of(const Activations& x, const InputBasis& basis,
                                ActivationBits bits) {
  std::vector<std::byte> bytes(*Activations::bytes_of(x.tokens(), basis, bits));
  std::memcpy(bytes.data(), x.group(0).lanes, bytes.size());
  return bytes;
}

/// Matrices of every format alone, and of all of them mixed.
std::vector<PackedMatrix> all_matrices(std::size_t out,
                                       const std::shared_ptr<const InputBasis>& basis) {
  std::vector<PackedMatrix> matrices;
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    matrices.push_back(support::any_matrix(
        out, basis, [&](auto, auto) { return f; }, f));
  }
  matrices.push_back(support::any_matrix(out, basis, support::AnyFormat(out), out));
  return matrices;
}

Row product(const PackedMatrix& matrix, const Activations& x, InstructionSet set) {
  Row y(x.tokens() * matrix.out_features());
  nash_swarm::matmul(matrix, x, {y.data(), {x.tokens(), matrix.out_features()}}, serial, set);
  return y;
}

void check_products(const PackedMatrix& matrix, const Activations& x) {
  const auto expected = support::bits_of(product(matrix, x, InstructionSet::portable));
  for (const InstructionSet set : support::supported_instruction_sets()) {
    if (set == InstructionSet::portable) continue;
    CAPTURE(support::name_of(set));
    CHECK(support::bits_of(product(matrix, x, set)) == expected);
  }
}

struct Case {
  support::Shape shape;
  std::size_t rotation;
};

/// Activations of 16 rows are a multiple of 64 bytes, so that no byte lies between the last scale and
/// the end. Of 64 channels and one or two tokens, codes lie no more than 64 bytes before the end.
constexpr Case cases[] = {{{17, 512}, 64}, {{17, 256}, 256}, {{1, 64}, 64}};

}  // namespace

TEST_CASE("guarded activations: they begin or end where memory does") {
  const auto basis = support::make_basis(512, 64, false);
  const Row inputs = support::random_inputs(16, 512, 1);
  for (const GuardedEnd end : {GuardedEnd::front, GuardedEnd::back}) {
    guarded_end = end;
    const Activations x =
        nash_swarm::quantize_activations(*basis, support::rows_of(inputs, 512), serial);
    const auto first = reinterpret_cast<std::uintptr_t>(x.group(0).lanes);
    const std::size_t bytes =
        end == GuardedEnd::front ? 0 : *Activations::bytes_of(16, *basis, ActivationBits::eight);
    CHECK((first + bytes) % support::memory_page() == 0);
  }
}

TEST_CASE("guarded activations: products touch nothing beyond them") {
  for (const Case& own : cases) {
    CAPTURE(own.shape.in);
    const auto basis = support::make_basis(own.shape.in, own.rotation, false);
    const std::vector<PackedMatrix> matrices = all_matrices(own.shape.out, basis);
    for (const GuardedEnd end : {GuardedEnd::front, GuardedEnd::back}) {
      guarded_end = end;
      CAPTURE(static_cast<int>(end));
      for (const std::size_t tokens : {1u, 2u, 9u, 16u, 33u, 67u}) {
        CAPTURE(tokens);
        const Row inputs = support::random_inputs(tokens, own.shape.in, tokens);
        const Activations x = nash_swarm::quantize_activations(
            *basis, support::rows_of(inputs, own.shape.in), serial);
        for (std::size_t m = 0; m < matrices.size(); ++m) {
          CAPTURE(m < nash_swarm::format_count ? nash_swarm::format_table[m].name : "mixed");
          check_products(matrices[m], x);
        }
      }
    }
  }
}

TEST_CASE("guarded activations: rounding touches nothing beyond them and the inputs") {
  for (const GuardedEnd end : {GuardedEnd::front, GuardedEnd::back}) {
    guarded_end = end;
    CAPTURE(static_cast<int>(end));
    for (const std::size_t channels : {64u, 65u, 130u, 512u}) {
      support::for_each_basis(channels, [&](const auto& basis) {
        for (const std::size_t tokens : {1u, 2u, 9u, 33u}) {
          CAPTURE(tokens);
          const Row inputs = support::random_inputs(tokens, channels, tokens);
          const GuardedArray<float> guarded(inputs, end);
          for (const ActivationBits bits : {ActivationBits::eight, ActivationBits::sixteen}) {
            CAPTURE(static_cast<int>(bits));
            const auto rounded = [&](const float* x, InstructionSet set) {
              return bytes_of(
                  quantize_activations(*basis, {x, {tokens, channels}}, serial, bits, set), *basis,
                  bits);
            };
            const auto expected = rounded(inputs.data(), InstructionSet::portable);
            for (const InstructionSet set : support::supported_instruction_sets()) {
              CAPTURE(support::name_of(set));
              CHECK(rounded(guarded.values().data(), set) == expected);
            }
          }
        }
      });
    }
  }
}
