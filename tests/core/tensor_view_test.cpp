#include <nash_swarm/core/tensor_view.hpp>

#include <doctest/doctest.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "io/support.hpp"

using nash_swarm::Error;
using nash_swarm::TensorView;
using nash_swarm::test::contains;
using nash_swarm::test::message_of;

namespace {

template <class View, class... Index>
concept CanIndex = requires(View view, Index... index) {
  view(index...);
};
template <class View>
concept CanTranspose = requires(View view) {
  view.transposed();
};
template <class View>
concept CanTakeElement = requires(View view) {
  view[0];
};
template <class View>
concept CanWrite = requires(View view) {
  view(0, 0) = 1.0f;
};

struct Base {};
struct Derived : Base {};

using Matrix = TensorView<float, 2>;
using ConstMatrix = TensorView<const float, 2>;
using Vector = TensorView<float, 1>;

// const-ness: it can be added, never taken away, and never together with another change.
static_assert(std::is_convertible_v<Matrix, ConstMatrix>);
static_assert(!std::is_constructible_v<Matrix, ConstMatrix>);
static_assert(!std::is_constructible_v<TensorView<const double, 2>, Matrix>);
static_assert(!std::is_constructible_v<TensorView<const Base, 1>, TensorView<Derived, 1>>);
static_assert(CanWrite<Matrix> && !CanWrite<ConstMatrix>);
static_assert(!std::is_constructible_v<Matrix, const float*, const std::array<std::size_t, 2>&,
                                       const std::array<std::size_t, 2>&>);
// rank
static_assert(!std::is_constructible_v<Matrix, TensorView<float, 3>>);
static_assert(!std::is_constructible_v<TensorView<const float, 1>, Matrix>);
static_assert(CanIndex<Matrix, int, std::size_t> && !CanIndex<Matrix, int>);
static_assert(!CanIndex<Matrix, int, int, int> && !CanIndex<Matrix, int, float>);
static_assert(CanTranspose<Matrix> && !CanTranspose<TensorView<float, 1>> &&
              !CanTranspose<TensorView<float, 3>>);
static_assert(CanTakeElement<Matrix> && !CanTakeElement<TensorView<float, 1>>);
static_assert(std::same_as<decltype(Matrix{}[0]), TensorView<float, 1>>);
// A view is as cheap to pass as its members.
static_assert(std::is_trivially_copyable_v<Matrix>);

constexpr int numbers[6] = {0, 1, 2, 10, 11, 12};
constexpr TensorView<const int, 2> numbers_table{numbers, {2, 3}};
static_assert(numbers_table.size() == 6 && numbers_table.rank == 2 &&
              numbers_table.is_contiguous());
static_assert(numbers_table(1, 2) == 12 && numbers_table.transposed()(2, 1) == 12);
static_assert(numbers_table.slice(1, 1, 3).slice(0, 1, 2)(0, 0) == 11);
static_assert(numbers_table[1](1) == 11);
static_assert(TensorView<const int, 1>{numbers, {2}, {3}}(1) == 10);
static_assert(TensorView<int, 3>{}.empty());

constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();

}  // namespace

TEST_CASE("tensor_view: a dense view reads and writes the memory of its owner") {
  std::vector<float> memory(24);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  const TensorView<float, 3> view{memory.data(), {2, 3, 4}};
  CHECK(view.data() == memory.data());
  CHECK(view.strides() == std::array<std::size_t, 3>{12, 4, 1});
  CHECK(view(1, 2, 3) == 23.0f);
  view(1, 0, 2) = -1.0f;
  CHECK(memory[14] == -1.0f);
  CHECK(view[1][0](2) == -1.0f);
  CHECK(view[1].data() == memory.data() + 12);
}

TEST_CASE("tensor_view: extents come in any integer type") {
  float memory[6] = {};
  const int rows = 2;
  const std::int64_t columns = 3;
  const Matrix view{memory, {rows, columns}};
  CHECK(view.extents() == std::array<std::size_t, 2>{2, 3});
  const std::uint8_t stride = 3;
  const Matrix strided{memory, {rows, columns}, {stride, 1}};
  CHECK(strided.is_contiguous());
}

TEST_CASE("tensor_view: a transposed view is the same memory read the other way round") {
  float memory[6] = {0, 1, 2, 10, 11, 12};
  const Matrix view{memory, {2, 3}};
  const Matrix transposed = view.transposed();
  CHECK(transposed.extents() == std::array<std::size_t, 2>{3, 2});
  CHECK_FALSE(transposed.is_contiguous());
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 3; ++j) CHECK(&view(i, j) == &transposed(j, i));
  }
  CHECK(transposed.transposed().is_contiguous());
  CHECK(transposed[2](1) == 12.0f);
}

TEST_CASE("tensor_view: slices keep strides and refuse ranges outside") {
  float memory[12] = {};
  const Matrix view{memory, {3, 4}};
  const Matrix columns = view.slice(1, 1, 3);
  CHECK(columns.data() == memory + 1);
  CHECK(columns.strides() == view.strides());
  CHECK(columns.extents() == std::array<std::size_t, 2>{3, 2});
  CHECK_FALSE(columns.is_contiguous());
  CHECK(view.slice(0, 1, 3).is_contiguous());
  CHECK(view.slice(0, 3, 3).empty());
  CHECK(view.transposed().slice(0, 2, 4).data() == memory + 2);
  CHECK(contains(message_of([&] { view.slice(0, 2, 4); }), "slice [2, 4) of dimension 0"));
  CHECK(contains(message_of([&] { view.slice(1, 3, 2); }), "slice [3, 2) of dimension 1"));
  CHECK_THROWS_AS(view.slice(2, 0, 0), Error);
  CHECK(contains(message_of([&] { view[3]; }), "index 3 of dimension 0 with extent 3"));
}

TEST_CASE("tensor_view: a stride that leads nowhere does not break contiguity") {
  float memory[20] = {};
  const Matrix view{memory, {4, 5}};
  CHECK(view.slice(0, 1, 2).slice(1, 0, 3).is_contiguous());
  CHECK(Matrix{memory, {1, 5}, {99, 1}}.is_contiguous());
  CHECK(Matrix{memory, {4, 1}, {1, 7}}.is_contiguous());
  CHECK_FALSE(Matrix{memory, {4, 1}, {5, 1}}.is_contiguous());
  CHECK(Matrix{nullptr, {0, 3}, {8, 2}}.is_contiguous());
}

TEST_CASE("tensor_view: a view on constants sees the same elements") {
  float memory[6] = {0, 1, 2, 3, 4, 5};
  const Matrix view = Matrix{memory, {2, 3}}.transposed();
  const ConstMatrix constant = view;
  CHECK(constant.data() == memory);
  CHECK(constant.extents() == view.extents());
  CHECK(constant.strides() == view.strides());
  CHECK(constant(2, 1) == 5.0f);
}

TEST_CASE("tensor_view: null pointers are for views without elements") {
  float* const nowhere = nullptr;
  CHECK(contains(message_of([&] { Matrix(nowhere, {2, 3}); }), "TensorView: null pointer"));
  CHECK(Matrix(nowhere, {2, 0}).empty());
  CHECK(Matrix(nowhere, {3, 0})[2].empty());
  CHECK(Matrix(nowhere, {0, 3}).slice(1, 1, 2).empty());
}

TEST_CASE("tensor_view: negative extents and strides are refused") {
  float memory[6] = {};
  CHECK(contains(message_of([&] { Matrix(memory, {2, -3}); }), "negative extent or stride -3"));
  CHECK_THROWS_AS(Matrix(memory, {2, 3}, {-3, 1}), Error);
  CHECK_THROWS_AS(Matrix(memory, {std::int64_t{-1}, std::int64_t{3}}), Error);
}

TEST_CASE("tensor_view: sizes that overflow are refused") {
  float memory[6] = {};
  CHECK(contains(message_of([&] { Matrix(memory, {huge / 2, huge / 2}); }), "overflows"));
  CHECK_THROWS_AS(Matrix(memory, {huge, 1}), Error);
  // 2^32 · 2^32 wraps to 0: the product must not be trusted.
  CHECK_THROWS_AS(Matrix(memory, {std::uint64_t{1} << 32, std::uint64_t{1} << 32}), Error);
  CHECK_THROWS_AS(Matrix(memory, {2, 2}, {huge / 2, 1}), Error);
  CHECK_THROWS_AS(Matrix(memory, {3, 3}, {huge / 12, huge / 12}), Error);
  CHECK_THROWS_AS(Matrix(memory, {huge / 4, std::size_t{2}}, {0, 0}), Error);
  // The largest size whose bytes fit a pointer difference, and one more.
  CHECK_NOTHROW(Vector(memory, {huge / 8}));
  CHECK_THROWS_AS(Vector(memory, {huge / 8 + 1}), Error);
  // Without elements there is nothing to overflow.
  CHECK(Matrix(memory, {std::size_t{0}, huge}).size() == 0);
}
