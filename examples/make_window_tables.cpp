#include <cstdio>
#include <string>

#include "command_line.hpp"
#include "window_tables/optimise.hpp"

/// Makes the tables of include/nash_swarm/format/window_tables.hpp and sum_tables.hpp.

int main(int argc, char** argv) {
  CLI::App app("Finds tables of window codes for Gaussian weights and prints them as C++ arrays",
               "make_window_tables");
  std::string only;
  app.add_option("--only", only, "One table, for instance b3_l4");
  return run_program(app, argc, argv, [&] {
    bool found = false;
    for (const window_tables::Shape& shape : window_tables::shapes) {
      if (!only.empty() && only != window_tables::name_of(shape)) continue;
      found = true;
      std::fputs(window_tables::array_text(shape, window_tables::optimised(shape)).c_str(), stdout);
    }
    if (!found) throw nash_swarm::Error("--only", "no table \"" + only + "\"", "use b1_l4 to b4_l12");
  });
}
