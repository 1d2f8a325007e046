#pragma once

#include <span>

#include "block_scheme.hpp"

namespace gguf {

/// The values that a row of weights has after it was stored in a type of llama.cpp: a model of the
/// error of `llama-quantize`, not the same bits, since scales are searched among fewer or other
/// candidates. The squared error of Gaussian weights is within 7 % of ggml's
/// (tests/examples/gguf_rounding_test.cpp). Weights whose scale is beyond half precision become
/// infinite, NaN or 0.
/// @param row [in], whole blocks
/// @param importance [in] of the channels, as in an imatrix; empty: llama.cpp is given none
/// @param out [in] may be `row`
void round_row(const BlockScheme& scheme, std::span<const float> row,
               std::span<const float> importance, std::span<float> out);

}  // namespace gguf
