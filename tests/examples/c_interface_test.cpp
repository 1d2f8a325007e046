#include <doctest/doctest.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <nash_swarm/io/packed_model.hpp>
#include <nash_swarm/rounding/nearest.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/support.hpp"
#include "shell.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

namespace {

/// Two matrices that read one basis, the second with its rows in an order, and a document.
void write_small_model(const std::filesystem::path& target, std::string_view config) {
  const auto basis = std::make_shared<const nash_swarm::InputBasis>("input", 128, 128, 1);
  std::vector<nash_swarm::MatrixPlan> plans;
  const auto add = [&](const char* name, std::size_t out, std::string_view format) {
    const std::size_t place = nash_swarm::format_index(format);
    plans.push_back(
        {name, out, 128, basis,
         nash_swarm::CellMap(nash_swarm::panel_count(out), 2, nash_swarm::format_table[place].id)});
  };
  add("up", 50, "b3_l4");
  add("down", 40, "linear8");
  plans[1].order = support::random_row_order(40, 2);
  const nash_swarm::OtherTensor document{
      {"config.json", nash_swarm::DataType::U8, {config.size()}},
      [&](const nash_swarm::OtherTensor::Sink& sink) { sink(std::as_bytes(std::span(config))); }};
  nash_swarm::write_packed_model(
      target, plans, {document}, [&](const nash_swarm::MatrixPlan& plan) {
        const support::Row weights = support::random_inputs(plan.out_features, 128, 3);
        return nash_swarm::round_matrix(plan.name, support::rows_of(weights, 128), plan.basis,
                                        plan.cells, nash_swarm::PanelFeedback(), support::serial,
                                        plan.order);
      });
}

}  // namespace

TEST_CASE("c interface: a C program lists and multiplies what was packed, and is told its errors") {
  const nash_swarm::test::Shell shell;
  write_small_model(shell.folder() / "model", "{\"layers\":1}");
  const nash_swarm::test::Result result = shell.run("c_interface/check_c_interface", "model");
  CAPTURE(result.out);
  CAPTURE(result.err);
  CHECK(result.exit_code == nash_swarm::test::done);
  CHECK(nash_swarm::test::contains(result.out, "up [50, 128], "));
  CHECK(nash_swarm::test::contains(result.out, "down [40, 128], "));
  CHECK(nash_swarm::test::contains(result.out, "config.json: {\"layers\":1}\n"));
}
