#include "transformer/rate_chart.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/support.hpp"
#include "transformer/chart_axis.hpp"
#include "transformer/rate_curves.hpp"

namespace {

using nash_swarm::test::contains;
using transformer::RateCurve;
using transformer::ReportRow;

ReportRow row(const std::string& method, std::optional<std::size_t> group, double bits,
              std::optional<double> kld) {
  ReportRow made;
  made.method = made.label = method;
  made.group = group;
  made.matrix_weights = 8000;
  made.matrix_bytes = static_cast<std::uint64_t>(std::lround(1000.0 * bits));
  made.evaluations.emplace_back();
  made.evaluations.back().kld = kld;
  return made;
}

/// Ours, and two rivals that are not given in the order of their sizes.
std::vector<ReportRow> some_rows() {
  return {row("nash_swarm", {}, 2.0, 0.1), row("nash_swarm", {}, 4.0, 0.01),
          row("gptq", 64, 4.0, 0.1),       row("gptq", 64, 2.0, 1.0),
          row("rtn", 128, 2.5, 0.2),       row("rtn", 128, 3.0, 0.1),
          row("rtn", 64, 3.0, {}),         row("awq", 64, 3.0, 0.0)};
}

/// The names of all elements, checking that they nest and that attributes are in quotes.
std::vector<std::string> elements(const std::string& svg) {
  std::vector<std::string> names;
  std::vector<std::string> open;
  for (std::size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    const std::size_t end = svg.find('>', at);
    REQUIRE(end != std::string::npos);
    const std::string tag = svg.substr(at + 1, end - at - 1);
    REQUIRE_FALSE(contains(tag, "<"));
    std::size_t quotes = 0;
    for (const char c : tag) quotes += c == '"';
    CHECK(quotes % 2 == 0);
    if (tag.front() == '/') {
      REQUIRE_FALSE(open.empty());
      CHECK(tag.substr(1) == open.back());
      open.pop_back();
      continue;
    }
    names.push_back(tag.substr(0, tag.find(' ')));
    if (tag.back() != '/') open.push_back(names.back());
  }
  CHECK(open.empty());
  return names;
}

/// The number of an attribute in the first element after `from` that has it.
double number_after(const std::string& svg, std::size_t from, const std::string& attribute) {
  const std::size_t at = svg.find(attribute + "=\"", from);
  REQUIRE(at != std::string::npos);
  return std::stod(svg.substr(at + attribute.size() + 2));
}

}  // namespace

TEST_CASE("rate curves: by method and group, ascending in bits, without rows that say nothing") {
  const std::vector<RateCurve> curves = transformer::rate_curves(some_rows());
  REQUIRE(curves.size() == 3);
  CHECK(curves[0].name() == "nash_swarm");
  CHECK_FALSE(curves[0].rival());
  CHECK(curves[1].name() == "gptq, groups of 64");
  CHECK(curves[1].rival());
  REQUIRE(curves[1].points.size() == 2);
  CHECK(curves[1].points[0].bits == 2.0);
  CHECK(curves[1].points[0].kld == 1.0);
}

TEST_CASE("rate curves: the best rival is interpolated in the logarithm, and only between sizes") {
  const std::vector<RateCurve> curves = transformer::rate_curves(some_rows());
  CHECK(transformer::kld_at(curves[1], 3.0).value() == doctest::Approx(std::sqrt(0.1)));
  CHECK(transformer::kld_at(curves[1], 2.0) == 1.0);
  CHECK(transformer::kld_at(curves[1], 4.0) == 0.1);
  CHECK_FALSE(transformer::kld_at(curves[1], 1.99));
  CHECK_FALSE(transformer::kld_at(curves[1], 4.01));

  const auto best = transformer::best_rival(curves, 2.75);
  REQUIRE(best);
  CHECK(best->method == "rtn");
  CHECK(best->group == 128);
  CHECK(best->kld == doctest::Approx(std::sqrt(0.02)));
  CHECK(transformer::best_rival(curves, 3.5)->method == "gptq");
  CHECK_FALSE(transformer::best_rival(curves, 4.5));
}

TEST_CASE("chart axis: bounds hold the values, decades and halves are labelled") {
  const transformer::Axis kld = transformer::logarithmic_axis(0.0014, 0.66, 500.0, 100.0);
  CHECK(kld.low == doctest::Approx(0.001));
  CHECK(kld.high == doctest::Approx(1.0));
  CHECK(kld(kld.low) == doctest::Approx(500.0));
  CHECK(kld(0.1) == doctest::Approx(100.0 + 400.0 / 3.0));
  std::string ticks_with_text;
  for (const transformer::Tick& tick : kld.ticks)
    ticks_with_text += tick.text + (tick.text.empty() ? "" : " ");
  CHECK(ticks_with_text == "0.001 0.01 0.1 1 ");
  CHECK(kld.ticks.size() == 28);

  const transformer::Axis one = transformer::logarithmic_axis(0.02, 0.02, 0.0, 1.0);
  CHECK(one.low <= 0.02);
  CHECK(one.high > one.low);

  const transformer::Axis bits = transformer::linear_axis(2.1, 4.5, 0.0, 100.0);
  REQUIRE(bits.ticks.size() == 6);
  CHECK(bits.ticks.front().text == "2");
  CHECK(bits.ticks[1].text == "2.5");
  CHECK(bits.ticks.back().text == "4.5");
  CHECK(bits(4.5) < 100.0);
  CHECK(transformer::linear_axis(2.0, 32.0, 0.0, 1.0).ticks.size() <= 12);
}

TEST_CASE(
    "chart labels: apart, within the bounds, in order, and where they want to be if they can") {
  const std::vector<double> free{10.0, 50.0, 90.0};
  CHECK(transformer::spread_labels(free, 15.0, 0.0, 100.0) == free);
  const std::vector<double> near = transformer::spread_labels({50.0, 50.0, 52.0}, 10.0, 0.0, 100.0);
  CHECK(near[1] == doctest::Approx(152.0 / 3.0));
  CHECK(near[2] - near[1] == doctest::Approx(10.0));
  for (const double wanted : {-40.0, 99.0}) {
    const auto edge = transformer::spread_labels({wanted, wanted, wanted}, 10.0, 0.0, 100.0);
    CHECK(edge.front() >= 0.0);
    CHECK(edge.back() <= 100.0);
    CHECK(edge[1] - edge[0] == doctest::Approx(10.0));
  }
  CHECK(transformer::spread_labels({1.0, 2.0, 3.0}, 80.0, 0.0, 100.0).back() ==
        doctest::Approx(100.0));
  CHECK(transformer::spread_labels({}, 10.0, 0.0, 100.0).empty());
}

TEST_CASE("rate chart: well-formed, every curve named once, no names on one another") {
  std::vector<ReportRow> rows = some_rows();
  for (int i = 0; i < 20; ++i) {
    rows.push_back(row("m<" + std::to_string(i) + ">&\"", {}, 3.0, 0.05 + 0.0001 * i));
  }
  const std::string svg = transformer::rate_chart(transformer::rate_curves(rows), "a<b>&c");
  CHECK(elements(svg).front() == "svg");
  CHECK(contains(svg, "a&lt;b&gt;&amp;c"));
  double above = 0.0;
  std::size_t names = 0;
  for (std::size_t at = svg.find("<text x=\"748\""); at != std::string::npos;
       at = svg.find("<text x=\"748\"", at + 1)) {
    const double y = number_after(svg, at, "y");
    if (names > 0) CHECK(y - above >= 16.8);  // pixels are rounded to a tenth
    above = y;
    ++names;
  }
  CHECK(names == 23);
  for (const char* name : {"nash_swarm", "gptq, groups of 64", "rtn, groups of 128"}) {
    CHECK(contains(svg, ">" + std::string(name) + "</text>"));
  }
}

TEST_CASE("rate chart: points lie where they should") {
  const std::vector<ReportRow> rows = {row("nash_swarm", {}, 2.0, 1.0),
                                       row("nash_swarm", {}, 3.0, 0.1),
                                       row("nash_swarm", {}, 4.0, 0.01)};
  const std::string svg = transformer::rate_chart(transformer::rate_curves(rows), "");
  std::vector<double> x;
  std::vector<double> y;
  for (std::size_t at = svg.find("<circle"); at != std::string::npos;
       at = svg.find("<circle", at + 1)) {
    x.push_back(number_after(svg, at, "cx"));
    y.push_back(number_after(svg, at, "cy"));
  }
  REQUIRE(x.size() == 3);
  // The tick of 3 bits is below the second point, the decade beside it.
  CHECK(contains(svg, "<text x=\"" + std::to_string(static_cast<int>(x[1]))));
  CHECK(x[1] - x[0] == doctest::Approx(x[2] - x[1]).epsilon(0.001));
  CHECK(y[0] == doctest::Approx(72.0));
  CHECK(y[1] == doctest::Approx(310.0));
  CHECK(y[2] == doctest::Approx(548.0));
  CHECK_THROWS_AS(transformer::rate_chart({}, ""), nash_swarm::Error);
}
