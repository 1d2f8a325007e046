#include "transformer/adam.hpp"

#include <cmath>
#include <utility>

namespace transformer {

Adam::Adam(std::map<std::string, TunableVector>& vectors) {
  for (auto& [name, vector] : vectors) {
    const std::size_t count = vector.values.size();
    double squares = 0.0;
    for (const float value : vector.values) {
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    states_.push_back({&vector, std::sqrt(squares / static_cast<double>(count)),
                       std::vector<double>(count), std::vector<double>(count)});
  }
}

void Adam::step(double rate) {
  constexpr double keep_first = 0.9;
  constexpr double keep_second = 0.99;  // a finish has too few steps for the usual 0.999
  ++steps_;
  const double first_weight = 1.0 - std::pow(keep_first, static_cast<double>(steps_));
  const double second_weight = 1.0 - std::pow(keep_second, static_cast<double>(steps_));
  for (State& state : states_) {
    for (std::size_t i = 0; i < state.first.size(); ++i) {
      const auto gradient = static_cast<double>(state.vector->gradient[i]);
      double& first = state.first[i];
      double& second = state.second[i];
      first += (1.0 - keep_first) * (gradient - first);
      second += (1.0 - keep_second) * (gradient * gradient - second);
      if (second == 0.0) continue;  // nothing depends on it
      const double direction = (first / first_weight) / std::sqrt(second / second_weight);
      state.vector->values[i] -= static_cast<float>(rate * state.size * direction);
    }
  }
}

}  // namespace transformer
