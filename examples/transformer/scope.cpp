#include "transformer/scope.hpp"

#include <nash_swarm/core/error.hpp>

namespace transformer {

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

bool in_scope(Scope scope, MatrixRole role) {
  if (scope == Scope::all) return true;
  if (scope == Scope::blocks) return role == MatrixRole::layer;
  return role == MatrixRole::head || role == MatrixRole::tied_embedding;
}

std::vector<std::shared_ptr<const WeightSource>> matrices_in_scope(const Checkpoint& checkpoint,
                                                                   Scope scope) {
  std::vector<std::shared_ptr<const WeightSource>> matrices;
  for (std::size_t m = 0; m < checkpoint.shapes().size(); ++m) {
    if (in_scope(scope, checkpoint.shapes()[m].role)) matrices.push_back(checkpoint.matrices()[m]);
  }
  return matrices;
}

}  // namespace transformer
