#include "allocation/plan_text.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <nash_swarm/io/plan_file.hpp>

namespace allocation {

using nash_swarm::Allocation;
using nash_swarm::Certificate;
using Json = nlohmann::ordered_json;

std::string plan_text(const NamedGame& named, const Allocation& allocation,
                      const Certificate& certificate) {
  Json players = Json::object();
  auto& entries = players.get_ref<Json::object_t&>();
  for (std::size_t player = 0; player < named.players.size(); ++player) {
    // operator[] would search all former players; their names differ already.
    entries.emplace_back(named.players[player],
                         named.format_name(player, allocation.strategy[player]));
  }
  Json plan{{"certificate", nash_swarm::certificate_json(certificate)}};
  plan["players"] = std::move(players);
  return plan.dump(1) + "\n";
}

std::string verify_text(const std::string& text, const NamedGame& named) {
  const nlohmann::json plan = nlohmann::json::parse(text);
  const Certificate certificate = nash_swarm::read_certificate(plan.at("certificate"), "plan");
  std::vector<std::uint32_t> strategy;
  for (std::size_t player = 0; player < named.players.size(); ++player) {
    const std::string format = plan.at("players").at(named.players[player]);
    const std::size_t count = named.first[player + 1] - named.first[player];
    std::uint32_t a = 0;
    while (a < count && named.format_name(player, a) != format) ++a;
    strategy.push_back(a);
  }
  return nash_swarm::verify(certificate, named.view(), strategy);
}

}  // namespace allocation
