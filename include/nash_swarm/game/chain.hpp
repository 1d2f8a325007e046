#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/potential.hpp>
#include <nash_swarm/game/price.hpp>

/// Games whose edges join consecutive players only: at a price every chain is solved exactly.
namespace nash_swarm {
namespace detail {

/// Players [begin, end) with an edge between any two neighbours, and none beyond.
struct Chain {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::span<const Edge> edges;  ///< [end - begin - 1]
};

/// What bytes and losses cost at a price.
struct CostAtPrice {
  using Cost = double;
  double price = 0;
  Cost operator()(std::uint64_t bytes, double loss) const noexcept {
    return std::fma(price, static_cast<double>(bytes), loss);
  }
};

/// Costs of somebody to whom bytes are infinitely dear: bytes first, then the loss.
struct FewestBytes {
  struct Cost {
    std::uint64_t bytes = 0;
    double loss = 0;
    friend Cost operator+(const Cost& a, const Cost& b) noexcept {
      return {a.bytes + b.bytes, a.loss + b.loss};
    }
    friend auto operator<=>(const Cost&, const Cost&) = default;
  };
  Cost operator()(std::uint64_t bytes, double loss) const noexcept { return {bytes, loss}; }
};

inline namespace NASH_SWARM_TARGET {

/// Calls `visit(Chain)` for every chain of a game for which `is_chain` holds, in ascending order.
template <class Visit>
void for_each_chain(const Game& game, Visit&& visit) {
  std::size_t edge = 0;
  for (std::size_t begin = 0; begin < game.size();) {
    const std::size_t first = edge;
    std::size_t end = begin + 1;
    for (; edge < game.edges.size() && game.edges[edge].b == end; ++end) ++edge;
    visit(Chain{begin, end, game.edges.subspan(first, edge - first)});
    begin = end;
  }
}

/// Finds the cheapest plan of a chain by dynamic programming (Viterbi 1967). The edges are a Potts
/// term, so the cheapest of all predecessors stands for every unequal one: O(strategies) for a
/// player where edges compare indices. Memory: the back pointers of one chain.
/// @tparam Rule costs of bytes and losses, `CostAtPrice` or `FewestBytes`
template <class Rule>
class ChainSolver {
 public:
  ChainSolver(const Game& game, const Rule& rule) : game_(game), rule_(rule) {}

  /// Writes the strategies of the players of a chain; ties go to the lower index.
  /// @param strategy [players of the game]
  void solve(const Chain& chain, std::span<std::uint32_t> strategy) {
    start(chain.begin);
    back_.clear();
    for (std::size_t player = chain.begin + 1; player < chain.end; ++player) {
      extend(player, chain.edges[player - chain.begin - 1].bytes);
    }
    std::uint32_t choice = cheapest();
    std::size_t row = back_.size();
    for (std::size_t player = chain.end - 1; player > chain.begin; --player) {
      strategy[player] = choice;
      row -= game_.players.bytes_of(player).size();
      choice = back_[row + choice];
    }
    strategy[chain.begin] = choice;
  }

 private:
  using Cost = typename Rule::Cost;

  std::uint32_t cheapest() const {
    return static_cast<std::uint32_t>(std::min_element(value_.begin(), value_.end()) -
                                      value_.begin());
  }

  void start(std::size_t player) {
    const auto bytes = game_.players.bytes_of(player);
    const auto loss = game_.players.loss_of(player);
    value_.resize(bytes.size());
    for (std::size_t a = 0; a < bytes.size(); ++a) value_[a] = rule_(bytes[a], loss[a]);
  }

  void extend(std::size_t player, std::uint64_t edge_bytes) {
    const auto bytes = game_.players.bytes_of(player);
    const auto loss = game_.players.loss_of(player);
    const std::uint32_t best = cheapest();
    const Cost after_change = value_[best] + rule_(edge_bytes, 0.0);
    next_.resize(bytes.size());
    for (std::size_t a = 0; a < bytes.size(); ++a) {
      const std::size_t same = cheapest_of_format(player, a);
      const bool stays = same < value_.size() && !(after_change < value_[same]);
      back_.push_back(stays ? static_cast<std::uint32_t>(same) : best);
      next_[a] = (stays ? value_[same] : after_change) + rule_(bytes[a], loss[a]);
    }
    std::swap(value_, next_);
  }

  /// The predecessor's strategy with the format of strategy a; beyond the last if there is none.
  std::size_t cheapest_of_format(std::size_t player, std::size_t a) const {
    if (game_.format.empty()) return a;
    std::size_t same = value_.size();
    for (std::size_t b = 0; b < value_.size(); ++b) {
      if (game_.format_of(player - 1, b) != game_.format_of(player, a)) continue;
      if (same == value_.size() || value_[b] < value_[same]) same = b;
    }
    return same;
  }

  const Game& game_;
  Rule rule_;
  std::vector<Cost> value_;  // cheapest plan up to a player, by its strategy
  std::vector<Cost> next_;
  std::vector<std::uint32_t> back_;  // strategy of the player before, by player and strategy
};

/// Bytes and loss of the players and edges of a chain.
struct ChainTotals {
  std::uint64_t bytes = 0;
  double loss = 0;
};

inline ChainTotals chain_totals(const Game& game, const Chain& chain,
                                std::span<const std::uint32_t> strategy) {
  ChainTotals sum;
  for (std::size_t player = chain.begin; player < chain.end; ++player) {
    sum.bytes += game.players.bytes_of(player)[strategy[player]];
    sum.loss += game.players.loss_of(player)[strategy[player]];
  }
  for (const Edge& edge : chain.edges) sum.bytes += edge_bytes(game, strategy, edge);
  return sum;
}

/// A plan with the price that led to it.
struct PricedPlan {
  std::vector<std::uint32_t> strategy;
  std::uint64_t bytes = 0;
  double price = 0;
};

/// The cheapest plan of every chain under a rule.
template <class Rule>
PricedPlan solve_chains(const Game& game, const Rule& rule) {
  PricedPlan plan;
  plan.strategy.resize(game.size());
  ChainSolver<Rule> solver(game, rule);
  for_each_chain(game, [&](const Chain& chain) {
    solver.solve(chain, plan.strategy);
    plan.bytes += chain_totals(game, chain, plan.strategy).bytes;
  });
  return plan;
}

/// Searches the price at which the bytes of the best responses meet the budget. Doubles above 0 are
/// in the order of their bits, which are about linear in the logarithm of the price, as are the
/// bytes; so the bracket is widened, interpolated and halved in bits.
class ChainPriceSearch {
 public:
  ChainPriceSearch(const Game& game, std::uint64_t budget) : game_(game), budget_(budget) {}

  /// @param start a price nearby
  void run(double start) {
    constexpr int most_passes = 64;
    std::uint64_t bits = std::bit_cast<std::uint64_t>(start);
    std::uint64_t width = 0;
    bool halving = false;
    for (int pass = 0; pass < most_passes; ++pass) {
      const double price = std::bit_cast<double>(bits);
      PricedPlan plan = solve_chains(game_, CostAtPrice{price});
      plan.price = price;
      (plan.bytes <= budget_ ? within_ : beyond_) = std::move(plan);
      if (!within_ || !beyond_) {
        if ((within_ && bits == 0) || bits == highest) break;
        bits = widened(bits, pass);
        continue;
      }
      const std::uint64_t low = std::bit_cast<std::uint64_t>(beyond_->price);
      const std::uint64_t high = std::bit_cast<std::uint64_t>(within_->price);
      if (high - low <= narrowest || beyond_->bytes - within_->bytes <= budget_ / 16384) break;
      // Where many chains change at one price, interpolation does not halve the bracket.
      halving = halving || (width != 0 && high - low > width / 2);
      width = high - low;
      const double part = halving ? 0.5
                                  : static_cast<double>(beyond_->bytes - budget_) /
                                        static_cast<double>(beyond_->bytes - within_->bytes);
      bits = low + std::clamp<std::uint64_t>(
                       static_cast<std::uint64_t>(part * static_cast<double>(width)), 1, width - 1);
    }
  }

  std::optional<PricedPlan>& within() noexcept { return within_; }
  std::optional<PricedPlan>& beyond() noexcept { return beyond_; }

 private:
  /// Prices closer than 2^-24, relative to themselves, prove the same bound but for its 8th digit.
  static constexpr std::uint64_t narrowest = std::uint64_t{1} << 28;
  /// Prices above this could overflow in a product with bytes.
  static constexpr std::uint64_t highest = std::uint64_t{0x700} << 52;

  std::uint64_t widened(std::uint64_t bits, int pass) const {
    const std::uint64_t step = std::uint64_t{1} << std::min(46 + 2 * pass, 60);  // first: 1.5 %
    if (within_) return bits > step ? bits - step : 0;
    return bits > highest - step ? highest : bits + step;
  }

  const Game& game_;
  std::uint64_t budget_;
  std::optional<PricedPlan> within_;  // the plan of the lowest price that keeps the budget
  std::optional<PricedPlan> beyond_;  // that of the highest price that does not
};

/// Moves whole chains of `plan` to what they are in `larger`, best gain per byte first, as far as
/// the budget goes.
inline void exchange_chains(const Game& game, std::uint64_t budget, const PricedPlan& larger,
                            PricedPlan& plan) {
  struct Move {
    double rate = 0;
    std::uint64_t more = 0;
    Chain chain;
  };
  std::vector<Move> moves;
  for_each_chain(game, [&](const Chain& chain) {
    const ChainTotals own = chain_totals(game, chain, plan.strategy);
    const ChainTotals other = chain_totals(game, chain, larger.strategy);
    if (other.loss >= own.loss || other.bytes <= own.bytes) return;
    const std::uint64_t more = other.bytes - own.bytes;
    moves.push_back({(own.loss - other.loss) / static_cast<double>(more), more, chain});
  });
  std::stable_sort(moves.begin(), moves.end(),
                   [](const Move& a, const Move& b) { return a.rate > b.rate; });
  for (const Move& move : moves) {
    if (move.more > budget - plan.bytes) continue;
    plan.bytes += move.more;
    for (std::size_t player = move.chain.begin; player < move.chain.end; ++player) {
      plan.strategy[player] = larger.strategy[player];
    }
  }
}

/// Single moves on chains: a plan under a budget while its last bytes are handed out.
class ChainMoves {
 public:
  ChainMoves(const Game& game, std::uint64_t budget, PricedPlan& plan)
      : game_(game),
        strategy_(plan.strategy),
        free_(budget - plan.bytes),
        edge_before_(game.size() + 1) {
    for (const Edge& edge : game.edges) edge_before_[edge.b] = edge.bytes;
  }

  /// Makes the feasible moves of one player that lower the loss, best gain per byte first, until
  /// there is none. A move that frees bytes may open moves of players that have left the heap, so
  /// it asks for another pass.
  void run() {
    while (pass()) {
    }
  }

 private:
  struct Move {
    double rate = 0;  ///< fall of the loss per byte; infinite if the move takes no further byte
    double gain = 0;  ///< fall of the loss, above 0
    std::size_t player = 0;
    std::uint32_t strategy = 0;
    friend bool operator==(const Move&, const Move&) = default;
  };

  bool pass() {
    const auto worse = [](const Move& a, const Move& b) {
      return std::tie(a.rate, a.gain, b.player) < std::tie(b.rate, b.gain, a.player);
    };
    std::vector<Move> heap;
    for (std::size_t player = 0; player < game_.size(); ++player) {
      if (const auto move = best_move(player)) heap.push_back(*move);
    }
    std::make_heap(heap.begin(), heap.end(), worse);
    const auto push = [&](std::size_t player) {
      if (const auto move = best_move(player)) {
        heap.push_back(*move);
        std::push_heap(heap.begin(), heap.end(), worse);
      }
    };
    bool freed = false;
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end(), worse);
      const Move top = heap.back();
      heap.pop_back();
      if (const auto now = best_move(top.player); now != top) {  // others have moved since
        push(top.player);
        continue;
      }
      const std::uint64_t before = free_;
      free_ += bytes_of(top.player, strategy_[top.player]);
      free_ -= bytes_of(top.player, top.strategy);
      strategy_[top.player] = top.strategy;
      freed = freed || free_ > before;
      push(top.player);
      if (top.player > 0 && edge_before_[top.player] > 0) push(top.player - 1);
      if (edge_before_[top.player + 1] > 0) push(top.player + 1);
    }
    return freed;
  }

  /// Bytes of a strategy and of the edges at its player, while the others stay.
  std::uint64_t bytes_of(std::size_t player, std::size_t strategy) const {
    std::uint64_t bytes = game_.players.bytes_of(player)[strategy];
    const std::uint32_t format = game_.format_of(player, strategy);
    const auto unequal = [&](std::size_t other) {
      return game_.format_of(other, strategy_[other]) != format;
    };
    if (edge_before_[player] > 0 && unequal(player - 1)) bytes += edge_before_[player];
    if (edge_before_[player + 1] > 0 && unequal(player + 1)) bytes += edge_before_[player + 1];
    return bytes;
  }

  std::optional<Move> best_move(std::size_t player) const {
    const auto loss = game_.players.loss_of(player);
    const std::uint32_t own = strategy_[player];
    const std::uint64_t own_bytes = bytes_of(player, own);
    Move best;
    for (std::uint32_t a = 0; a < loss.size(); ++a) {
      if (loss[a] >= loss[own]) continue;
      Move move{std::numeric_limits<double>::infinity(), loss[own] - loss[a], player, a};
      const std::uint64_t bytes = bytes_of(player, a);
      if (bytes > own_bytes) {
        if (bytes - own_bytes > free_) continue;
        move.rate = move.gain / static_cast<double>(bytes - own_bytes);
      }
      if (std::tie(move.rate, move.gain) > std::tie(best.rate, best.gain)) best = move;
    }
    return best.gain > 0 ? std::optional(best) : std::nullopt;
  }

  const Game& game_;
  std::span<std::uint32_t> strategy_;
  std::uint64_t free_;                      // bytes of the budget that nobody takes
  std::vector<std::uint64_t> edge_before_;  // of the edge to the player before, 0 if there is none
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Whether the game is not coupled and its edges, ascending, all join consecutive players: its
/// players then are chains, of one player where there is no edge.
inline bool is_chain(const Game& game) noexcept {
  if (game.coupled()) return false;
  for (std::size_t e = 0; e < game.edges.size(); ++e) {
    const Edge& edge = game.edges[e];
    if (edge.b != edge.a + 1 || (e > 0 && edge.a <= game.edges[e - 1].a)) return false;
  }
  return true;
}

/// Chooses strategies for a game of chains: at a price every chain is solved exactly, the price is
/// searched until the bytes meet the budget, then chains whose plan differs between the two prices
/// around the budget move one by one, and the last bytes go to single players, best gain per byte
/// first, until no feasible move of one player lowers the loss (epsilon is 0). Deterministic.
/// O(strategies) for each of 10 to 30 passes.
/// @throws Error for a bad game, edges that are not chains, and a budget below the smallest
/// possible
inline Allocation allocate_chains(const Game& game, std::uint64_t budget) {
  check(game);
  if (!is_chain(game)) {
    throw Error("game", "its edges do not join consecutive players in ascending order",
                "use allocate");
  }
  detail::PricedPlan plan = detail::solve_chains(game, detail::FewestBytes{});
  if (plan.bytes > budget) {
    throw Error("budget",
                std::to_string(budget) + " bytes are fewer than the smallest possible " +
                    std::to_string(plan.bytes),
                "give at least " + std::to_string(plan.bytes) + " bytes");
  }
  detail::ChainPriceSearch search(game, budget);
  search.run(allocate_at_price(game.players, budget).price);
  plan.price = search.beyond() ? search.beyond()->price : 0.0;
  if (search.within()) plan = std::move(*search.within());
  if (search.beyond()) detail::exchange_chains(game, budget, *search.beyond(), plan);
  detail::ChainMoves(game, budget, plan).run();
  return {std::move(plan.strategy), plan.price, {}};
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
