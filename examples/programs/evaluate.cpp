#include "programs/programs.hpp"

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <nash_swarm/io/atomic_file.hpp>

#include "command_line.hpp"
#include "text_options.hpp"
#include "transformer/load_model.hpp"
#include "transformer/progress.hpp"
#include "transformer/report.hpp"
#include "transformer/scope.hpp"

/// Evaluates a float checkpoint or a packed model on a text.

namespace {

struct EvaluationOptions {
  std::string model;
  std::string reference;
  std::string activations = "8";
  TextOptions text;
  std::size_t threads = 0;
  std::string report;

  void add_to(CLI::App& app) {
    app.add_option("--model", model,
                   "Folder of a Hugging Face checkpoint, or packed file" + default_of(model));
    app.add_option("--reference", reference,
                   "Folder of the float model that a packed file is compared with");
    app.add_option("--activations", activations,
                   "Bits that inputs of packed matrices are rounded to, or exact")
        ->check(CLI::IsMember({"8", "16", "exact"}))
        ->capture_default_str();
    text.add_to(app);
    app.add_option("--threads", threads, "Threads (all cores)")->check(CLI::PositiveNumber);
    app.add_option("--report", report, "JSON report to write");
  }

  transformer::ProductInputs inputs() const {
    if (activations == "exact") return transformer::ProductInputs::exact;
    return activations == "16" ? transformer::ProductInputs::sixteen_bits
                               : transformer::ProductInputs::eight_bits;
  }
};

/// Flags that are about packed matrices mean nothing for a folder of floats.
void check_flags(const CLI::App& app, const std::string& model) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(model, ignored)) return;
  refuse_flags(app, {"--reference", "--activations"},
               "is for packed models, and " + model + " is a folder of floats",
               "give --model a packed file");
}

/// The row of a packed file: what the file itself tells.
transformer::ReportRow packed_row(const nash_swarm::PackedModelFile& file,
                                  const transformer::Config& config) {
  bool has_head = false;
  bool has_layers = false;
  for (const transformer::MatrixShape& shape : transformer::matrix_shapes(config)) {
    if (file.find_matrix(shape.name) == nullptr) continue;
    has_layers = has_layers || shape.role == transformer::MatrixRole::layer;
    has_head = has_head || transformer::in_scope(transformer::Scope::lm_head, shape.role);
  }
  transformer::ReportRow row;
  row.method = "nash_swarm";
  row.label = "packed";
  row.scope = name_of(!has_layers ? transformer::Scope::lm_head
                      : !has_head ? transformer::Scope::blocks
                                  : transformer::Scope::all);
  row.stored = true;
  for (const nash_swarm::PackedMatrix& matrix : file.matrices()) {
    row.matrix_weights += matrix.out_features() * matrix.in_features();
  }
  row.matrix_bytes = file.sizes().matrix_bytes;
  row.other_bytes = file.sizes().other_bytes;
  return row;
}

/// Counts what the config says, since a packed file has no float weights.
void count_parameters(const transformer::Config& config, transformer::Report& report) {
  for (const transformer::MatrixShape& matrix : transformer::matrix_shapes(config)) {
    report.matrix_weights += matrix.out * matrix.in;
  }
  report.parameters = report.matrix_weights;
  for (const transformer::TensorShape& tensor : transformer::other_tensor_shapes(config)) {
    std::size_t size = 1;
    for (const std::size_t extent : tensor.shape) size *= extent;
    report.parameters += size;
  }
}

void run(const CLI::App& app, const EvaluationOptions& options) {
  check_flags(app, options.model);
  if (!options.report.empty()) nash_swarm::AtomicFile probe(options.report);
  nash_swarm::ThreadPool pool(options.threads);
  const transformer::LoadedModel loaded =
      transformer::load_model(options.model, false, pool, options.inputs());
  std::optional<transformer::LoadedModel> reference;
  if (!options.reference.empty())
    reference = transformer::load_model(options.reference, false, pool);
  std::vector<transformer::EvaluationText> texts =
      options.text.read_all(app, loaded.tokenizer, loaded.config.n_ctx);

  std::vector<const transformer::Model*> models;
  if (reference) models.push_back(&reference->model);
  models.push_back(&loaded.model);
  transformer::Report report;
  report.model = loaded.name;
  count_parameters(loaded.config, report);
  if (loaded.packed) report.rows.push_back(packed_row(*loaded.packed, loaded.config));
  transformer::Progress progress;
  const auto evaluations =
      transformer::evaluate_texts(models, reference.has_value(), texts, pool, progress);
  for (std::size_t t = 0; t < texts.size(); ++t) {
    report.texts.push_back({std::move(texts[t]), {}});
    if (reference || !loaded.packed) report.texts.back().float_model = evaluations[t].front();
    if (loaded.packed) report.rows.back().evaluations.push_back(evaluations[t].back());
  }
  if (loaded.packed) report.rows.back().peak_memory_bytes = transformer::peak_memory_bytes();
  std::fputs(transformer::format_report(report).c_str(), stdout);
  if (!options.report.empty()) transformer::write_report(report, options.report);
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
