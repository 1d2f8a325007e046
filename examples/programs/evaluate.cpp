#include "programs/programs.hpp"

#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/io/atomic_file.hpp>

#include "command_line.hpp"
#include "gpt2/load_model.hpp"
#include "gpt2/progress.hpp"
#include "gpt2/report.hpp"
#include "gpt2/scope.hpp"
#include "text_options.hpp"

/// Evaluates a float checkpoint or a packed model on a text.

namespace {

struct EvaluationOptions {
  std::string model;
  std::string reference;
  gpt2::ProductInputs inputs = gpt2::ProductInputs::eight_bits;
  TextOptions text;
  std::size_t threads = 0;
  std::string report;

  void add_to(CLI::App& app) {
    app.add_option("--model", model,
                   "Folder of a Hugging Face checkpoint, or packed file" + default_of(model));
    app.add_option("--reference", reference,
                   "Folder of the float model that a packed file is compared with");
    app.add_option("--activations", inputs,
                   "Bits that inputs of packed matrices are rounded to, or exact (8)")
        ->transform(
            CLI::CheckedTransformer(std::vector<std::pair<std::string, gpt2::ProductInputs>>{
                {"8", gpt2::ProductInputs::eight_bits},
                {"16", gpt2::ProductInputs::sixteen_bits},
                {"exact", gpt2::ProductInputs::exact}}));
    text.add_to(app);
    app.add_option("--threads", threads, "Threads (all cores)")->check(CLI::PositiveNumber);
    app.add_option("--report", report, "JSON report to write");
  }
};

/// The row of a packed file: what the file itself tells.
gpt2::ReportRow packed_row(const nash_swarm::PackedModelFile& file, const gpt2::Config& config) {
  bool has_head = false;
  bool has_layers = false;
  for (const gpt2::MatrixShape& shape : gpt2::matrix_shapes(config)) {
    if (file.find_matrix(shape.name) == nullptr) continue;
    has_layers = has_layers || shape.role == gpt2::MatrixRole::layer;
    has_head = has_head || gpt2::in_scope(gpt2::Scope::lm_head, shape.role);
  }
  gpt2::ReportRow row;
  row.method = "nash_swarm";
  row.label = "packed";
  row.scope = name_of(!has_layers ? gpt2::Scope::lm_head
                      : !has_head ? gpt2::Scope::blocks
                                  : gpt2::Scope::all);
  row.stored = true;
  for (const nash_swarm::PackedMatrix& matrix : file.matrices()) {
    row.matrix_weights += matrix.out_features() * matrix.in_features();
  }
  row.matrix_bytes = file.sizes().matrix_bytes;
  row.other_bytes = file.sizes().other_bytes;
  return row;
}

/// Counts what the config says, since a packed file has no float weights.
void count_parameters(const gpt2::Config& config, gpt2::Report& report) {
  for (const gpt2::MatrixShape& matrix : gpt2::matrix_shapes(config)) {
    report.matrix_weights += matrix.out * matrix.in;
  }
  report.parameters = report.matrix_weights;
  for (const gpt2::TensorShape& tensor : gpt2::other_tensor_shapes(config)) {
    std::size_t size = 1;
    for (const std::size_t extent : tensor.shape) size *= extent;
    report.parameters += size;
  }
}

void run(const CLI::App& app, const EvaluationOptions& options) {
  if (!options.report.empty()) nash_swarm::AtomicFile probe(options.report);
  nash_swarm::ThreadPool pool(options.threads);
  const gpt2::LoadedModel loaded = gpt2::load_model(options.model, false, pool, options.inputs);
  std::optional<gpt2::LoadedModel> reference;
  if (!options.reference.empty()) reference = gpt2::load_model(options.reference, false, pool);
  std::vector<gpt2::EvaluationText> texts =
      options.text.read_all(app, loaded.tokenizer, loaded.config.n_ctx);

  std::vector<const gpt2::Model*> models;
  if (reference) models.push_back(&reference->model);
  models.push_back(&loaded.model);
  gpt2::Report report;
  report.model = loaded.name;
  count_parameters(loaded.config, report);
  if (loaded.packed) report.rows.push_back(packed_row(*loaded.packed, loaded.config));
  gpt2::Progress progress;
  const auto evaluations =
      gpt2::evaluate_texts(models, reference.has_value(), texts, pool, progress);
  for (std::size_t t = 0; t < texts.size(); ++t) {
    report.texts.push_back({std::move(texts[t]), {}});
    if (reference || !loaded.packed) report.texts.back().float_model = evaluations[t].front();
    if (loaded.packed) report.rows.back().evaluations.push_back(evaluations[t].back());
  }
  if (loaded.packed) report.rows.back().peak_memory_bytes = gpt2::peak_memory_bytes();
  std::fputs(gpt2::format_report(report).c_str(), stdout);
  if (!options.report.empty()) gpt2::write_report(report, options.report);
}

}  // namespace

int programs::evaluate(const char* name, const char* model, int argc, char** argv) {
  CLI::App app("Evaluates a language model, float or packed, on text", name);
  EvaluationOptions options;
  options.model = model;
  options.add_to(app);
  return run_program(app, argc, argv, [&] {
    require_model(options.model);
    run(app, options);
  });
}
