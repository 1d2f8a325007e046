#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace gguf {

/// The name that llama.cpp's converter gives to a tensor of a Hugging Face checkpoint, for instance
/// "blk.0.attn_qkv.weight" to "h.0.attn.c_attn" of "gpt2" and "blk.0.attn_q.weight" to
/// "model.layers.0.self_attn.q_proj.weight" of "llama" (gguf-py/gguf/tensor_mapping.py); nullopt
/// for a tensor or an architecture that is not known here. The converter permutes the rows of q and
/// k of a llama, which the type of a whole tensor does not depend on.
/// @param architecture as in `general.architecture`
/// @param name with or without the prefix of the model; ".weight" may be left out
std::optional<std::string> gguf_name(std::string_view architecture, std::string_view name);

/// True for tensors that llama-quantize quantizes, of the architectures above and those with like
/// names: matrices of weights but those of norms, positions and expert gates
/// (tensor_allows_quantization in src/llama-quant.cpp).
/// @param name in a GGUF file
bool is_quantizable(std::string_view name, std::size_t dimensions);

}  // namespace gguf
