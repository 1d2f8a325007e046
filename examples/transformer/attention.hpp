#pragma once

#include <cstddef>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>

namespace transformer {

/// Causal self-attention with `heads` heads of d channels, one task per sequence and head. Query i
/// of a sequence sees keys 0 … past + i, where past = keys − queries. Several heads in a row may
/// share a head of keys and values (grouped queries, Ainslie et al. 2023). Scores are held for a
/// tile of queries at a time. All views have contiguous rows.
/// @param queries [sequences, length, heads · d]
/// @param keys, values [sequences, past + length, key-value heads · d]
/// @param out [sequences, length, heads · d], overwritten
void causal_attention(nash_swarm::TensorView<const float, 3> queries,
                      nash_swarm::TensorView<const float, 3> keys,
                      nash_swarm::TensorView<const float, 3> values, std::size_t heads,
                      nash_swarm::TensorView<float, 3> out, nash_swarm::ThreadPool& pool);

/// The gradients of `causal_attention` over one sequence by queries, keys and values.
/// @param queries [length, heads · d]
/// @param keys, values [length, key-value heads · d]
/// @param dout gradient by its result, of the shape of `queries`
/// @param dqueries, dkeys, dvalues of the shapes of their values, overwritten
void causal_attention_gradient(nash_swarm::TensorView<const float, 2> queries,
                               nash_swarm::TensorView<const float, 2> keys,
                               nash_swarm::TensorView<const float, 2> values, std::size_t heads,
                               nash_swarm::TensorView<const float, 2> dout,
                               nash_swarm::TensorView<float, 2> dqueries,
                               nash_swarm::TensorView<float, 2> dkeys,
                               nash_swarm::TensorView<float, 2> dvalues,
                               nash_swarm::ThreadPool& pool);

}  // namespace transformer
