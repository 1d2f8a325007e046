#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <Eigen/Core>

#include <nash_swarm/core/thread_pool.hpp>

#include "transformer/weight_source.hpp"

namespace transformer {

/// A matrix after a baseline: nothing is stored packed, its size is computed.
struct QuantizedBaseline {
  std::shared_ptr<const WeightSource> source;  // the decoded values, computed slice by slice
  std::uint64_t bytes = 0;                     // all that the scheme must store for the matrix
};

/// A quantization to compare with. The values do not depend on the slices in which they are read,
/// nor on the number of threads.
struct Baseline {
  std::string method;                // "rtn", "gptq", "awq", "hqq", "paper_uniform", "paper_nash"
  std::string label;                 // for a table, such as "rtn 3 bits, groups of 64"
  std::optional<std::size_t> group;  // weights that share a scale; none: all of a matrix

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

/// Where a baseline gets the mean of xxᵀ over the inputs x of a matrix, [in, in].
using InputMoments = std::function<Eigen::MatrixXd(const std::string& matrix)>;

/// GPTQ (Frantar et al. 2022): channels are rounded by descending moment, and each error is moved
/// onto the channels that follow, as the inverse of the damped moment says. Of damping by .001,
/// .003, .01, .03 and .1 of the mean moment the one of least output error is taken. Scales of 16
/// bits whose grids are shrunk to the least squared error, zero points of `bits`, the order of the
/// channels: `bits` + (16 + `bits`) / `group` + 16 / out bits per weight.
/// @throws nash_swarm::Error for bits that are not 2 … 8
Baseline gptq(unsigned bits, std::size_t group, InputMoments moments);

/// AWQ (Lin et al. 2023): channels are multiplied by a power of their root mean square before they
/// are rounded, and their inputs divided by it; of 20 exponents from 0 to 0.95 the one of least
/// output error is taken, with grids shrunk to the least error weighed by the moments of their
/// channels. The divisors are counted with 16 bits per channel.
/// @throws nash_swarm::Error for bits that are not 2 … 8
Baseline awq(unsigned bits, std::size_t group, InputMoments moments);

/// HQQ (Badri and Shaji 2023): data-free; zero points of 16 bits that make the error sparse.
/// `bits` + 32 / `group` bits per weight.
/// @throws nash_swarm::Error for bits that are not 2 … 8
Baseline hqq(unsigned bits, std::size_t group);

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

}  // namespace transformer
