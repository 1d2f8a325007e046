#include "transformer/lone_measurements.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <nash_swarm/core/fingerprint.hpp>

namespace transformer {
namespace {

std::vector<double> to_numbers(const LoneMeasurements& measured) {
  std::vector<double> numbers{static_cast<double>(measured.headings.dimension)};
  for (const auto* part : {&measured.losses, &measured.coarse_losses, &measured.headings.coherent,
                           &measured.headings.direction}) {
    numbers.insert(numbers.end(), part->begin(), part->end());
  }
  return numbers;
}

/// Nothing if the numbers are not as many as they say, or one is none.
std::optional<LoneMeasurements> from_numbers(const std::vector<double>& numbers,
                                             std::size_t matrices) {
  const std::size_t plain = 1 + 3 * matrices;
  const bool finite = std::ranges::all_of(numbers, [](double x) { return std::isfinite(x); });
  if (!finite || numbers.size() < plain) return std::nullopt;
  const std::size_t directions = numbers.size() - plain;
  const std::size_t dimension = directions / std::max<std::size_t>(1, matrices);
  if (numbers[0] != static_cast<double>(dimension) || directions != dimension * matrices) {
    return std::nullopt;
  }
  LoneMeasurements measured;
  measured.headings.dimension = dimension;
  auto next = numbers.begin() + 1;
  for (auto* part : {&measured.losses, &measured.coarse_losses, &measured.headings.coherent}) {
    part->assign(next, next + static_cast<std::ptrdiff_t>(matrices));
    next += static_cast<std::ptrdiff_t>(matrices);
  }
  measured.headings.direction.assign(next, numbers.end());
  return measured;
}

}  // namespace

LoneMeasurements measured_alone(const Checkpoint& checkpoint, std::span<const LonePlans> plans,
                                std::span<const std::int32_t> tokens, std::size_t window,
                                const MatrixPacker& packer, const WorkFolder* folder,
                                nash_swarm::ThreadPool& pool) {
  nash_swarm::Fingerprint inputs;
  inputs.add(std::as_bytes(tokens));
  inputs.add(std::uint64_t{window});
  for (const LonePlans& matrix : plans) {
    for (const nash_swarm::MatrixPlan& plan : matrix.seeds) inputs.add(packer.fingerprint(plan));
    inputs.add(packer.fingerprint(matrix.coarse));
  }
  const char* const name = "lone_errors";
  if (folder != nullptr) {
    if (const auto numbers = folder->numbers(name, inputs.value())) {
      if (auto measured = from_numbers(*numbers, plans.size())) return std::move(*measured);
    }
  }
  const LoneErrors errors =
      lone_errors(checkpoint, plans, tokens, window, pool,
                  [&](const nash_swarm::MatrixPlan& plan) { return packer.pack(plan); });
  LoneMeasurements measured{errors.losses, errors.coarse_losses, errors.products.headings()};
  if (folder != nullptr) {
    folder->store_numbers(name, to_numbers(measured), inputs.value());
  }
  return measured;
}

}  // namespace transformer
