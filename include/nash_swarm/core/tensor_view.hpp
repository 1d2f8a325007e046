#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <limits>
#include <string>
#include <type_traits>

#include <nash_swarm/core/error.hpp>

namespace nash_swarm {

/// A size given by the host in any integer type; negative values are refused.
class Extent {
 public:
  // Implicit, so that `{rows, cols}` works with any integer type.
  template <std::integral Integer>
  NASH_SWARM_KEYED constexpr Extent(Integer value)
      : value_(static_cast<std::size_t>(value)) {
    if constexpr (std::is_signed_v<Integer>) {
      if (value < 0) {
        detail::raise(Error("TensorView", "negative extent or stride " + std::to_string(value),
                            "pass sizes that are 0 or more"));
      }
    }
  }
  constexpr std::size_t value() const noexcept { return value_; }

 private:
  std::size_t value_;
};

/// A view on memory that the host owns: pointer, extents and strides (in elements). It never copies
/// and never frees. Weight matrices are [out, in]; `.transposed()` gives the other reading.
template <class T, std::size_t Rank>
class TensorView {
  static_assert(Rank >= 1, "a TensorView has at least one dimension");
  static_assert(std::is_object_v<T>, "a TensorView is over objects");

 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;
  using Sizes = std::array<std::size_t, Rank>;
  static constexpr std::size_t rank = Rank;

  /// An empty view: every extent is 0.
  NASH_SWARM_KEYED constexpr TensorView() noexcept = default;

  /// A dense row-major view.
  /// @throws Error for a negative extent, a null pointer with elements, or a size that overflows
  NASH_SWARM_KEYED constexpr TensorView(T* data, const Extent (&extents)[Rank])
      : TensorView(data, values(extents), dense_strides(values(extents))) {}

  /// A view with a stride (in elements, 0 or more) for every dimension.
  /// @throws Error for a negative extent, a null pointer with elements, or a size that overflows
  NASH_SWARM_KEYED constexpr TensorView(T* data, const Extent (&extents)[Rank],
                                        const Extent (&strides)[Rank])
      : TensorView(data, values(extents), values(strides)) {}

  /// The same from arrays; a template, so that braces always mean the constructor above.
  template <std::same_as<Sizes> Array>
  NASH_SWARM_KEYED constexpr TensorView(T* data, const Array& extents, const Array& strides)
      : data_(data), extents_(extents), strides_(strides) {
    check();
  }

  /// A view on mutable elements is also a view on constant ones.
  template <class U>
    requires(std::is_const_v<T> && std::same_as<U, value_type>)
  NASH_SWARM_KEYED constexpr TensorView(const TensorView<U, Rank>& other) noexcept
      : data_(other.data()), extents_(other.extents()), strides_(other.strides()) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr const Sizes& extents() const noexcept { return extents_; }
  constexpr const Sizes& strides() const noexcept { return strides_; }
  constexpr std::size_t extent(std::size_t dimension) const noexcept { return extents_[dimension]; }
  constexpr std::size_t stride(std::size_t dimension) const noexcept { return strides_[dimension]; }

  /// Number of elements.
  NASH_SWARM_KEYED constexpr std::size_t size() const noexcept {
    std::size_t count = 1;
    for (const std::size_t extent : extents_) count *= extent;
    return count;
  }
  constexpr bool empty() const noexcept { return size() == 0; }

  /// True if the elements lie one after the other in row-major order.
  NASH_SWARM_KEYED constexpr bool is_contiguous() const noexcept {
    const Sizes dense = dense_strides(extents_);
    bool contiguous = true;
    for (std::size_t d = 0; d < Rank; ++d) {  // the stride of a single element leads nowhere
      contiguous = contiguous && (extents_[d] <= 1 || strides_[d] == dense[d]);
    }
    return contiguous || empty();
  }

  /// The element at the given indices; not checked.
  template <std::integral... Index>
    requires(sizeof...(Index) == Rank)
  NASH_SWARM_KEYED constexpr T& operator()(Index... index) const noexcept {
    std::size_t offset = 0;
    std::size_t dimension = 0;
    ((offset += static_cast<std::size_t>(index) * strides_[dimension++]), ...);
    return data_[offset];
  }

  /// The same matrix read the other way round: element (i, j) becomes (j, i).
  NASH_SWARM_KEYED constexpr TensorView transposed() const noexcept
    requires(Rank == 2)
  {
    TensorView view;
    view.data_ = data_;
    view.extents_ = {extents_[1], extents_[0]};
    view.strides_ = {strides_[1], strides_[0]};
    return view;
  }

  /// The elements whose index in `dimension` lies in [begin, end).
  /// @throws Error if the range does not lie within the view
  // Always inlined, since products call it and files for different machines would share a copy (see
  // NASH_SWARM_TARGET).
  [[gnu::always_inline]] constexpr TensorView slice(std::size_t dimension, std::size_t begin,
                                                    std::size_t end) const {
    if (dimension >= Rank || begin > end || end > extents_[dimension]) {
      refuse_slice(dimension, begin, end);
    }
    TensorView view = *this;
    view.extents_[dimension] = end - begin;
    if (!view.empty()) view.data_ = data_ + begin * strides_[dimension];
    return view;
  }

  /// Element `index` of the first dimension, as a view of one rank less.
  /// @throws Error if the index does not lie within the view
  NASH_SWARM_KEYED constexpr TensorView<T, Rank - 1> operator[](std::size_t index) const
    requires(Rank >= 2)
  {
    if (index >= extents_[0]) {
      detail::raise(Error("TensorView", "index " + std::to_string(index) +
                                            " of dimension 0 with extent " +
                                            std::to_string(extents_[0])));
    }
    std::array<std::size_t, Rank - 1> extents{};
    std::array<std::size_t, Rank - 1> strides{};
    for (std::size_t d = 1; d < Rank; ++d) {
      extents[d - 1] = extents_[d];
      strides[d - 1] = strides_[d];
    }
    return {empty() ? data_ : data_ + index * strides_[0], extents, strides};
  }

 private:
  NASH_SWARM_KEYED static constexpr Sizes values(const Extent (&list)[Rank]) noexcept {
    Sizes sizes{};
    for (std::size_t d = 0; d < Rank; ++d) sizes[d] = list[d].value();
    return sizes;
  }

  NASH_SWARM_KEYED static constexpr Sizes dense_strides(const Sizes& extents) noexcept {
    Sizes strides{};
    std::size_t stride = 1;
    for (std::size_t d = Rank; d-- > 0;) {
      strides[d] = stride;
      stride *= extents[d];
    }
    return strides;
  }

  /// Refuses sizes whose bytes do not fit a pointer difference: offsets are then safe to compute.
  NASH_SWARM_KEYED constexpr void check() const {
    constexpr std::size_t most =
        static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) / sizeof(T);
    std::size_t count = 1;
    std::size_t span = 1;
    for (std::size_t d = 0; d < Rank; ++d) {
      if (extents_[d] == 0) return;
    }
    for (std::size_t d = 0; d < Rank; ++d) {
      if (extents_[d] > most / count) overflow();
      count *= extents_[d];
      if (extents_[d] > 1) {
        if (strides_[d] > (most - span) / (extents_[d] - 1)) overflow();
        span += strides_[d] * (extents_[d] - 1);
      }
    }
    if (data_ == nullptr) {
      detail::raise(Error("TensorView", "null pointer for a view with elements"));
    }
  }

  NASH_SWARM_KEYED [[noreturn]] static void overflow() {
    detail::raise(
        Error("TensorView", "the size in bytes overflows", "check the extents and strides"));
  }

  NASH_SWARM_KEYED [[noreturn]] static void refuse_slice(std::size_t dimension, std::size_t begin,
                                                         std::size_t end) {
    detail::raise(Error("TensorView", "slice [" + std::to_string(begin) + ", " +
                                          std::to_string(end) + ") of dimension " +
                                          std::to_string(dimension) +
                                          " does not lie within the view"));
  }

  template <class, std::size_t>
  friend class TensorView;

  T* data_ = nullptr;
  Sizes extents_{};
  Sizes strides_{};
};

}  // namespace nash_swarm
