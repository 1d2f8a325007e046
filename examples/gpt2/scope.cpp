#include "gpt2/scope.hpp"

#include <algorithm>
#include <iterator>

#include <nash_swarm/core/error.hpp>

namespace gpt2 {

Scope parse_scope(const std::string& word) {
  for (const Scope scope : {Scope::all, Scope::blocks, Scope::lm_head}) {
    if (word == name_of(scope)) return scope;
  }
  throw nash_swarm::Error("--scope", "unknown scope \"" + word + "\"",
                          "use all, blocks or lm_head");
}

std::string_view name_of(Scope scope) {
  return scope == Scope::all ? "all" : scope == Scope::blocks ? "blocks" : "lm_head";
}

bool in_scope(Scope scope, std::string_view matrix) {
  return scope == Scope::all || (scope == Scope::lm_head) == (matrix == "wte");
}

std::vector<std::shared_ptr<const WeightSource>> matrices_in_scope(const Checkpoint& checkpoint,
                                                                   Scope scope) {
  std::vector<std::shared_ptr<const WeightSource>> matrices;
  std::copy_if(checkpoint.matrices().begin(), checkpoint.matrices().end(),
               std::back_inserter(matrices),
               [scope](const auto& matrix) { return in_scope(scope, matrix->name()); });
  return matrices;
}

}  // namespace gpt2
