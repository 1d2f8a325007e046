#pragma once

#include <span>

#include "block_scheme.hpp"

namespace gguf {

/// The values that a row of weights has after it was stored in a type of llama.cpp: a model of the
/// error of `llama-quantize`, not the same bits. Its scales are searched among fewer or other
/// candidates; the squared error on Gaussian weights differs by less than 10 %
/// (tests/examples/gguf_rounding_test.cpp). A weight too large for a half-precision scale becomes
/// infinite or NaN.
/// @param row [in], whole blocks
/// @param importance [in] of the channels, as in an imatrix; empty: llama.cpp is given none
/// @param out [in] may be `row`
void round_row(const BlockScheme& scheme, std::span<const float> row,
               std::span<const float> importance, std::span<float> out);

}  // namespace gguf
