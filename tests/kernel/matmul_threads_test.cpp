#include <nash_swarm/matmul.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "support/instruction_sets.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

using nash_swarm::ActivationBits;
using nash_swarm::Activations;
using nash_swarm::InstructionSet;
using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;
using support::bits_of;
using support::multiply;
using support::random_inputs;
using support::Row;
using support::rows_of;
using support::serial;

namespace {

/// Every task on a thread of its own.
struct ThreadPerTask {
  std::size_t tasks = 0;

  void run(std::size_t count, const std::function<void(std::size_t)>& body) {
    tasks = count;
    std::vector<std::thread> threads;
    for (std::size_t task = 0; task < count; ++task) threads.emplace_back(body, task);
    for (std::thread& thread : threads) thread.join();
  }
};

}  // namespace

TEST_CASE("matmul: any number of threads gives the same bits") {
  const auto basis = support::make_basis(200, 64, true);
  const PackedMatrix matrix = support::mixed_matrix(300, basis, 5);
  const Row x = random_inputs(33, 200, 3);
  const std::vector<std::uint32_t> expected = bits_of(multiply(matrix, x));
  for (const std::size_t threads : {1u, 2u, 3u}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 5; ++round) {
      CHECK(bits_of(multiply(matrix, rows_of(x, 200), 33, pool)) == expected);
    }
  }
}

TEST_CASE("matmul: one token on several threads gives the same bits with every set") {
  const auto basis = support::make_basis(512, 128, true);
  const Row inputs = random_inputs(1, 512, 4);
  const Activations x = quantize_activations(*basis, rows_of(inputs, 512), serial);
  ThreadPool pool(2);
  // Panels of one format, whose codes are read ahead, and of all formats.
  const std::size_t whole = nash_swarm::format_index("b3_l4");
  for (const PackedMatrix& matrix :
       {support::uniform_matrix(520, basis, whole, 6), support::mixed_matrix(520, basis, 6)}) {
    const std::vector<std::uint32_t> expected = bits_of(multiply(matrix, x, 1, serial));
    for (const InstructionSet set : support::supported_instruction_sets()) {
      CAPTURE(support::name_of(set));
      ThreadPerTask executor;
      CHECK(bits_of(multiply(matrix, x, executor, set)) == expected);
      CHECK(executor.tasks == 9);  // 520 outputs, 64 each
      CHECK(bits_of(multiply(matrix, x, pool, set)) == expected);
    }
  }
}

TEST_CASE("matmul: short products are one task, longer ones tasks of 64 outputs") {
  const PackedMatrix matrix = support::mixed_matrix(300, support::make_basis(130, 64, true), 5);
  for (const std::size_t tokens : {1u, 33u}) {
    const Activations x =
        quantize_activations(matrix.basis(), rows_of(random_inputs(tokens, 130, 3), 130), serial);
    ThreadPerTask executor;
    CHECK(bits_of(multiply(matrix, x, tokens, executor)) ==
          bits_of(multiply(matrix, x, tokens, serial)));
    CHECK(executor.tasks == (tokens == 1 ? 1u : 5u));
  }
}

TEST_CASE("matmul: 16-bit activations give the same bits with every set and number of threads") {
  const auto basis = support::make_basis(200, 64, true);
  const PackedMatrix matrix = support::mixed_matrix(300, basis, 5);
  for (const std::size_t tokens : {1u, 31u, 33u, 65u}) {
    CAPTURE(tokens);
    const Activations x = quantize_activations(*basis, rows_of(random_inputs(tokens, 200, 3), 200),
                                               serial, ActivationBits::sixteen);
    const std::vector<std::uint32_t> expected = bits_of(multiply(matrix, x, tokens, serial));
    ThreadPool pool(3);
    CHECK(bits_of(multiply(matrix, x, tokens, pool)) == expected);
    for (const InstructionSet set : support::supported_instruction_sets()) {
      CAPTURE(support::name_of(set));
      CHECK(bits_of(multiply(matrix, x, serial, set)) == expected);
    }
    // A token's outputs do not depend on the tokens beside it.
    const Row first = multiply(matrix,
                               quantize_activations(*basis, rows_of(random_inputs(1, 200, 3), 200),
                                                    serial, ActivationBits::sixteen),
                               1, serial);
    CHECK(std::equal(first.begin(), first.end(), multiply(matrix, x, tokens, serial).begin()));
  }
}
