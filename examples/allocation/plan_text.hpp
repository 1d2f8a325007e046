#pragma once

#include <string>

#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/price.hpp>

#include "allocation/tables.hpp"

namespace allocation {

/// The plan file: the certificate, and the format of every player by its name.
std::string plan_text(const NamedGame& named, const nash_swarm::Allocation& allocation,
                      const nash_swarm::Certificate& certificate);

/// Checks the text that is about to be written as somebody would who has only it and the tables.
/// @return what is wrong; empty if the certificate holds
std::string verify_text(const std::string& text, const NamedGame& named);

}  // namespace allocation
