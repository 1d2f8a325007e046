#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "transformer/baselines.hpp"
#include "transformer/grouped_matrix.hpp"

namespace transformer {

/// Quantizes a matrix under the moment of its inputs with one value of a parameter.
using QuantizeWithParameter = std::function<std::shared_ptr<GroupedMatrix>(
    const std::shared_ptr<const WeightSource>& original, const FloatMatrix& weights,
    const Eigen::MatrixXd& moment, unsigned bits, std::size_t group, double parameter,
    nash_swarm::ThreadPool& pool)>;

/// A baseline that tries every value of a parameter and takes the matrix of least output error; its
/// zero points have as many bits as its codes.
/// @param parameters at least one
/// @throws nash_swarm::Error for bits that are not 2 … 8
Baseline best_by_output(const std::string& method, unsigned bits, std::size_t group,
                        InputMoments moments, std::vector<double> parameters,
                        QuantizeWithParameter quantize);

}  // namespace transformer
