#include "transformer/rate_chart.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <filesystem>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/svg_text.hpp>

#include "transformer/chart_axis.hpp"

namespace transformer {
namespace {

using nash_swarm::pixels;
using nash_swarm::xml_text;

constexpr double svg_width = 920;
constexpr double svg_height = 600;
constexpr double plot_left = 64;
constexpr double plot_right = 740;  // names stand beyond
constexpr double plot_top = 72;
constexpr double plot_bottom = 548;
constexpr double name_distance = 17;

/// Colours that the colour-blind tell apart (Okabe and Ito 2008), darkened where they are letters.
const char* colour_of(const std::string& method) {
  constexpr struct {
    const char* method;
    const char* colour;
  } colours[] = {{"nash_swarm", "#c8400a"}, {"rtn", "#6b6b6b"}, {"gptq", "#0068a8"},
                 {"awq", "#00805e"},        {"hqq", "#a5438a"}, {"paper_uniform", "#8a6500"},
                 {"paper_nash", "#8a6500"}};
  for (const auto& entry : colours) {
    if (method == entry.method) return entry.colour;
  }
  return "#222";
}

std::string line(double x1, double y1, double x2, double y2, const char* style) {
  return std::string("<path class=\"") + style + "\" d=\"M" + pixels(x1) + " " + pixels(y1) + "L" +
         pixels(x2) + " " + pixels(y2) + "\"/>\n";
}

std::string words(double x, double y, const std::string& text, const std::string& attributes) {
  return "<text x=\"" + pixels(x) + "\" y=\"" + pixels(y) + "\" " + attributes + ">" +
         xml_text(text) + "</text>\n";
}

std::string axes(const Axis& bits, const Axis& kld, const std::string& title) {
  std::string svg;
  for (const Tick& tick : kld.ticks) {
    const double y = kld(tick.value);
    svg += line(plot_left, y, plot_right, y, tick.text.empty() ? "minor" : "grid");
    if (!tick.text.empty()) svg += words(plot_left - 8, y + 4, tick.text, "text-anchor=\"end\"");
  }
  for (const Tick& tick : bits.ticks) {
    const double x = bits(tick.value);
    svg += line(x, plot_bottom, x, plot_bottom + 5, "axis");
    svg += words(x, plot_bottom + 20, tick.text, "text-anchor=\"middle\"");
  }
  svg += line(plot_left, plot_bottom, plot_right, plot_bottom, "axis");
  svg += words(plot_left, 26, title, "font-size=\"16\" font-weight=\"bold\"");
  svg += words(plot_left, 50, "KL divergence from the float model, nats per token", "");
  return svg + words((plot_left + plot_right) / 2, plot_bottom + 42,
                     "bits per weight, everything counted", "text-anchor=\"middle\"");
}

/// The line of a curve and a dot for every point.
std::string drawn(const RateCurve& curve, const Axis& bits, const Axis& kld) {
  std::string path;
  std::string dots;
  const std::string colour = colour_of(curve.method);
  for (const RatePoint& point : curve.points) {
    const std::string x = pixels(bits(point.bits));
    const std::string y = pixels(kld(point.kld));
    char title[160];
    std::snprintf(title, sizeof title, "%s: %.3f bits, KLD %.4g", point.label.c_str(), point.bits,
                  point.kld);
    path += (path.empty() ? "M" : "L") + x + " " + y;
    dots += "<circle cx=\"" + x + "\" cy=\"" + y + "\" r=\"" + (curve.rival() ? "2.6" : "4") +
            "\"><title>" + xml_text(title) + "</title></circle>\n";
  }
  const bool dashed = curve.group.value_or(0) >= 128;
  return "<g fill=\"" + colour + "\" stroke=\"" + colour +
         "\"><path fill=\"none\" stroke-width=\"" + (curve.rival() ? "1.4" : "3") + "\"" +
         (dashed ? " stroke-dasharray=\"6 4\"" : "") + " d=\"" + path + "\"/>\n" + dots + "</g>\n";
}

/// The names of all curves, from the top one down, each joined to the last point of its curve.
std::string names(std::vector<RateCurve> curves, const Axis& bits, const Axis& kld) {
  std::stable_sort(curves.begin(), curves.end(), [](const RateCurve& a, const RateCurve& b) {
    return a.points.back().kld > b.points.back().kld;
  });
  std::vector<double> wanted;
  for (const RateCurve& curve : curves) wanted.push_back(kld(curve.points.back().kld));
  const std::vector<double> places = spread_labels(wanted, name_distance, plot_top, plot_bottom);
  std::string svg;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const double x = bits(curves[i].points.back().bits);
    const std::string colour = colour_of(curves[i].method);
    svg += "<g stroke=\"" + colour + "\">" +
           line(x + 6, wanted[i], plot_right + 2, places[i], "lead") + "</g>";
    svg += words(plot_right + 8, places[i] + 4, curves[i].name(),
                 "fill=\"" + colour + "\"" + (curves[i].rival() ? "" : " font-weight=\"bold\""));
  }
  return svg;
}

}  // namespace

std::string rate_chart(const std::vector<RateCurve>& curves, const std::string& title) {
  if (curves.empty()) throw nash_swarm::Error("chart", "no row has a KLD above 0");
  RatePoint least = curves.front().points.front();
  RatePoint most = least;
  for (const RateCurve& curve : curves) {
    for (const RatePoint& point : curve.points) {
      least.bits = std::min(least.bits, point.bits);
      least.kld = std::min(least.kld, point.kld);
      most.bits = std::max(most.bits, point.bits);
      most.kld = std::max(most.kld, point.kld);
    }
  }
  const Axis bits = linear_axis(least.bits, most.bits, plot_left, plot_right);
  const Axis kld = logarithmic_axis(least.kld, most.kld, plot_bottom, plot_top);
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + pixels(svg_width) +
                    " " + pixels(svg_height) +
                    "\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n"
                    "<style>path{fill:none}.axis{stroke:#222}.grid{stroke:#c4c4c4}"
                    ".minor{stroke:#ececec}.lead{stroke-width:.8;stroke-opacity:.45}</style>\n"
                    "<rect width=\"" +
                    pixels(svg_width) + "\" height=\"" + pixels(svg_height) +
                    "\" fill=\"#fff\"/>\n";
  svg += axes(bits, kld, title) + names(curves, bits, kld);
  for (const bool rival : {true, false}) {
    for (const RateCurve& curve : curves) {
      if (curve.rival() == rival) svg += drawn(curve, bits, kld);
    }
  }
  return svg + "</svg>\n";
}

std::string rate_chart(const Report& report) {
  std::string title = report.model;
  if (!report.texts.empty()) {
    const EvaluationText& text = report.texts.front().text;
    title += ", " + std::to_string(text.scored_tokens) + " tokens of " +
             std::filesystem::path(text.file).filename().string();
  }
  return rate_chart(rate_curves(report.rows), title);
}

}  // namespace transformer
