#include "programs/programs.hpp"

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <nash_swarm/format/formats.hpp>
#include <nash_swarm/io/atomic_file.hpp>

#include "command_line.hpp"
#include "quantization/job.hpp"
#include "quantization/options.hpp"
#include "transformer/paper_table.hpp"

/// The main job: quantizes a model, writes the packed file, reads it back, and compares it with the
/// float model and with baselines on real text.

namespace {

void list_formats() {
  std::printf("%-8s %8s %22s\n", "format", "bits", "signal to noise (dB)");
  for (const nash_swarm::Format& format : nash_swarm::format_table) {
    std::printf("%-8s %8.3f %22.2f\n", std::string(format.name).c_str(), format.bits_per_weight(),
                -10.0 * std::log10(format.gaussian_noise) + 0.0);
  }
}

void print_paper_tables(const quantization::Options& options) {
  if (!options.report.empty()) nash_swarm::AtomicFile probe(options.report);
  std::vector<std::string> folders = options.paper_table;
  std::erase(folders, "");
  if (folders.empty()) folders.push_back(options.model);
  nash_swarm::ThreadPool pool(options.threads);
  transformer::Progress progress;
  transformer::PaperSetting setting;
  setting.text = options.text.only_file();
  setting.calibration = options.calibration;
  setting.samples = options.text.samples;
  setting.calibration_tokens = options.tokens_to_calibrate_on();
  setting.seed = options.seed;
  const std::vector<transformer::PaperTable> tables =
      transformer::paper_tables(folders, setting, pool, progress);
  std::fputs(transformer::format_paper_tables(tables).c_str(), stdout);
  if (!options.report.empty()) transformer::write_paper_tables(tables, options.report);
}

}  // namespace

int programs::quantize(const char* name, const char* model, int argc, char** argv) {
  CLI::App app("Quantizes a language model and compares it with the float model on text", name);
  quantization::Options options;
  options.model = model;
  options.add_to(app);
  return run_program(app, argc, argv, [&] {
    if (options.list_formats) return list_formats();
    require_model(options.model);
    if (app.count("--paper-table") != 0) return print_paper_tables(options);
    quantization::Job(app, options).run();
  });
}
