#include <nash_swarm/core/aligned_buffer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

using nash_swarm::AlignedBuffer;

namespace {

static_assert(!std::is_copy_constructible_v<AlignedBuffer<float>>);
static_assert(!std::is_copy_assignable_v<AlignedBuffer<float>>);
static_assert(std::is_nothrow_move_constructible_v<AlignedBuffer<float>>);
static_assert(std::is_nothrow_move_assignable_v<AlignedBuffer<float>>);

template <class T>
std::uintptr_t address(const AlignedBuffer<T>& buffer) {
  return reinterpret_cast<std::uintptr_t>(buffer.data());
}

}  // namespace

TEST_CASE("aligned_buffer: memory is aligned to 64 bytes and zeroed") {
  for (const std::size_t size : {1u, 3u, 63u, 64u, 65u, 1000u, 4097u}) {
    AlignedBuffer<float> buffer(size);
    CHECK(buffer.size() == size);
    CHECK(address(buffer) % 64 == 0);
    CHECK(std::all_of(buffer.begin(), buffer.end(), [](float value) { return value == 0.0f; }));
    std::fill(buffer.begin(), buffer.end(), 1.0f);
    CHECK(buffer[size - 1] == 1.0f);
  }
}

TEST_CASE("aligned_buffer: memory that was used before is zeroed again") {
  for (int round = 0; round < 4; ++round) {
    AlignedBuffer<std::uint8_t> buffer(256);
    CHECK(std::count(buffer.begin(), buffer.end(), 0) == 256);
    std::fill(buffer.begin(), buffer.end(), std::uint8_t{0xff});
  }
}

TEST_CASE("aligned_buffer: large blocks start at a huge page") {
  const AlignedBuffer<std::uint8_t> below((std::size_t{2} << 20) - 1);
  CHECK(address(below) % 64 == 0);
  const AlignedBuffer<std::uint8_t> exact(std::size_t{2} << 20);
  CHECK(address(exact) % (std::size_t{2} << 20) == 0);
  const AlignedBuffer<double> large(600'001);
  CHECK(address(large) % (std::size_t{2} << 20) == 0);
  CHECK(std::count(large.begin(), large.end(), 0.0) == 600'001);
}

TEST_CASE("aligned_buffer: memory for overwriting is as large and as aligned, and of its own") {
  const AlignedBuffer<float> none = AlignedBuffer<float>::for_overwrite(0);
  CHECK(none.empty());
  AlignedBuffer<float> first = AlignedBuffer<float>::for_overwrite(1000);
  AlignedBuffer<float> second = AlignedBuffer<float>::for_overwrite(1000);
  REQUIRE(first.size() == 1000);
  CHECK(address(first) % AlignedBuffer<float>::alignment == 0);
  std::fill(first.begin(), first.end(), 1.0f);
  std::fill(second.begin(), second.end(), 2.0f);
  CHECK(std::count(first.begin(), first.end(), 1.0f) == 1000);
}

TEST_CASE("aligned_buffer: memory that there may not be is empty then") {
  auto buffer = AlignedBuffer<float>::try_for_overwrite(100);
  CHECK(buffer.size() == 100);
  CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
  buffer[99] = 1.0f;
  CHECK(AlignedBuffer<float>::try_for_overwrite(0).empty());
  CHECK(AlignedBuffer<float>::try_for_overwrite(std::numeric_limits<std::size_t>::max()).empty());
}

TEST_CASE("aligned_buffer: an empty buffer holds nothing") {
  const AlignedBuffer<int> none;
  const AlignedBuffer<int> zero(0);
  for (const AlignedBuffer<int>* buffer : {&none, &zero}) {
    CHECK(buffer->empty());
    CHECK(buffer->data() == nullptr);
    CHECK(buffer->begin() == buffer->end());
  }
}

TEST_CASE("aligned_buffer: moving hands the memory over") {
  AlignedBuffer<int> first(10);
  first[3] = 7;
  const int* const memory = first.data();
  AlignedBuffer<int> second(std::move(first));
  CHECK(second.data() == memory);
  CHECK(second[3] == 7);
  AlignedBuffer<int> third(5);
  third = std::move(second);
  CHECK(third.data() == memory);
  CHECK(third.size() == 10);
}

TEST_CASE("aligned_buffer: a size that overflows is refused by name") {
  const std::size_t huge = std::numeric_limits<std::size_t>::max();
  for (const std::size_t size : {huge, huge / 4 + 1, huge / 8 + 1}) {
    try {
      const AlignedBuffer<float> buffer(size);
      FAIL("accepted");
    } catch (const nash_swarm::Error& error) {
      CHECK(error.subject() == "AlignedBuffer");
      CHECK(error.problem().find(std::to_string(size)) != std::string::npos);
    }
  }
}
