#include <cstdio>
#include <nash_swarm/io/atomic_file.hpp>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "transformer/paper_table.hpp"

/// The tables of the paper's setting as text and as JSON.

namespace transformer {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr const char* interval =
    "95 %, normal, of the mean over the texts of the paired differences of losses";

OrderedJson to_json(const LossChange& change) {
  return {{"percent", change.percent}, {"low", change.low}, {"high", change.high}};
}

OrderedJson to_json(const PaperRow& row) {
  return {{"method", row.row.method},
          {"stored", row.row.stored},
          {"matrix_weights", row.row.matrix_weights},
          {"matrix_bytes", row.row.matrix_bytes},
          {"bits_per_weight", row.row.bits_per_weight()},
          {"matrix_compression_percent", row.matrix_compression_percent()},
          {"loss", row.row.evaluation()->loss},
          {"kld", row.row.evaluation()->kld.value()},
          {"loss_change", to_json(row.change)},
          {"unpadded_loss_change", to_json(row.unpadded_change)}};
}

OrderedJson to_json(const PaperTable& table) {
  OrderedJson json;
  json["model"] = table.model;
  json["text"] = {{"file", table.text.file},
                  {"protocol", table.text.protocol},
                  {"texts", table.text.windows.size()},
                  {"context", table.text.context},
                  {"scored_tokens", table.text.scored_tokens},
                  {"padding_tokens", table.text.padding_tokens}};
  json["float"] = {{"loss", table.float_model.loss}, {"unpadded_loss", table.unpadded_loss}};
  json["rows"] = OrderedJson::array();
  for (const PaperRow& row : table.rows) json["rows"].push_back(to_json(row));
  return json;
}

std::string format(const LossChange& change) {
  char text[64];
  std::snprintf(text, sizeof text, "%+8.3f [%+.3f, %+.3f]", change.percent, change.low,
                change.high);
  return text;
}

std::string format(const PaperRow& row) {
  char text[256];
  std::snprintf(text, sizeof text, "%-14s %6.3f %7.2f %9.4f  %-28s  %-28s %8.5f\n",
                row.row.method.c_str(), row.row.bits_per_weight(), row.matrix_compression_percent(),
                row.row.evaluation()->loss, format(row.change).c_str(),
                format(row.unpadded_change).c_str(), row.row.evaluation()->kld.value());
  return text;
}

std::string format(const PaperTable& table) {
  char text[1024];
  std::snprintf(text, sizeof text,
                "\n%s: only the tied token embedding is quantized\n"
                "%s: %zu texts, cut or padded to 64 tokens; %zu tokens scored, %zu of them "
                "padding\n%-14s %6s %7s %9s  %-28s  %-28s %8s\n%-14s %6.3f %7.2f %9.4f\n",
                table.model.c_str(), table.text.file.c_str(), table.text.windows.size(),
                table.text.scored_tokens, table.text.padding_tokens, "", "bits", "saved%", "loss",
                "   change% [95 %]", "   change% without padding", "KLD", "float", 32.0, 0.0,
                table.float_model.loss);
  std::string out = text;
  for (const PaperRow& row : table.rows) out += format(row);
  return out;
}

}  // namespace

std::string format_paper_tables(std::span<const PaperTable> tables) {
  std::string out;
  for (const PaperTable& table : tables) out += format(table);
  return out + "\nsaved: of the matrix, everything counted; intervals: " + interval + "\n";
}

void write_paper_tables(std::span<const PaperTable> tables, const std::filesystem::path& target) {
  OrderedJson json;
  json["scope"] = "lm_head";
  json["interval"] = interval;
  json["tables"] = OrderedJson::array();
  for (const PaperTable& table : tables) json["tables"].push_back(to_json(table));
  const std::string text = json.dump(2) + "\n";
  nash_swarm::AtomicFile file(target);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace transformer
