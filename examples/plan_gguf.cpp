#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/io/atomic_file.hpp>
#include <nash_swarm/io/gguf_reader.hpp>

#include "command_line.hpp"
#include "gguf/model_matrices.hpp"
#include "gguf/type_losses.hpp"
#include "gguf/type_plan.hpp"

/// Chooses the type of every tensor of a GGUF model, for llama-quantize.

namespace {

struct Options {
  std::string model;
  std::string imatrix;
  double bits = 4.5;
  std::string plan_out;
  std::size_t threads = 0;

  void add_to(CLI::App& app) {
    app.add_option("--model", model, "GGUF file of F32, F16 or BF16")->required();
    app.add_option("--imatrix", imatrix, "GGUF file of llama-imatrix, for llama-quantize as well");
    app.add_option("--bits", bits,
                   "Bits per weight of the tensors that are quantized, scales "
                   "included")
        ->check(CLI::Range(1.0, 16.0))
        ->capture_default_str();
    app.add_option("--plan-out", plan_out, "File to write for llama-quantize --tensor-type-file")
        ->required();
    app.add_option("--threads", threads, "Threads (all cores)")->check(CLI::PositiveNumber);
  }
};

void run(const Options& options) {
  const nash_swarm::GgufFile model(options.model);
  std::optional<nash_swarm::GgufFile> imatrix;
  if (!options.imatrix.empty()) imatrix.emplace(options.imatrix);
  nash_swarm::AtomicFile file(options.plan_out);  // what cannot be written is known before the work
  nash_swarm::ThreadPool pool(options.threads);
  std::uint64_t weights = 0;
  std::vector<gguf::TensorTypes> tensors;
  std::vector<gguf::Matrix> matrices = gguf::quantizable_matrices(model);
  if (imatrix && std::ranges::all_of(matrices, [&](const gguf::Matrix& matrix) {
        return gguf::mean_squares(*imatrix, matrix.name).empty();
      })) {
    throw nash_swarm::Error(options.imatrix, "has none of the model's tensors",
                            "give the imatrix of this model, as GGUF");
  }
  for (gguf::Matrix& matrix : matrices) {
    std::vector<float> squares;
    if (imatrix) squares = gguf::mean_squares(*imatrix, matrix.name);
    matrix.imatrix = squares;
    tensors.push_back({matrix.name, gguf::type_losses(matrix, pool)});
    weights += std::uint64_t{matrix.out_features} * matrix.in_features;
    model.release(model.at(matrix.name));
  }
  const auto budget = static_cast<std::uint64_t>(options.bits * static_cast<double>(weights) / 8);
  const gguf::TypePlan plan = gguf::plan_types(tensors, budget, pool);
  std::fputs(gguf::plan_text(plan, weights).c_str(), stdout);
  gguf::write_tensor_types(file, plan);
  std::printf("llama-quantize%s --tensor-type-file %s %s OUT.gguf Q4_K\n",
              options.imatrix.empty() ? "" : (" --imatrix " + options.imatrix).c_str(),
              options.plan_out.c_str(), options.model.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Chooses the type of every tensor of a GGUF model, for llama-quantize", "plan_gguf");
  Options options;
  options.add_to(app);
  return run_program(app, argc, argv, [&] { run(options); });
}
