#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "kernel/memory.hpp"
#include "kernel/packed_copies.hpp"

namespace bench {

/// Float32 matrices of one shape, as many as fill the working set, to be multiplied by in turn.
class FloatCopies {
 public:
  FloatCopies(const Shape& shape, Pages pages)
      : weights_(shape.out * shape.in),
        count_((working_set_bytes() + weights_ * sizeof(float) - 1) / (weights_ * sizeof(float))),
        memory_(count_ * weights_ * sizeof(float), pages) {
    for (std::size_t i = 0; i < memory_.bytes().size(); i += sizeof(float)) {
      std::uint32_t bits;  // made ±0.5 … 1, since NaN and denormal numbers are slow
      std::memcpy(&bits, memory_.bytes().data() + i, sizeof bits);
      bits = (bits & 0x807fffffu) | 0x3f000000u;
      std::memcpy(memory_.bytes().data() + i, &bits, sizeof bits);
    }
  }

  std::size_t count() const { return count_; }
  std::span<const std::byte> bytes() const { return memory_.bytes(); }
  const float* next() {
    return reinterpret_cast<const float*>(memory_.bytes().data()) + turn_++ % count_ * weights_;
  }

 private:
  std::size_t weights_;
  std::size_t count_;
  RandomMemory memory_;
  std::size_t turn_ = 0;
};

}  // namespace bench
