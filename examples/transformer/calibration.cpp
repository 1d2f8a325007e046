#include "transformer/calibration.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <random>
#include <system_error>
#include <utility>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/fingerprint.hpp>

#include "transformer/backward.hpp"
#include "transformer/seconds.hpp"

namespace transformer {
namespace {

using nash_swarm::CalibrationFile;
using nash_swarm::Fingerprint;
using nash_swarm::GradientMoment;
using nash_swarm::InputMoment;
using nash_swarm::MatrixMoments;
using nash_swarm::SymmetricSums;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;
using Sources = std::vector<std::shared_ptr<const WeightSource>>;
using Moments = std::map<std::string, std::shared_ptr<MatrixMoments>>;

/// Part of every fingerprint: another number wherever the same text gives other moments.
constexpr std::uint64_t moments_version = 2;

/// Rows that share gradient moments: each head's queries, keys and values have their own.
std::size_t rows_of_group(const MatrixShape& matrix) {
  return matrix.rows_per_head != 0 ? matrix.rows_per_head : matrix.out;
}

std::uint64_t bytes_of_moments(const MatrixShape& matrix) {
  const std::size_t groups = matrix.out / rows_of_group(matrix);
  return sizeof(float) * (1 + groups) * SymmetricSums::floats_of_group(matrix.in);
}

/// Matrices whose moments are gathered together.
struct Pass {
  std::vector<MatrixShape> matrices;
  std::uint64_t bytes = 0;

  /// The layer down to which the backward pass has to go.
  std::size_t first_layer() const { return matrices.front().layer; }
};

/// Matrices in the order of their layers, cut where the memory is full.
std::vector<Pass> make_passes(std::vector<MatrixShape> matrices, std::uint64_t memory) {
  std::stable_sort(matrices.begin(), matrices.end(),
                   [](const auto& a, const auto& b) { return a.layer < b.layer; });
  std::vector<Pass> passes;
  for (MatrixShape& matrix : matrices) {
    const std::uint64_t bytes = bytes_of_moments(matrix);
    if (passes.empty() || bytes > memory || passes.back().bytes > memory - bytes) {
      passes.emplace_back();
    }
    passes.back().bytes += bytes;
    passes.back().matrices.push_back(std::move(matrix));
  }
  return passes;
}

/// A file is written beside its former self, so there must be room for all and once more for the
/// largest.
void check_space(const std::filesystem::path& folder, const std::vector<Pass>& passes) {
  std::uint64_t needed = 0;
  std::uint64_t largest = 0;
  for (const Pass& pass : passes) {
    needed += pass.bytes;
    largest = std::max(largest, pass.bytes);
  }
  needed += largest;
  std::error_code error;
  std::uint64_t free = std::filesystem::space(folder, error).available;
  if (error) return;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::uintmax_t size = entry.file_size(error);
    if (!error) free += size;
  }
  if (free >= needed) return;
  throw nash_swarm::Error(folder.string(),
                          "the moments take " + std::to_string(needed) + " bytes, and " +
                              std::to_string(free) + " are free",
                          "choose a folder with more room with --work");
}

std::uint64_t fingerprint_of_pass(const Pass& pass, std::uint64_t inputs) {
  Fingerprint fingerprint;
  fingerprint.add(inputs);
  for (const MatrixShape& matrix : pass.matrices) fingerprint.add(matrix.name);
  return fingerprint.value();
}

Moments fresh_moments(const Pass& pass) {
  Moments moments;
  for (const MatrixShape& matrix : pass.matrices) {
    moments.emplace(
        matrix.name,
        std::make_shared<MatrixMoments>(MatrixMoments{
            InputMoment(matrix.name, matrix.in),
            GradientMoment(matrix.name, matrix.out, matrix.in, rows_of_group(matrix))}));
  }
  return moments;
}

/// True if a file has the moments of these matrices, each of as many windows as it says.
bool has_moments(const CalibrationFile& file, const Pass& pass, std::size_t window) {
  const std::uint64_t windows = file.seen();
  return file.names().size() == pass.matrices.size() &&
         std::all_of(pass.matrices.begin(), pass.matrices.end(), [&](const MatrixShape& matrix) {
           const nash_swarm::CalibrationEntry* const entry = file.find(matrix.name);
           return entry != nullptr && entry->in_features == matrix.in &&
                  entry->out_features == matrix.out && entry->group_rows == rows_of_group(matrix) &&
                  entry->sequences == windows && entry->inputs == windows * window &&
                  entry->tokens == windows * window;
         });
}

Moments stored_moments(const CalibrationFile& file) {
  Moments moments;
  for (const std::string& name : file.names()) {
    moments.emplace(name, std::make_shared<MatrixMoments>(file.moments(name)));
  }
  return moments;
}

/// Adds one window to the moments of a pass. Its labels depend on its index alone, so that any
/// window can be the first of a run.
void add_window(const Model& model, std::span<const std::int32_t> window, std::size_t index,
                std::size_t first_layer, Moments& moments, ThreadPool& pool) {
  GradientObserver observer;
  observer.first_layer = first_layer;
  observer.matrix = [&](const std::string& name, TensorView<const float, 2> x,
                        TensorView<const float, 2> dy) {
    const auto found = moments.find(name);
    if (found == moments.end()) return;
    found->second->inputs.add(x, pool);
    found->second->gradients->add(x, dy, pool);
  };
  observer.vocabulary_matrix = [&](const std::string& name, TensorView<const float, 2> x,
                                   TensorView<const float, 2> gradient) {
    const auto found = moments.find(name);
    if (found == moments.end()) return;
    found->second->inputs.add(x, pool);
    found->second->gradients->add_gradient(gradient, x.extent(0), pool);
  };
  std::mt19937_64 engine(std::mt19937_64::default_seed + index);
  run_backward(model, window, gradient_of_drawn_labels(engine, pool), pool, observer);
}

/// Stores the moments of a pass when it is time.
class Saver {
 public:
  /// @param path empty for none
  Saver(std::filesystem::path path, std::uint64_t fingerprint, double seconds_between)
      : path_(std::move(path)), fingerprint_(fingerprint), pause_(seconds_between) {}

  void save_if_due(const Moments& moments, std::size_t windows) {
    constexpr double share_of_time = 20.0;
    const std::chrono::duration<double> pause(pause_ > 0.0 ? std::max(pause_, share_of_time * cost_)
                                                           : 0.0);
    if (!path_.empty() && Clock::now() - saved_at_ >= pause) save(moments, windows);
  }

  void save(const Moments& moments, std::size_t windows) {
    if (path_.empty()) return;
    const Clock::time_point begin = Clock::now();
    std::vector<const MatrixMoments*> views;
    for (const auto& [name, matrix] : moments) views.push_back(matrix.get());
    nash_swarm::write_calibration(path_, views, fingerprint_, windows);
    saved_at_ = Clock::now();
    cost_ = std::chrono::duration<double>(saved_at_ - begin).count();
  }

 private:
  std::filesystem::path path_;
  std::uint64_t fingerprint_;
  double pause_;
  double cost_ = 0.0;  // seconds that the last save took
  Clock::time_point saved_at_ = Clock::now();
};

/// Turns steps into weights that add up to all of them.
class StepProgress {
 public:
  StepProgress(std::size_t steps, std::size_t weights, const WeightProgress& progress)
      : steps_(steps), weights_(weights), progress_(progress) {}

  void advance(std::size_t steps) {
    const auto weights_at = [&](std::size_t step) { return weights_ / steps_ * step; };
    done_ += steps;
    progress_(done_ == steps_ ? weights_ - weights_at(done_ - steps)
                              : weights_at(done_) - weights_at(done_ - steps));
  }

 private:
  std::size_t steps_;
  std::size_t weights_;
  const WeightProgress& progress_;
  std::size_t done_ = 0;
};

}  // namespace

std::uint64_t half_of_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long bytes = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || bytes <= 0) return UINT64_MAX;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(bytes) / 2;
}

Calibration::Calibration(const Checkpoint& checkpoint, Sources matrices, ThreadPool& pool)
    : checkpoint_(checkpoint), matrices_(std::move(matrices)), pool_(pool) {}

void Calibration::gather(std::span<const std::int32_t> tokens, std::size_t window,
                         const CalibrationStore& store, const WeightProgress& progress) {
  const std::size_t windows = window == 0 ? 0 : tokens.size() / window;
  Fingerprint inputs;
  inputs.add(moments_version);
  inputs.add(checkpoint_.fingerprint());
  inputs.add(std::uint64_t{window});
  inputs.add(std::as_bytes(tokens.first(windows * window)));
  fingerprint_ = inputs.value();
  moments_.clear();
  files_.clear();

  std::vector<MatrixShape> shapes;
  for (const auto& matrix : matrices_) shapes.push_back(checkpoint_.shape(matrix->name()));
  const std::vector<Pass> passes =
      make_passes(shapes, store.folder == nullptr ? UINT64_MAX : store.memory);
  if (store.folder != nullptr) check_space(store.folder->path(), passes);
  std::size_t weights = 0;
  for (const MatrixShape& shape : shapes) weights += shape.out * shape.in;
  StepProgress steps(std::max<std::size_t>(1, passes.size() * windows), weights, progress);
  const Model model = make_float_model(checkpoint_, false);
  for (std::size_t p = 0; p < passes.size(); ++p) {
    const std::uint64_t fingerprint = fingerprint_of_pass(passes[p], fingerprint_);
    std::optional<CalibrationFile> file;
    if (store.folder != nullptr) file = store.folder->calibration(p, fingerprint);
    if (file && !has_moments(*file, passes[p], window)) file.reset();
    const std::size_t seen = file ? std::min<std::size_t>(file->seen(), windows) : 0;
    if (seen > 0) steps.advance(seen);
    if (!file || seen < windows) {
      Moments moments = file ? stored_moments(*file) : fresh_moments(passes[p]);
      Saver saver(store.folder == nullptr ? "" : store.folder->calibration_path(p), fingerprint,
                  store.seconds_between_saves);
      for (std::size_t w = seen; w < windows; ++w) {
        add_window(model, tokens.subspan(w * window, window), w, passes[p].first_layer(), moments,
                   pool_);
        if (w + 1 < windows) saver.save_if_due(moments, w + 1);
        steps.advance(1);
      }
      saver.save(moments, windows);
      if (store.folder == nullptr) {
        moments_.merge(moments);
        continue;
      }
      file.emplace(store.folder->calibration_path(p));
    }
    for (const std::string& name : file->names()) file_of_matrix_[name] = files_.size();
    files_.push_back(std::move(*file));
  }
}

std::shared_ptr<const MatrixMoments> Calibration::moments(const std::string& matrix) const {
  if (files_.empty()) return moments_.at(matrix);
  return std::make_shared<const MatrixMoments>(files_[file_of_matrix_.at(matrix)].moments(matrix));
}

}  // namespace transformer
