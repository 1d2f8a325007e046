#include "gpt2/report.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <nash_swarm/io/atomic_file.hpp>
#include <nash_swarm/io/plan_file.hpp>
#include <nlohmann/json.hpp>
#include <span>

#include "gpt2/rate_curves.hpp"

namespace gpt2 {
namespace {

using OrderedJson = nlohmann::ordered_json;

template <class T>
OrderedJson json_or_null(const std::optional<T>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

double perplexity(const Evaluation& evaluation) {
  return std::exp(evaluation.loss);
}

/// By how many percent the loss is above that of the float model.
std::optional<double> loss_change_percent(const Report& report, const ReportRow& row) {
  if (!report.float_model || !row.evaluation) return std::nullopt;
  return 100.0 * (row.evaluation->loss / report.float_model->loss - 1.0);
}

/// The rival that loses least in as many bits as a row of ours; none if none reaches them.
std::optional<BestRival> best_rival_of(const std::vector<RateCurve>& curves, const ReportRow& row) {
  if (row.method != "nash_swarm" || !row.evaluation || !row.evaluation->kld) return std::nullopt;
  return best_rival(curves, row.bits_per_weight());
}

OrderedJson to_json(const std::optional<BestRival>& rival, const ReportRow& row) {
  if (!rival) return nullptr;
  return {{"method", rival->method},
          {"group", json_or_null(rival->group)},
          {"kld", rival->kld},
          {"ratio", rival->kld / *row.evaluation->kld}};
}

OrderedJson to_json(const Report& report, const std::vector<RateCurve>& curves,
                    const ReportRow& row) {
  const auto of_evaluation = [&row](auto value) {
    return row.evaluation ? OrderedJson(value(*row.evaluation)) : OrderedJson(nullptr);
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

OrderedJson to_json(const Report& report) {
  OrderedJson json;
  json["model"] = {{"name", report.model},
                   {"parameters", report.parameters},
                   {"matrix_weights", report.matrix_weights},
                   {"float32_bytes", report.float32_bytes()}};
  json["text"] = nullptr;
  if (report.text) {
    json["text"] = {{"file", report.text->file},
                    {"protocol", report.text->protocol},
                    {"context", report.text->context},
                    {"stride", report.text->stride},
                    {"scored_tokens", report.text->scored_tokens}};
  }
  json["float"] = nullptr;
  if (report.float_model) {
    json["float"] = {{"loss", report.float_model->loss},
                     {"perplexity", perplexity(*report.float_model)}};
  }
  json["without"] = report.without;
  json["rows"] = OrderedJson::array();
  const std::vector<RateCurve> curves = rate_curves(report.rows);
  for (const ReportRow& row : report.rows) json["rows"].push_back(to_json(report, curves, row));
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
  const bool evaluated = row.evaluation.has_value();
  const auto loss = evaluated ? std::optional(row.evaluation->loss) : std::nullopt;
  const auto ppl = evaluated ? std::optional(perplexity(*row.evaluation)) : std::nullopt;
  const auto kld = evaluated ? row.evaluation->kld : std::nullopt;
  auto top1 = evaluated ? row.evaluation->top1_agreement : std::nullopt;
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
    if (row.method != "nash_swarm" || !row.evaluation || !row.evaluation->kld) continue;
    const std::optional<BestRival> rival = best_rival_of(curves, row);
    out += row.label + ": ";
    out += rival ? text("the best rival, %s, has a KLD of %.5f, %.2f times as much\n",
                        RateCurve{rival->method, rival->group, {}}.name().c_str(), rival->kld,
                        rival->kld / *row.evaluation->kld)
                 : "no rival between whose sizes it is\n";
  }
  return out.empty() ? out : "\nat equal bits, interpolated in the logarithm of the KLD:\n" + out;
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
  if (report.text) {
    out += text("%s: protocol %s, context %zu, stride %zu, %zu tokens scored\n",
                report.text->file.c_str(), report.text->protocol.c_str(), report.text->context,
                report.text->stride, report.text->scored_tokens);
  }
  out += text("\n%-24s %6s %12s %13s %6s %8s %8s %9s %9s %9s %7s\n", "", "bits", "matrix bytes",
              "file bytes", "saved%", "loss", "change%", "perplex.", "KLD", "predicted", "top-1%");
  if (report.float_model) {
    out += text("%-24s %6.3f %12llu %13llu %6.2f %8.4f %8s %9.3f %9s %9s %7s\n", "float32", 32.0,
                static_cast<unsigned long long>(4 * report.matrix_weights),
                static_cast<unsigned long long>(report.float32_bytes()), 0.0,
                report.float_model->loss, "", perplexity(*report.float_model), "", "", "");
  }
  for (const ReportRow& row : report.rows) out += format_row(report, row);
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

}  // namespace gpt2
