#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/game/cell_hull.hpp>
#include <nash_swarm/game/game.hpp>

namespace nash_swarm {

/// How the damage of the matrices of a model adds up.
struct MatrixHeadings {
  std::size_t dimension = 0;          ///< s
  std::span<const double> direction;  ///< [matrices, s] unit vectors
  std::span<const double> coherent;   ///< [matrices] coherent share of the loss, 0 … 1
};

/// The coupled game over the matrices of a model, with its tables: strategy k of a matrix is a
/// point of the hull over its cells with bytes C and loss L; its coherent part is h·√(2ρL), its
/// incoherent one (1 − ρ)·L. The corners below each hull make the lower bound hold for every plan
/// of cells.
class MatrixGame {
 public:
  /// @param cells the game over all cells: chains, none of which reaches from one matrix to another
  /// @param first_cell [matrices + 1] matrix m has the players [first_cell[m], first_cell[m + 1])
  /// @throws Error for shapes that do not fit, and shares outside of 0 … 1
  template <Executor E>
  NASH_SWARM_KEYED MatrixGame(const Game& cells, std::span<const std::size_t> first_cell,
                              const MatrixHeadings& headings, E& executor)
      : cells_(cells),
        first_cell_(first_cell.begin(), first_cell.end()),
        dimension_(headings.dimension),
        direction_(headings.direction.begin(), headings.direction.end()) {
    check_shapes(headings);
    const std::size_t matrices = first_cell.size() - 1;
    hulls_.resize(matrices);
    executor.run(matrices, [&](std::size_t m) {
      hulls_[m] = with_cells_of(m, [](const Game& game) { return cell_hull(game); });
    });
    for (std::size_t m = 0; m < matrices; ++m) {
      const double share = headings.coherent[m];
      for (const CellHullPoint& point : hulls_[m].points) {
        bytes_.push_back(point.bytes);
        loss_.push_back((1 - share) * point.loss);
        magnitude_.push_back(std::sqrt(2 * share * point.loss));
      }
      for (const CellHullCorner& corner : hulls_[m].corners) {
        corner_bytes_.push_back(corner.bytes);
        corner_loss_.push_back(corner.loss);
      }
      first_.push_back(bytes_.size());
      first_corner_.push_back(corner_bytes_.size());
      coherent_.push_back(share);
    }
  }

  // The game is a view of the tables.
  MatrixGame(const MatrixGame&) = delete;
  MatrixGame& operator=(const MatrixGame&) = delete;

  NASH_SWARM_KEYED Game game() const noexcept {
    Game game(Players{first_, bytes_, loss_}, Headings{dimension_, direction_, magnitude_});
    game.corners = {first_corner_, corner_bytes_, corner_loss_, coherent_};
    return game;
  }

  /// The plan of all cells that a plan of the matrices stands for.
  /// @param strategy [matrices]; not checked
  NASH_SWARM_KEYED std::vector<std::uint32_t> cells(std::span<const std::uint32_t> strategy) const {
    std::vector<std::uint32_t> plan;
    for (std::size_t m = 0; m < hulls_.size(); ++m) {
      const double price = hulls_[m].points[strategy[m]].price;
      const std::vector<std::uint32_t> own =
          with_cells_of(m, [&](const Game& game) { return detail::cells_at_price(game, price); });
      plan.insert(plan.end(), own.begin(), own.end());
    }
    return plan;
  }

  const std::vector<CellHull>& hulls() const noexcept { return hulls_; }

 private:
  NASH_SWARM_KEYED void check_shapes(const MatrixHeadings& headings) const {
    check(cells_);
    if (first_cell_.empty() || first_cell_.front() != 0 || first_cell_.back() != cells_.size()) {
      throw Error("matrices", "they do not cover the cells", "pass matrices + 1 first cells");
    }
    const std::size_t matrices = first_cell_.size() - 1;
    if (headings.coherent.size() != matrices ||
        headings.direction.size() != matrices * headings.dimension) {
      throw Error("headings", "they do not fit " + std::to_string(matrices) + " matrices");
    }
    for (std::size_t m = 0; m < matrices; ++m) {
      const std::string name = "matrix " + std::to_string(m);
      if (first_cell_[m + 1] <= first_cell_[m]) throw Error(name, "it has no cells");
      if (!(headings.coherent[m] >= 0 && headings.coherent[m] <= 1)) {
        throw Error(name, "its coherent share is not within 0 and 1");
      }
    }
    for (const Edge& edge : cells_.edges) {
      const auto end = std::upper_bound(first_cell_.begin(), first_cell_.end(), edge.a);
      if (edge.b >= *end) throw Error("edges", "one joins two matrices", "keep them apart");
    }
  }

  /// Calls `use` with the game over the cells of one matrix.
  template <class Use>
  NASH_SWARM_KEYED std::invoke_result_t<Use, const Game&> with_cells_of(std::size_t m,
                                                                        Use use) const {
    const std::size_t begin = first_cell_[m];
    const std::size_t end = first_cell_[m + 1];
    const Players& all = cells_.players;
    const std::size_t base = all.first[begin];
    const std::size_t count = all.first[end] - base;
    std::vector<std::size_t> first;
    for (std::size_t cell = begin; cell <= end; ++cell) first.push_back(all.first[cell] - base);
    std::vector<Edge> edges;
    const auto before = [](const Edge& edge, std::size_t cell) { return edge.a < cell; };
    auto edge = std::lower_bound(cells_.edges.begin(), cells_.edges.end(), begin, before);
    for (; edge != cells_.edges.end() && edge->a < end; ++edge) {
      edges.push_back({edge->a - begin, edge->b - begin, edge->bytes});
    }
    Game game(Players{first, all.bytes.subspan(base, count), all.loss.subspan(base, count)}, {},
              edges);
    if (!cells_.format.empty()) game.format = cells_.format.subspan(base, count);
    return use(game);
  }

  Game cells_;
  std::vector<std::size_t> first_cell_;
  std::size_t dimension_;
  std::vector<double> direction_;
  std::vector<CellHull> hulls_;
  std::vector<std::size_t> first_{0};
  std::vector<std::uint64_t> bytes_;
  std::vector<double> loss_;
  std::vector<double> magnitude_;
  std::vector<std::size_t> first_corner_{0};
  std::vector<double> corner_bytes_;
  std::vector<double> corner_loss_;
  std::vector<double> coherent_;
};

}  // namespace nash_swarm
