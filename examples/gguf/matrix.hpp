#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include <nash_swarm/calibration/matrix_calibration.hpp>

namespace gguf {

/// A matrix [out, in] of a GGUF file whose type is to be chosen. Refers to what it is given.
struct Matrix {
  std::string name;  ///< as in the GGUF file
  std::size_t out_features = 0;
  std::size_t in_features = 0;
  /// Reads rows from `first` on, as many as fill `rows` [count · in].
  std::function<void(std::size_t first, std::span<float> rows)> read;
  /// What is known of how errors harm the model; nullptr: nothing.
  const nash_swarm::MatrixCalibration* calibration = nullptr;
  /// [in] mean squares of the inputs, if llama-quantize is given an imatrix of them; may be empty.
  std::span<const float> imatrix;
};

}  // namespace gguf
