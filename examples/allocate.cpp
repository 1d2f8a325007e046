#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/io/atomic_file.hpp>
#include <nash_swarm/io/printable_name.hpp>

#include "allocation/methods.hpp"
#include "allocation/plan_text.hpp"
#include "allocation/tables.hpp"
#include "command_line.hpp"

/// The game alone, for somebody else's quantizer: tables in, certified plan out.

namespace {

using nash_swarm::Allocation;
using nash_swarm::Certificate;
using nash_swarm::Game;

struct Options {
  std::string tables;
  std::string edges;
  std::uint64_t budget = 0;
  std::string plan_out;
  std::string method = "nash_swarm";
  std::uint64_t seed = 0;
  std::size_t threads = 0;

  void add_to(CLI::App& app) {
    app.add_option("--tables", tables, "CSV: player,format,bytes,loss[,h0,h1,…]")->required();
    app.add_option("--edges", edges, "CSV: a,b,bytes, taken if players a and b differ");
    app.add_option("--budget", budget, "Most bytes of all players together")
        ->required()
        ->transform(whole_number());
    app.add_option("--plan-out", plan_out, "JSON file to write")->required();
    app.add_option("--method", method, "How to allocate")
        ->check(CLI::IsMember(allocation::method_names()))
        ->capture_default_str();
    app.add_option("--seed", seed, "Seed of the flocks")
        ->transform(whole_number())
        ->capture_default_str();
    app.add_option("--threads", threads, "Threads (all cores)")->check(CLI::PositiveNumber);
  }
};

void print(const Options& options, const allocation::NamedGame& named, const Allocation& allocation,
           const Certificate& c) {
  std::printf(
      "%s: %zu players, %llu of %llu bytes, loss %.6g, no plan below %.6g (gap %.3g %%), largest "
      "gain by one player's move %.3g\n",
      options.method.c_str(), c.players, static_cast<unsigned long long>(c.bytes),
      static_cast<unsigned long long>(c.budget), c.loss, c.lower_bound, 100 * c.gap, c.epsilon);
  std::vector<std::size_t> counts(named.formats.size());
  for (std::size_t player = 0; player < named.players.size(); ++player) {
    ++counts[named.format[named.first[player] + allocation.strategy[player]]];
  }
  for (std::size_t f = 0; f < counts.size(); ++f) {
    std::printf("%12zu players with %s\n", counts[f],
                nash_swarm::printable(named.formats[f]).c_str());
  }
}

int run(const Options& options) {
  allocation::NamedGame named = allocation::read_tables(options.tables);
  if (!options.edges.empty()) allocation::read_edges(options.edges, named);
  nash_swarm::AtomicFile file(options.plan_out);
  const Game game = named.view();
  const Allocation allocation =
      allocation::run_method(options.method, game, options.budget, options.seed, options.threads);
  const Certificate certificate = allocation::certify(game, allocation, options.budget);
  const std::string text = allocation::plan_text(named, allocation, certificate);
  print(options, named, allocation, certificate);
  const std::string wrong = allocation::verify_text(text, named);
  if (!wrong.empty()) {
    std::fprintf(stderr, "allocate: the certificate does not hold: %s\n", wrong.c_str());
    return exit_failed;
  }
  file.write(std::as_bytes(std::span(text)));
  file.commit();
  std::printf("verified, plan: %s\n", options.plan_out.c_str());
  return exit_done;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Allocates formats to players under a budget of bytes, with a certificate",
               "allocate");
  Options options;
  options.add_to(app);
  return run_program(app, argc, argv, [&] { return run(options); });
}
