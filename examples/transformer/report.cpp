#include "transformer/report.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <nash_swarm/io/atomic_file.hpp>
#include <nash_swarm/io/plan_file.hpp>
#include <nlohmann/json.hpp>
#include <span>

#include "transformer/rate_curves.hpp"

namespace transformer {
namespace {

using OrderedJson = nlohmann::ordered_json;

template <class T>
OrderedJson json_or_null(const std::optional<T>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

double perplexity(const Evaluation& evaluation) {
  return std::exp(evaluation.loss);
}

/// By how many percent the loss on a text is above that of the float model.
std::optional<double> loss_change_percent(const Report& report, const ReportRow& row,
                                          std::size_t text = 0) {
  if (text >= row.evaluations.size() || !report.texts.at(text).float_model) return std::nullopt;
  return 100.0 * (row.evaluations[text].loss / report.texts[text].float_model->loss - 1.0);
}

/// The rival that loses least in as many bits as a row of ours; none if none reaches them.
std::optional<BestRival> best_rival_of(const std::vector<RateCurve>& curves, const ReportRow& row) {
  if (row.method != "nash_swarm" || !row.evaluation() || !row.evaluation()->kld) {
    return std::nullopt;
  }
  return best_rival(curves, row.bits_per_weight());
}

OrderedJson to_json(const std::optional<BestRival>& rival, const ReportRow& row) {
  if (!rival) return nullptr;
  return {{"method", rival->method},
          {"group", json_or_null(rival->group)},
          {"kld", rival->kld},
          {"ratio", rival->kld / *row.evaluation()->kld}};
}

OrderedJson to_json(const Report& report, const std::vector<RateCurve>& curves,
                    const ReportRow& row) {
  const auto of_evaluation = [&row](auto value) {
    return row.evaluation() ? OrderedJson(value(*row.evaluation())) : OrderedJson(nullptr);
  };
  return {{"method", row.method},
          {"group", json_or_null(row.group)},
          {"scope", row.scope},
          {"stored", row.stored},
          {"requested_bits", json_or_null(row.requested_bits)},
          {"matrix_weights", row.matrix_weights},
          {"bits_per_weight", row.bits_per_weight()},
          {"matrix_bytes", row.matrix_bytes},
          {"other_bytes", row.other_bytes},
          {"file_bytes", row.file_bytes()},
          {"compression_percent", report.compression_percent(row)},
          {"loss", of_evaluation([](const Evaluation& e) { return e.loss; })},
          {"loss_change_percent", json_or_null(loss_change_percent(report, row))},
          {"perplexity", of_evaluation(perplexity)},
          {"kld", of_evaluation([](const Evaluation& e) { return json_or_null(e.kld); })},
          {"predicted_kld", json_or_null(row.predicted_kld)},
          {"top1_agreement",
           of_evaluation([](const Evaluation& e) { return json_or_null(e.top1_agreement); })},
          {"best_rival", to_json(best_rival_of(curves, row), row)},
          {"quantize_seconds", json_or_null(row.quantize_seconds)},
          {"evaluate_seconds", of_evaluation([](const Evaluation& e) { return e.seconds; })},
          {"peak_memory_bytes", row.peak_memory_bytes},
          {"certificate", row.certificate ? nash_swarm::certificate_json(*row.certificate)
                                          : OrderedJson(nullptr)}};
}

OrderedJson to_json(const EvaluationText& text) {
  return {{"file", text.file},
          {"protocol", text.protocol},
          {"context", text.context},
          {"stride", text.stride},
          {"scored_tokens", text.scored_tokens}};
}

OrderedJson to_json(const std::optional<Evaluation>& float_model) {
  if (!float_model) return nullptr;
  return {{"loss", float_model->loss}, {"perplexity", perplexity(*float_model)}};
}

/// What the rows are on one of the texts after the first.
OrderedJson further_text(const Report& report, std::size_t text) {
  OrderedJson rows = OrderedJson::array();
  for (const ReportRow& row : report.rows) {
    const Evaluation& evaluation = row.evaluations.at(text);
    rows.push_back({{"loss", evaluation.loss},
                    {"loss_change_percent", json_or_null(loss_change_percent(report, row, text))},
                    {"perplexity", perplexity(evaluation)},
                    {"kld", json_or_null(evaluation.kld)},
                    {"top1_agreement", json_or_null(evaluation.top1_agreement)}});
  }
  return {{"text", to_json(report.texts[text].text)},
          {"float", to_json(report.texts[text].float_model)},
          {"rows", rows}};
}

OrderedJson to_json(const Report& report) {
  OrderedJson json;
  json["model"] = {{"name", report.model},
                   {"parameters", report.parameters},
                   {"matrix_weights", report.matrix_weights},
                   {"float32_bytes", report.float32_bytes()}};
  const bool evaluated = !report.texts.empty();
  json["text"] = evaluated ? to_json(report.texts.front().text) : OrderedJson(nullptr);
  json["float"] = evaluated ? to_json(report.texts.front().float_model) : OrderedJson(nullptr);
  json["without"] = report.without;
  json["rows"] = OrderedJson::array();
  const std::vector<RateCurve> curves = rate_curves(report.rows);
  for (const ReportRow& row : report.rows) json["rows"].push_back(to_json(report, curves, row));
  json["further_texts"] = OrderedJson::array();
  for (std::size_t text = 1; text < report.texts.size(); ++text) {
    json["further_texts"].push_back(further_text(report, text));
  }
  return json;
}

/// printf into a string.
__attribute__((format(printf, 1, 2))) std::string text(const char* format, ...) {
  char line[512];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  return line;
}

std::string number(std::optional<double> value, int decimals, bool with_sign = false) {
  if (!value) return "-";
  return with_sign ? text("%+.*f", decimals, *value) : text("%.*f", decimals, *value);
}

std::string format_row(const Report& report, const ReportRow& row) {
  const Evaluation* const evaluation = row.evaluation();
  const auto of = [evaluation](auto value) {
    return evaluation == nullptr ? std::nullopt : std::optional<double>(value(*evaluation));
  };
  const auto loss = of([](const Evaluation& e) { return e.loss; });
  const auto ppl = of(perplexity);
  const auto kld = evaluation == nullptr ? std::nullopt : evaluation->kld;
  auto top1 = evaluation == nullptr ? std::nullopt : evaluation->top1_agreement;
  if (top1) *top1 *= 100.0;
  return text("%-24s %6.3f %12llu %13llu %6.2f %8s %8s %9s %9s %9s %7s\n", row.label.c_str(),
              row.bits_per_weight(), static_cast<unsigned long long>(row.matrix_bytes),
              static_cast<unsigned long long>(row.file_bytes()), report.compression_percent(row),
              number(loss, 4).c_str(), number(loss_change_percent(report, row), 2, true).c_str(),
              number(ppl, 3).c_str(), number(kld, 5).c_str(), number(row.predicted_kld, 5).c_str(),
              number(top1, 2).c_str());
}

/// For every row of ours, how far the best rival is behind.
std::string format_rivals(const Report& report) {
  const std::vector<RateCurve> curves = rate_curves(report.rows);
  if (std::none_of(curves.begin(), curves.end(), [](const auto& c) { return c.rival(); }))
    return {};
  std::string out;
  for (const ReportRow& row : report.rows) {
    if (row.method != "nash_swarm" || !row.evaluation() || !row.evaluation()->kld) continue;
    const std::optional<BestRival> rival = best_rival_of(curves, row);
    out += row.label + ": ";
    out += rival ? text("the best rival, %s, has a KLD of %.5f, %.2f times as much\n",
                        RateCurve{rival->method, rival->group, {}}.name().c_str(), rival->kld,
                        rival->kld / *row.evaluation()->kld)
                 : "no rival between whose sizes it is\n";
  }
  return out.empty() ? out : "\nat equal bits, interpolated in the logarithm of the KLD:\n" + out;
}

std::string format_text(const EvaluationText& evaluated) {
  return text("%s: protocol %s, context %zu, stride %zu, %zu tokens scored\n",
              evaluated.file.c_str(), evaluated.protocol.c_str(), evaluated.context,
              evaluated.stride, evaluated.scored_tokens);
}

/// One table over all texts, if there are several.
std::string format_texts(const Report& report) {
  if (report.texts.size() < 2) return {};
  std::string out = "\nKLD and change of the loss in percent, by text:\n";
  for (std::size_t i = 0; i < report.texts.size(); ++i) {
    out += text("%zu: ", i + 1) + format_text(report.texts[i].text);
  }
  out += text("%-24s", "");
  for (std::size_t i = 0; i < report.texts.size(); ++i) out += text(" %17zu", i + 1);
  out += text("\n%-24s", "float32, loss");
  for (const ReportText& column : report.texts) {
    out += text(" %17s", column.float_model ? number(column.float_model->loss, 4).c_str() : "-");
  }
  out += "\n";
  for (const ReportRow& row : report.rows) {
    out += text("%-24s", row.label.c_str());
    for (std::size_t i = 0; i < row.evaluations.size(); ++i) {
      out += text(" %9s %7s", number(row.evaluations[i].kld, 5).c_str(),
                  number(loss_change_percent(report, row, i), 2, true).c_str());
    }
    out += "\n";
  }
  return out;
}

std::string format_certificate(const ReportRow& row) {
  const nash_swarm::Certificate& c = *row.certificate;
  const std::string gain = c.epsilon == 0.0
                               ? "no other choice of one player lowers it within the budget"
                               : text("another choice of one player lowers it by %.3g", c.epsilon);
  return text(
      "%s: %zu players, %llu of %llu bytes, expected loss %.6g, no plan below %.6g (gap %.3g %%), "
      "%s\n",
      row.label.c_str(), c.players, static_cast<unsigned long long>(c.bytes),
      static_cast<unsigned long long>(c.budget), c.loss, c.lower_bound, 100.0 * c.gap,
      gain.c_str());
}

}  // namespace

double Report::compression_percent(const ReportRow& row) const noexcept {
  return 100.0 *
         (1.0 - static_cast<double>(row.file_bytes()) / static_cast<double>(float32_bytes()));
}

void write_report(const Report& report, const std::filesystem::path& target) {
  const std::string json = to_json(report).dump(2) + "\n";
  nash_swarm::AtomicFile file(target);
  file.write(std::as_bytes(std::span(json)));
  file.commit();
}

std::string format_report(const Report& report) {
  std::string out = text("%s: %llu parameters, %llu bytes in float32\n", report.model.c_str(),
                         static_cast<unsigned long long>(report.parameters),
                         static_cast<unsigned long long>(report.float32_bytes()));
  for (const std::string& piece : report.without) out += "without " + piece + "\n";
  if (!report.texts.empty()) out += format_text(report.texts.front().text);
  out += text("\n%-24s %6s %12s %13s %6s %8s %8s %9s %9s %9s %7s\n", "", "bits", "matrix bytes",
              "file bytes", "saved%", "loss", "change%", "perplex.", "KLD", "predicted", "top-1%");
  const Evaluation* const float_model = report.texts.empty() || !report.texts.front().float_model
                                            ? nullptr
                                            : &*report.texts.front().float_model;
  if (float_model != nullptr) {
    out += text("%-24s %6.3f %12llu %13llu %6.2f %8.4f %8s %9.3f %9s %9s %7s\n", "float32", 32.0,
                static_cast<unsigned long long>(4 * report.matrix_weights),
                static_cast<unsigned long long>(report.float32_bytes()), 0.0, float_model->loss, "",
                perplexity(*float_model), "", "", "");
  }
  for (const ReportRow& row : report.rows) out += format_row(report, row);
  out += format_texts(report);
  out += format_rivals(report);
  bool first = true;
  for (const ReportRow& row : report.rows) {
    if (!row.certificate) continue;
    out += (first ? "\n" : "") + format_certificate(row);
    first = false;
  }
  return out;
}

std::uint64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace transformer
