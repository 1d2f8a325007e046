#include "transformer/rows.hpp"

#include <algorithm>
#include <cstdio>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "transformer/other_tensors.hpp"
#include "transformer/packed.hpp"
#include "transformer/seconds.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;

bool meets(const ReportRow& row, const SizeLimit& limit) {
  if (limit.bits && row.bits_per_weight() > *limit.bits) return false;
  return !limit.file_bytes || row.file_bytes() <= *limit.file_bytes;
}

void write_finished(const Quantizer& quantizer, const nash_swarm::Plan& plan,
                    const std::filesystem::path& target, const std::string& label,
                    const WeightProgress& packed, Progress& progress) {
  const FinishResult result =
      quantizer.write_finished(plan, target, packed, [&](std::size_t step, std::size_t steps) {
        if (step == 0) {
          progress.stage("finishing " + label, steps);
        } else {
          progress.advance(1);
        }
      });
  progress.finish();
  std::fprintf(stderr, "held-out KLD of the calibration text: %.5f, finished %.5f\n",
               result.kld_before, result.kld_after);
}

std::uint64_t other_bytes(const Checkpoint& checkpoint, Scope scope) {
  std::uint64_t bytes = 0;
  for (const nash_swarm::OtherTensor& other : other_tensors(checkpoint, scope)) {
    bytes += nash_swarm::byte_count(other.spec.type, other.spec.shape).value();
  }
  return bytes;
}

}  // namespace

void check_limit(const Quantizer& quantizer, const SizeLimit& limit) {
  const nash_swarm::PackedModelSizes& smallest = quantizer.smallest();
  const std::uint64_t given =
      limit.file_bytes
          ? *limit.file_bytes
          : nash_swarm::Budget::bits(limit.bits.value()).for_weights(quantizer.weights());
  const std::uint64_t least = limit.file_bytes ? smallest.file_bytes : smallest.matrix_bytes;
  if (given >= least) return;
  const double bits =
      8.0 * static_cast<double>(smallest.matrix_bytes) / static_cast<double>(quantizer.weights());
  throw Error("budget",
              std::to_string(given) + " bytes are fewer than the smallest possible " +
                  (limit.file_bytes ? "file of " : "") + std::to_string(least),
              "give at least " + std::to_string(least) + " bytes" +
                  (limit.bits ? ", that is " + std::to_string(bits) + " bits per weight" : ""));
}

nash_swarm::Plan plan_within(const Quantizer& quantizer, const SizeLimit& limit) {
  nash_swarm::Plan plan = limit.file_bytes
                              ? quantizer.plan_for_file(*limit.file_bytes)
                              : quantizer.plan(nash_swarm::Budget::bits(limit.bits.value()));
  if (plan.certificate().price == 0.0) {
    std::fprintf(
        stderr, "warning: the budget is above the largest size, every cell gets its best format\n");
  }
  return plan;
}

ReportRow planned_row(const Quantizer& quantizer, Scope scope, const nash_swarm::Plan& plan,
                      const SizeLimit& limit) {
  const nash_swarm::PackedModelSizes sizes = quantizer.sizes(plan);
  ReportRow row;
  row.method = "nash_swarm";
  row.label = "nash_swarm";
  if (limit.bits) {
    char bits[32];
    std::snprintf(bits, sizeof bits, " %g bits", *limit.bits);
    row.label += bits;
  }
  row.scope = name_of(scope);
  row.requested_bits = limit.bits;
  row.matrix_weights = quantizer.weights();
  row.matrix_bytes = sizes.matrix_bytes;
  row.other_bytes = sizes.other_bytes;
  row.predicted_kld = quantizer.predicted_kld(plan);
  row.certificate = plan.certificate();
  return row;
}

QuantizedModel pack_and_read_back(const Quantizer& quantizer, Scope scope,
                                  const nash_swarm::Plan& plan, const SizeLimit& limit,
                                  const std::filesystem::path& target, PackOptions options,
                                  Progress& progress) {
  QuantizedModel quantized;
  quantized.row = planned_row(quantizer, scope, plan, limit);
  const auto begin = Clock::now();
  progress.stage("packing " + quantized.row.label, quantizer.weights());
  const WeightProgress packed = [&](std::size_t weights) { progress.advance(weights); };
  if (options.finish) {
    write_finished(quantizer, plan, target, quantized.row.label, packed, progress);
  } else {
    quantizer.write(plan, target, packed);
  }
  progress.finish();
  quantized.row.quantize_seconds = seconds_since(begin);
  auto file = std::make_shared<const nash_swarm::PackedModelFile>(target);
  if (!options.keep) std::filesystem::remove(target);
  quantized.row.stored = true;
  quantized.row.matrix_bytes = file->sizes().matrix_bytes;
  quantized.row.other_bytes = file->sizes().other_bytes;
  quantized.row.peak_memory_bytes = peak_memory_bytes();
  quantized.model = std::make_unique<Model>(make_packed_model(std::move(file), false));
  return quantized;
}

QuantizedModel run_baseline(const Checkpoint& checkpoint, Scope scope, const Baseline& baseline,
                            bool with_model, nash_swarm::ThreadPool& pool) {
  const auto begin = Clock::now();
  QuantizedModel quantized;
  ReportRow& row = quantized.row;
  row.method = baseline.method;
  row.label = baseline.label;
  row.group = baseline.group;
  row.scope = name_of(scope);
  row.other_bytes = other_bytes(checkpoint, scope);
  std::vector<std::shared_ptr<const WeightSource>> sources;
  for (const auto& matrix : matrices_in_scope(checkpoint, scope)) {
    QuantizedBaseline result = baseline.quantize(matrix, pool);
    row.matrix_weights += matrix->out_features() * matrix->in_features();
    row.matrix_bytes += result.bytes;
    sources.push_back(std::move(result.source));
  }
  row.quantize_seconds = seconds_since(begin);
  row.peak_memory_bytes = peak_memory_bytes();
  if (!with_model) return quantized;
  const auto replace = [&](const std::shared_ptr<const WeightSource>& original) {
    const auto found = std::find_if(sources.begin(), sources.end(), [&](const auto& source) {
      return source->name() == original->name();
    });
    return found == sources.end() ? original : *found;
  };
  quantized.model = std::make_unique<Model>(make_float_model(checkpoint, false, replace));
  return quantized;
}

std::vector<QuantizedModel> baselines_within(std::vector<QuantizedModel> rates,
                                             std::span<const SizeLimit> limits) {
  if (limits.empty()) return rates;
  std::set<std::size_t> chosen;
  for (const SizeLimit& limit : limits) {
    const auto best = std::find_if(rates.rbegin(), rates.rend(), [&](const QuantizedModel& rate) {
      return meets(rate.row, limit);
    });
    if (best == rates.rend()) {
      const ReportRow& smallest = rates.front().row;
      throw Error("budget", "below the smallest size of " + smallest.method,
                  "give at least " + std::to_string(smallest.bits_per_weight()) + " bits or " +
                      std::to_string(smallest.file_bytes()) + " bytes");
    }
    chosen.insert(static_cast<std::size_t>(rates.rend() - best) - 1);
  }
  std::vector<QuantizedModel> models;
  for (const std::size_t rate : chosen) models.push_back(std::move(rates[rate]));
  return models;
}

}  // namespace transformer
