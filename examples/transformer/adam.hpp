#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "transformer/tunable_model.hpp"

namespace transformer {

/// Gradient descent whose step is a share of each vector's size, whatever the gradient's (Adam:
/// Kingma and Ba 2015), relative to the root mean square that the vector starts with.
class Adam {
 public:
  /// @param vectors outlive it
  explicit Adam(std::map<std::string, TunableVector>& vectors);

  /// Moves every value against its gradient.
  /// @param rate step in root mean squares of the vector
  void step(double rate);

 private:
  struct State {
    TunableVector* vector = nullptr;
    double size = 0.0;           // root mean square at the start
    std::vector<double> first;   // running mean of the gradient
    std::vector<double> second;  // and of its square
  };

  std::vector<State> states_;
  std::size_t steps_ = 0;
};

}  // namespace transformer
