#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <nash_swarm/core/thread_pool.hpp>
#include <string>

#include "gpt2/weight_source.hpp"

namespace gpt2 {

/// A matrix after a baseline: nothing is stored packed, its size is computed.
struct QuantizedBaseline {
  std::shared_ptr<const WeightSource> source;  // the decoded values, computed slice by slice
  std::uint64_t bytes = 0;                     // all that the scheme must store for the matrix
};

/// A quantization to compare with. The values do not depend on the slices in which they are read,
/// nor on the number of threads.
struct Baseline {
  std::string method;  // "rtn", "paper_uniform", "paper_nash"
  std::string label;   // for a table, such as "rtn 3 bits, groups of 64"

  /// Reads the matrix as often as the scheme needs it.
  /// @throws nash_swarm::Error naming matrix and place of a NaN or infinity, or of a group that the
  ///   scheme cannot store
  std::function<QuantizedBaseline(const std::shared_ptr<const WeightSource>& original,
                                  nash_swarm::ThreadPool& pool)>
      quantize;
};

/// Asymmetric round-to-nearest: w ≈ minimum + scale · code with codes 0 … 2^bits − 1, minimum and
/// scale in binary16 for every `group` consecutive input channels of a row (the last group of a row
/// may be shorter). Minimum and scale are rounded outwards, so no weight is clipped and no error is
/// larger than half a step. `bits` + 32 / `group` bits per weight all-in.
/// @param bits 1 … 8
/// @param group 1 or more
/// @throws nash_swarm::Error for other values
Baseline rtn(unsigned bits, std::size_t group);

/// 4 bits with one float32 scale per matrix, max |w| / 7: the baseline of the paper whose scheme is
/// `paper_nash`. Codes −7 … 7.
Baseline paper_uniform();

/// Bits by importance: the lowest 70 % of a matrix's weights get 2 bits, the next 20 % 4 bits, the
/// top 10 % 8 bits, each class with one float32 scale. Which weight is in which class must be
/// stored, too; it is counted at its entropy, so the scheme takes 4.16 bits per weight. Weights of
/// equal importance share a class: a tie at a quantile goes to the class of fewer bits, and the
/// bytes follow the counts.
/// @param data_free_importance false: |w|; true: |w|·Π(1 + |neighbour|) over the four weights
/// beside, above and below w in the matrix read as [out, in], those beyond an edge counting as 0
Baseline paper_nash(bool data_free_importance = false);

}  // namespace gpt2
