#include "transformer/uniform_file.hpp"

#include <memory>
#include <vector>

#include <nash_swarm/io/packed_model.hpp>
#include <nash_swarm/rounding/nearest.hpp>

#include "transformer/other_tensors.hpp"
#include "transformer/weight_source.hpp"

namespace transformer {

using nash_swarm::InputBasis;
using nash_swarm::MatrixPlan;

void write_uniform_file(const Checkpoint& checkpoint, nash_swarm::FormatId format,
                        const std::filesystem::path& target, nash_swarm::ThreadPool& pool) {
  std::vector<MatrixPlan> plans;
  for (const auto& matrix : checkpoint.matrices()) {
    const std::size_t out = matrix->out_features();
    const std::size_t in = matrix->in_features();
    plans.push_back(
        {matrix->name(), out, in,
         std::make_shared<const InputBasis>(matrix->name() + ".input", in,
                                            InputBasis::widest_rotation(in), 0),
         nash_swarm::CellMap(nash_swarm::panel_count(out), nash_swarm::block_count(in), format)});
  }
  const auto pack = [&](const MatrixPlan& plan) {
    const FloatMatrix weights = read_matrix(*checkpoint.matrix(plan.name), pool);
    return nash_swarm::round_to_nearest(plan.name, weights.view(), plan.basis, plan.cells, pool);
  };
  nash_swarm::write_packed_model(target, plans, other_tensors(checkpoint, Scope::all), pack);
}

}  // namespace transformer
