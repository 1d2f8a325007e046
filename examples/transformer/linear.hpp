#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <span>

#include "transformer/float_matrix.hpp"
#include "transformer/shared_input.hpp"
#include "transformer/weight_source.hpp"

namespace transformer {

/// y = x·Wᵀ for a weight matrix W [out, in]; the bias is the model's affair.
class Linear {
 public:
  virtual ~Linear();
  virtual std::size_t out_features() const = 0;
  virtual std::size_t in_features() const = 0;

  /// @param x [tokens, in], rows contiguous, which other matrices may read as well
  /// @param y [tokens, out], rows contiguous, overwritten
  virtual void apply(const SharedInput& x, nash_swarm::TensorView<float, 2> y,
                     nash_swarm::ThreadPool& pool) const = 0;

  /// The same for an input that nobody else reads.
  void apply(nash_swarm::TensorView<const float, 2> x, nash_swarm::TensorView<float, 2> y,
             nash_swarm::ThreadPool& pool) const {
    apply(SharedInput(x), y, pool);
  }
};

/// Where tokens become vectors at the start of a model, and vectors logits at its end: one matrix
/// [vocabulary, width] for both if it is tied.
class TokenEmbedding {
 public:
  virtual ~TokenEmbedding();
  virtual std::size_t vocabulary_size() const = 0;
  virtual std::size_t width() const = 0;

  /// @param tokens each in [0, vocabulary)
  /// @param rows [tokens, width], rows contiguous, overwritten
  virtual void lookup(std::span<const std::int32_t> tokens,
                      nash_swarm::TensorView<float, 2> rows) const = 0;

  /// @param hidden [tokens, width], rows contiguous
  /// @param logits [tokens, vocabulary], rows contiguous, overwritten
  virtual void logits(nash_swarm::TensorView<const float, 2> hidden,
                      nash_swarm::TensorView<float, 2> logits,
                      nash_swarm::ThreadPool& pool) const = 0;
};

/// Float32 weights that are either kept (resident: for few tokens at a time) or converted from
/// their source band by band at every call (streamed: for many tokens at a time). Both cut the work
/// into the same slices whatever the number of threads, so all results are the same bit for bit.
class FloatWeights {
 public:
  FloatWeights(std::shared_ptr<const WeightSource> source, bool resident);

  std::size_t out_features() const { return source_->out_features(); }
  std::size_t in_features() const { return source_->in_features(); }

  /// y [tokens, out] = x [tokens, in] · Wᵀ
  /// @throws nash_swarm::Error if the shapes do not fit
  void multiply(nash_swarm::TensorView<const float, 2> x, nash_swarm::TensorView<float, 2> y,
                nash_swarm::ThreadPool& pool) const;

  /// dx [tokens, in] += dy [tokens, out] · W, the gradient by the input of `multiply`
  /// @throws nash_swarm::Error if the shapes do not fit
  void add_multiplied_transposed(nash_swarm::TensorView<const float, 2> dy,
                                 nash_swarm::TensorView<float, 2> dx,
                                 nash_swarm::ThreadPool& pool) const;

  /// Copies row `rows[i]` of W into row i of `target` [rows, in].
  void gather(std::span<const std::int32_t> rows, nash_swarm::TensorView<float, 2> target) const;

 private:
  /// Calls `body(begin, band)` for bands of rows of W, [rows, in] each.
  void for_each_band(
      nash_swarm::ThreadPool& pool,
      const std::function<void(std::size_t, nash_swarm::TensorView<const float, 2>)>& body) const;
  void check_shapes(std::size_t out, std::size_t in, std::size_t tokens,
                    std::size_t other_tokens) const;

  std::shared_ptr<const WeightSource> source_;
  FloatMatrix kept_;  // [out, in], empty if streamed
};

class FloatLinear : public Linear {
 public:
  FloatLinear(std::shared_ptr<const WeightSource> source, bool resident)
      : weights_(std::move(source), resident) {}
  std::size_t out_features() const override { return weights_.out_features(); }
  std::size_t in_features() const override { return weights_.in_features(); }
  using Linear::apply;
  void apply(const SharedInput& x, nash_swarm::TensorView<float, 2> y,
             nash_swarm::ThreadPool& pool) const override {
    weights_.multiply(x.values(), y, pool);
  }
  const FloatWeights& weights() const noexcept { return weights_; }

 private:
  FloatWeights weights_;
};

class FloatEmbedding : public TokenEmbedding {
 public:
  FloatEmbedding(std::shared_ptr<const WeightSource> source, bool resident)
      : weights_(std::move(source), resident) {}
  std::size_t vocabulary_size() const override { return weights_.out_features(); }
  std::size_t width() const override { return weights_.in_features(); }
  void lookup(std::span<const std::int32_t> tokens,
              nash_swarm::TensorView<float, 2> rows) const override {
    weights_.gather(tokens, rows);
  }
  void logits(nash_swarm::TensorView<const float, 2> hidden,
              nash_swarm::TensorView<float, 2> logits,
              nash_swarm::ThreadPool& pool) const override {
    weights_.multiply(hidden, logits, pool);
  }
  const FloatWeights& weights() const noexcept { return weights_; }

 private:
  FloatWeights weights_;
};

/// An embedding beside a head of its own.
class UntiedEmbedding : public TokenEmbedding {
 public:
  UntiedEmbedding(std::unique_ptr<TokenEmbedding> table, std::unique_ptr<Linear> head)
      : table_(std::move(table)), head_(std::move(head)) {}
  std::size_t vocabulary_size() const override { return table_->vocabulary_size(); }
  std::size_t width() const override { return table_->width(); }
  void lookup(std::span<const std::int32_t> tokens,
              nash_swarm::TensorView<float, 2> rows) const override {
    table_->lookup(tokens, rows);
  }
  void logits(nash_swarm::TensorView<const float, 2> hidden,
              nash_swarm::TensorView<float, 2> logits,
              nash_swarm::ThreadPool& pool) const override {
    head_->apply(hidden, logits, pool);
  }
  const Linear& head() const noexcept { return *head_; }

 private:
  std::unique_ptr<TokenEmbedding> table_;
  std::unique_ptr<Linear> head_;
};

}  // namespace transformer
