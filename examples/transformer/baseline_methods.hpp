#pragma once

#include <string>
#include <vector>

#include "transformer/baselines.hpp"

namespace transformer {

/// A baseline at all the rates that are compared.
struct BaselineMethod {
  std::string name;             ///< as in Baseline::method
  std::vector<Baseline> rates;  ///< ascending in size
};

/// All baselines at their natural rates: 2, 3 and 4 bits in groups of 128 and 64 for those that
/// have a choice.
/// @param moments asked for only once a calibrated baseline runs
std::vector<BaselineMethod> baseline_methods(const InputMoments& moments);

}  // namespace transformer
