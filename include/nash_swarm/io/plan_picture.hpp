#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include <nash_swarm/format/matrix_plan.hpp>
#include <nash_swarm/io/svg_text.hpp>

/// A picture of a plan: matrices as rectangles whose areas are their weights, cells coloured by the
/// bits of their formats.
namespace nash_swarm {
namespace detail {

/// A matrix on the picture, in pixels.
struct PictureTile {
  std::size_t matrix = 0;
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;
};

inline namespace NASH_SWARM_TARGET {

inline constexpr double picture_width = 1200;
inline constexpr double picture_height = 800;
inline constexpr double picture_legend = 40;  // above the matrices
/// Edge of what a cell is drawn as at least; it bounds the file: fewer than 110,000 cells.
inline constexpr double picture_grain = 3;

/// Mean ratio of the longer to the shorter edge of the areas of a strip across the picture.
inline double mean_aspect(const std::vector<double>& areas, std::size_t begin, std::size_t end) {
  double strip = 0;
  for (std::size_t i = begin; i < end; ++i) strip += areas[i];
  const double height = strip / picture_width;
  double sum = 0;
  for (std::size_t i = begin; i < end; ++i) {
    const double width = areas[i] / height;
    sum += std::max(width / height, height / width);
  }
  return sum / static_cast<double>(end - begin);
}

/// Strips of matrices in their order, each as long as its rectangles get squarer (strip treemap:
/// Bederson, Shneiderman and Wattenberg 2002, "Ordered and quantum treemaps").
inline std::vector<PictureTile> picture_tiles(const std::vector<MatrixPlan>& matrices) {
  std::vector<double> areas;
  double weights = 0;
  for (const MatrixPlan& matrix : matrices) {
    areas.push_back(static_cast<double>(matrix.out_features) *
                    static_cast<double>(matrix.in_features));
    weights += areas.back();
  }
  for (double& area : areas) area *= picture_width * picture_height / weights;
  std::vector<PictureTile> tiles;
  double y = picture_legend;
  for (std::size_t begin = 0; begin < areas.size();) {
    std::size_t end = begin + 1;
    while (end < areas.size() &&
           mean_aspect(areas, begin, end + 1) <= mean_aspect(areas, begin, end)) {
      ++end;
    }
    double strip = 0;
    for (std::size_t i = begin; i < end; ++i) strip += areas[i];
    const double height = strip / picture_width;
    double x = 0;
    for (; begin < end; ++begin) {
      tiles.push_back({begin, x, y, areas[begin] / height, height});
      x += areas[begin] / height;
    }
    y += height;
  }
  return tiles;
}

/// From blue over green to yellow and red by bits per weight; grey for pruned cells.
inline std::string picture_colour(const Format& format) {
  constexpr std::array<std::array<double, 3>, 5> stops = {
      {{38, 70, 140}, {33, 145, 140}, {120, 200, 80}, {250, 210, 50}, {200, 40, 40}}};
  const double bits = format.bits_per_weight();
  if (bits == 0.0) return "#d0d0d0";
  // Logarithmic, from 2 bits on: half a bit matters more among 3 bits than among 8.
  const double place = std::clamp(std::log2(bits / 2.0) / 3.0, 0.0, 1.0) * 4.0;
  const auto low = std::min<std::size_t>(static_cast<std::size_t>(place), 3);
  const double part = place - static_cast<double>(low);
  char text[8] = "";
  unsigned rgb[3] = {};
  for (std::size_t c = 0; c < 3; ++c) {
    const double value = stops[low][c] + part * (stops[low + 1][c] - stops[low][c]);
    rgb[c] = static_cast<unsigned>(std::lround(value)) & 0xffu;
  }
  std::snprintf(text, sizeof text, "#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
  return text;
}

/// The cells of a matrix as they are drawn: fewer where they would be smaller than the grain.
class PictureCells {
 public:
  PictureCells(const CellMap& cells, const PictureTile& tile)
      : cells_(cells),
        tile_(tile),
        rows_(drawn(cells.panels(), tile.height)),
        columns_(drawn(cells.blocks(), tile.width)) {}

  /// One path for each format, of rectangles that merge equal neighbours.
  std::string paths() const {
    std::array<std::string, format_count> shapes;
    for (std::size_t row = 0; row < rows_;) {
      std::size_t next = row + 1;
      while (next < rows_ && rows_equal(row, next)) ++next;
      for (std::size_t column = 0; column < columns_;) {
        const FormatId id = at(row, column);
        std::size_t end = column + 1;
        while (end < columns_ && at(row, end) == id) ++end;
        shapes[format_index(id)] += rectangle(row, next, column, end);
        column = end;
      }
      row = next;
    }
    std::string text;
    for (std::size_t f = 0; f < format_count; ++f) {
      if (shapes[f].empty()) continue;
      text += "<path class=\"f" + std::to_string(f) + "\" d=\"" + shapes[f] + "\"/>\n";
    }
    return text;
  }

 private:
  static std::size_t drawn(std::size_t count, double length) {
    const auto most = static_cast<std::size_t>(std::max(1.0, length / picture_grain));
    return std::min(count, most);
  }
  /// The cell in the middle of what is drawn as one.
  FormatId at(std::size_t row, std::size_t column) const {
    return cells_((2 * row + 1) * cells_.panels() / (2 * rows_),
                  (2 * column + 1) * cells_.blocks() / (2 * columns_));
  }
  bool rows_equal(std::size_t a, std::size_t b) const {
    for (std::size_t column = 0; column < columns_; ++column) {
      if (at(a, column) != at(b, column)) return false;
    }
    return true;
  }
  std::string rectangle(std::size_t top, std::size_t bottom, std::size_t left,
                        std::size_t right) const {
    const auto edge = [](double origin, double length, std::size_t place, std::size_t count) {
      return origin + length * static_cast<double>(place) / static_cast<double>(count);
    };
    return "M" + pixels(edge(tile_.x, tile_.width, left, columns_)) + " " +
           pixels(edge(tile_.y, tile_.height, top, rows_)) + "H" +
           pixels(edge(tile_.x, tile_.width, right, columns_)) + "V" +
           pixels(edge(tile_.y, tile_.height, bottom, rows_)) + "H" +
           pixels(edge(tile_.x, tile_.width, left, columns_)) + "z";
  }

  const CellMap& cells_;
  PictureTile tile_;
  std::size_t rows_;
  std::size_t columns_;
};

/// A colour, the name, the bits and the share of the weights of every format that is used.
inline std::string picture_legend_text(const std::vector<MatrixPlan>& matrices) {
  std::array<std::size_t, format_count> cells{};
  std::size_t all = 0;
  for (const MatrixPlan& matrix : matrices) {
    for (std::size_t p = 0; p < matrix.cells.panels(); ++p) {
      for (const FormatId id : matrix.cells.panel(p)) ++cells[format_index(id)];
    }
    all += matrix.cells.panels() * matrix.cells.blocks();
  }
  std::string text;
  double x = 4;
  for (std::size_t f = 0; f < format_count; ++f) {
    if (cells[f] == 0) continue;
    char label[96];
    std::snprintf(label, sizeof label, "%.*s: %g bits, %.1f %%",
                  static_cast<int>(format_table[f].name.size()), format_table[f].name.data(),
                  format_table[f].bits_per_weight(),
                  100.0 * static_cast<double>(cells[f]) / static_cast<double>(all));
    text += "<path class=\"f" + std::to_string(f) + "\" d=\"M" + pixels(x) + " 14h12v12h-12z\"/>" +
            "<text x=\"" + pixels(x + 16) + "\" y=\"24\">" + xml_text(label) + "</text>\n";
    x += 148;
  }
  return text;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// A picture of some matrices' cells as SVG: a legend with the share of the weights of every
/// format, below it the matrices, panels from top to bottom and blocks from left to right. Below 4
/// MB for any model; matrices of more cells than pixels are sampled.
inline std::string plan_picture(const std::vector<MatrixPlan>& matrices) {
  const std::string width = pixels(detail::picture_width);
  const std::string height = pixels(detail::picture_height + detail::picture_legend);
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + width + " " +
                    height + "\" font-family=\"sans-serif\" font-size=\"11\">\n<style>";
  for (std::size_t f = 0; f < format_count; ++f) {
    svg += ".f" + std::to_string(f) + "{fill:" + detail::picture_colour(format_table[f]) + "}";
  }
  svg +=
      ".m{fill:none;stroke:#fff;stroke-width:2}"
      ".n{fill:#000;stroke:#fff;stroke-width:2;paint-order:stroke}</style>\n"
      "<rect width=\"" +
      width + "\" height=\"" + height + "\" fill=\"#fff\"/>\n";
  svg += detail::picture_legend_text(matrices);
  for (const detail::PictureTile& tile : detail::picture_tiles(matrices)) {
    const MatrixPlan& matrix = matrices[tile.matrix];
    const std::string name = xml_text(matrix.name);
    const std::string place = "x=\"" + pixels(tile.x) + "\" y=\"" + pixels(tile.y) +
                              "\" width=\"" + pixels(tile.width) + "\" height=\"" +
                              pixels(tile.height) + "\"";
    svg += "<g><title>" + name + "</title>\n" + detail::PictureCells(matrix.cells, tile).paths() +
           "<rect class=\"m\" " + place + "/>";
    // A name that is wider than its matrix would cover the next one.
    if (tile.height >= 12 && tile.width >= 6.0 * static_cast<double>(matrix.name.size())) {
      svg += "<text class=\"n\" x=\"" + pixels(tile.x + 3) + "\" y=\"" +
             pixels(tile.y + 11) + "\">" + name + "</text>";
    }
    svg += "</g>\n";
  }
  return svg + "</svg>\n";
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
