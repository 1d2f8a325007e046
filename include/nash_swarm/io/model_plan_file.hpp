#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/json_text.hpp>
#include <nash_swarm/io/plan_file.hpp>
#include <nash_swarm/io/printable_name.hpp>
#include <nash_swarm/model/plan.hpp>

/// The plan of a model as a text that people read and edit:
///
///     {"certificate": {…},
///      "matrices": {
///       "h.0.mlp.c_fc": {"shape": [1024, 256], "cells": [
///        [12, "b3_l3*4"],
///        [52, "b4_l4*3 b3_l3"]],
///        "row_panels": [3, 0, …]}}}
///
/// The shape is [out, in]. An entry of the cells is a number of equal panels, from the first panel
/// on, and the formats of their blocks from the first channels on: a name, and `*` with a count.
/// The panel of every row is given where rows are not in their natural order.
namespace nash_swarm {

/// A plan file, read for the matrices of a model.
struct StoredModelPlan {
  Certificate certificate;       ///< as stated; nothing of it is checked
  std::vector<CellMap> cells;    ///< of every matrix, in the order of the model
  std::vector<RowOrder> orders;  ///< the same
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

/// "b4_l4*3 b3_l3"
inline std::string panel_text(std::span<const FormatId> formats) {
  std::string text;
  for (std::size_t b = 0; b < formats.size();) {
    std::size_t length = 1;
    while (b + length < formats.size() && formats[b + length] == formats[b]) ++length;
    if (!text.empty()) text += ' ';
    text += format_table[format_index(formats[b])].name;
    if (length > 1) text += '*' + std::to_string(length);
    b += length;
  }
  return text;
}

inline std::string cells_text(const CellMap& cells) {
  std::string text;
  for (std::size_t p = 0; p < cells.panels();) {
    std::size_t equal = 1;
    while (p + equal < cells.panels() &&
           std::ranges::equal(cells.panel(p + equal), cells.panel(p))) {
      ++equal;
    }
    if (!text.empty()) text += ",";
    text += "\n   [" + std::to_string(equal) + ", \"" + panel_text(cells.panel(p)) + "\"]";
    p += equal;
  }
  return text;
}

/// What follows the cells of a matrix whose rows have an order.
inline std::string row_panels_text(const RowOrder& order) {
  std::string text;
  for (std::size_t row = 0; row < order.size(); ++row) {
    text += (row == 0 ? "" : ",") + std::to_string(order.panel_of(row));
  }
  return text.empty() ? text : ",\n   \"row_panels\": [" + text + "]";
}

/// @param subject names file and matrix in messages
inline RowOrder read_row_panels(const std::string& subject, const nlohmann::json& entry,
                                std::size_t rows) {
  if (!entry.contains("row_panels")) return {};
  const nlohmann::json& list = entry["row_panels"];
  std::vector<std::uint32_t> panels;
  for (const auto& panel : list) {
    constexpr std::uint64_t none = std::numeric_limits<std::uint32_t>::max();
    panels.push_back(static_cast<std::uint32_t>(
        panel.is_number_unsigned() ? std::min(panel.get<std::uint64_t>(), none) : none));
  }
  if (!list.is_array() || panels.size() != rows) {
    throw Error(subject, "its row_panels are no list of " + std::to_string(rows) + " numbers",
                "give the panel of every row, or leave them out");
  }
  return RowOrder(subject, panels);
}

/// Reads the cells of one matrix.
class CellsReader {
 public:
  /// @param subject names file and matrix in messages
  CellsReader(std::string subject, CellMap& cells) : subject_(std::move(subject)), cells_(cells) {}

  void read(const nlohmann::json& entries) {
    if (!entries.is_array()) fail("its cells are no list");
    for (const auto& entry : entries) {
      if (!entry.is_array() || entry.size() != 2 || !entry[0].is_number_unsigned() ||
          !entry[1].is_string()) {
        fail("an entry of its cells is not [number of panels, \"formats\"]");
      }
      const auto equal = entry[0].get<std::uint64_t>();
      if (equal == 0 || equal > cells_.panels() - panel_) {
        fail("its entries are for more or for fewer panels than its " +
             std::to_string(cells_.panels()));
      }
      read_panel(entry[1].get_ref<const std::string&>());
      for (std::size_t p = panel_ + 1; p < panel_ + equal; ++p) {
        for (std::size_t b = 0; b < cells_.blocks(); ++b) cells_(p, b) = cells_(panel_, b);
      }
      panel_ += equal;
    }
    if (panel_ != cells_.panels()) {
      fail("its entries are for " + std::to_string(panel_) + " of " +
           std::to_string(cells_.panels()) + " panels");
    }
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw Error(subject_, problem, "see the other matrices for how cells are written");
  }

  void read_panel(const std::string& text) {
    std::size_t block = 0;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find(' ', begin), text.size());
      const std::string word = text.substr(begin, end - begin);
      begin = end + 1;
      if (word.empty()) continue;
      const std::size_t star = std::min(word.find('*'), word.size());
      const std::size_t format = format_index(std::string_view(word).substr(0, star));
      if (format == format_count) fail("unknown format " + printable(word.substr(0, star)));
      const std::size_t length = star == word.size() ? 1 : count(word.substr(star + 1));
      if (length > cells_.blocks() - block) fail_blocks();
      for (std::size_t i = 0; i < length; ++i) cells_(panel_, block++) = format_table[format].id;
    }
    if (block != cells_.blocks()) fail_blocks();
  }

  [[noreturn]] void fail_blocks() const {
    fail("panel " + std::to_string(panel_) + " has more or fewer than " +
         std::to_string(cells_.blocks()) + " blocks");
  }

  std::size_t count(const std::string& digits) const {
    const bool plain = !digits.empty() && digits.size() < 10 &&
                       std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
    if (!plain || std::stoul(digits) == 0) fail(printable(digits) + " is no number of blocks");
    return std::stoul(digits);
  }

  std::string subject_;
  CellMap& cells_;
  std::size_t panel_ = 0;
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// A plan as the text of a plan file.
inline std::string model_plan_text(const Plan& plan) {
  std::string text =
      "{\"certificate\": " + certificate_json(plan.certificate()).dump() + ",\n \"matrices\": {";
  bool first = true;
  for (const MatrixPlan& matrix : plan.matrices()) {
    text += first ? "\n  " : ",\n  ";
    first = false;
    text += nlohmann::json(matrix.name).dump() + ": {\"shape\": [" +
            std::to_string(matrix.out_features) + ", " + std::to_string(matrix.in_features) +
            "], \"cells\": [" + detail::cells_text(matrix.cells) + "]" +
            detail::row_panels_text(matrix.order) + "}";
  }
  return text + "}}\n";
}

/// Reads a plan file for the matrices of a model.
/// @param file names the file in messages
/// @param matrices of the model; their cells are not looked at
/// @throws Error for text that is no plan, and for matrices that are missing, too many, of another
///         shape, or whose cells do not cover them
inline StoredModelPlan read_model_plan(const std::string& file, std::string_view text,
                                       const std::vector<MatrixPlan>& matrices) {
  const nlohmann::json json = parse_json(file, text, "correct the text");
  if (!json.is_object()) throw Error(file, "no plan: the text is not a JSON object");
  if (!json.contains("certificate") || !json.contains("matrices") ||
      !json["matrices"].is_object()) {
    throw Error(file, "no plan of a model: certificate or matrices are missing");
  }
  StoredModelPlan plan;
  plan.certificate = read_certificate(json["certificate"], file);
  if (!(plan.certificate.price >= 0.0) || !std::isfinite(plan.certificate.price)) {
    throw Error(file, "the price in its certificate is no price", "give 0 or more");
  }
  const nlohmann::json& entries = json["matrices"];
  for (const auto& entry : entries.items()) {
    const std::string& name = entry.key();
    if (std::ranges::none_of(matrices, [&](const auto& m) { return m.name == name; })) {
      throw Error(file, "the model has no matrix " + printable(name), "use the plan of this model");
    }
  }
  for (const MatrixPlan& matrix : matrices) {
    const std::string subject = file + ", matrix " + printable(matrix.name);
    if (!entries.contains(matrix.name)) throw Error(subject, "missing", "add it");
    const nlohmann::json& entry = entries[matrix.name];
    const nlohmann::json shape = {matrix.out_features, matrix.in_features};
    if (!entry.is_object() || !entry.contains("shape") || !entry.contains("cells")) {
      throw Error(subject, "its shape or its cells are missing");
    }
    if (entry["shape"] != shape) {
      throw Error(subject, "its shape is not the model's, " + shape.dump(),
                  "use the plan of this model");
    }
    plan.cells.emplace_back(panel_count(matrix.out_features), block_count(matrix.in_features),
                            FormatId{0});
    detail::CellsReader(subject, plan.cells.back()).read(entry["cells"]);
    plan.orders.push_back(detail::read_row_panels(subject, entry, matrix.out_features));
  }
  return plan;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
