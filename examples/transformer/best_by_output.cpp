#include "transformer/best_by_output.hpp"

#include <limits>
#include <utility>

namespace transformer {

Baseline best_by_output(const std::string& method, unsigned bits, std::size_t group,
                        InputMoments moments, std::vector<double> parameters,
                        QuantizeWithParameter quantize) {
  check_grid(method, bits, group);
  Baseline baseline;
  baseline.method = method;
  baseline.label = grid_label(method, bits, group);
  baseline.group = group;
  baseline.quantize = [bits, group, moments = std::move(moments),
                       parameters = std::move(parameters), quantize = std::move(quantize)](
                          const std::shared_ptr<const WeightSource>& original,
                          nash_swarm::ThreadPool& pool) -> QuantizedBaseline {
    const FloatMatrix weights = read_finite(*original, pool);
    const Eigen::MatrixXd moment = moments(original->name());
    std::shared_ptr<GroupedMatrix> best;
    double least = std::numeric_limits<double>::infinity();
    for (const double parameter : parameters) {
      auto matrix = quantize(original, weights, moment, bits, group, parameter, pool);
      const double error = output_error(*matrix, weights, moment, pool);
      if (!best || error < least) {
        least = error;
        best = std::move(matrix);
      }
    }
    return {best, best->stored_bytes(bits)};
  };
  return baseline;
}

}  // namespace transformer
