#include "type_plan.hpp"

#include <cstddef>
#include <cstdio>
#include <span>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/price.hpp>
#include <nash_swarm/io/printable_name.hpp>

namespace gguf {
namespace {

bool is_lower_case_word(char character) {
  return (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9') ||
         character == '_' || character == '-';
}

std::string expression_for(std::string_view name) {
  std::string expression(1, '^');
  for (const char character : name) {
    if (character == '.') expression += '\\';
    expression += is_lower_case_word(character) ? character : '.';
  }
  expression += '$';
  return expression;
}

std::string lower_case(std::string_view name) {
  std::string lower;
  for (const char character : name) {
    const bool capital = character >= 'A' && character <= 'Z';
    lower += capital ? static_cast<char>(character - 'A' + 'a') : character;
  }
  return lower;
}

}  // namespace

TypePlan plan_types(const std::vector<TensorTypes>& tensors, std::uint64_t budget,
                    nash_swarm::ThreadPool& pool) {
  if (tensors.empty()) throw nash_swarm::Error("plan", "no tensors to choose types for");
  std::vector<std::size_t> first{0};
  std::vector<std::uint64_t> bytes;
  std::vector<double> loss;
  for (const TensorTypes& tensor : tensors) {
    if (tensor.types.empty()) {
      throw nash_swarm::Error(tensor.tensor, "no type can hold its weights",
                              "check that they are finite");
    }
    for (const TypeLoss& type : tensor.types) {
      bytes.push_back(type.bytes);
      loss.push_back(type.loss);
    }
    first.push_back(bytes.size());
  }
  const nash_swarm::Players players{first, bytes, loss};
  const nash_swarm::Allocation allocation = nash_swarm::allocate_separable(players, budget, pool);
  TypePlan plan;
  plan.certificate = nash_swarm::certify(nash_swarm::Game(players), allocation.strategy, budget,
                                         allocation.price, allocation.y);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    plan.tensors.push_back({tensors[i].tensor, tensors[i].types[allocation.strategy[i]]});
  }
  return plan;
}

std::string tensor_type_lines(const TypePlan& plan) {
  std::string lines;
  for (const TensorChoice& tensor : plan.tensors) {
    lines += expression_for(tensor.tensor) + '=' + lower_case(tensor.choice.type) + '\n';
  }
  return lines;
}

std::string plan_text(const TypePlan& plan, std::uint64_t weights) {
  std::string out;
  char line[512];
  for (const TensorChoice& tensor : plan.tensors) {
    std::snprintf(line, sizeof line, "%-36.200s %-7s %14llu bytes, loss %.4g\n",
                  nash_swarm::printable(tensor.tensor).c_str(),
                  std::string(tensor.choice.type).c_str(),
                  static_cast<unsigned long long>(tensor.choice.bytes), tensor.choice.loss);
    out += line;
  }
  const nash_swarm::Certificate& c = plan.certificate;
  std::snprintf(line, sizeof line,
                "%zu tensors, %llu of %llu bytes, %.3f bits per weight, loss %.6g, no plan below "
                "%.6g (gap %.3g %%), largest gain by one tensor's change %.3g\n",
                c.players, static_cast<unsigned long long>(c.bytes),
                static_cast<unsigned long long>(c.budget),
                8.0 * static_cast<double>(c.bytes) / static_cast<double>(weights), c.loss,
                c.lower_bound, 100.0 * c.gap, c.epsilon);
  return out + line;
}

void write_tensor_types(nash_swarm::AtomicFile& file, const TypePlan& plan) {
  const std::string lines = tensor_type_lines(plan);
  file.write(std::as_bytes(std::span(lines)));
  file.commit();
}

}  // namespace gguf
