#pragma once

#include <string>
#include <vector>

#include <nash_swarm/core/error.hpp>

namespace transformer {

/// Which pieces of the pipeline are used: all, unless a measurement of what one brings leaves it
/// out.
struct Pieces {
  bool feedback = true;   ///< rounding moves errors on to later channels, under the moments
  bool gradients = true;  ///< moments of gradients beside those of inputs
  bool windows = true;    ///< window codes; without them scalar codes only
  bool rotation = true;   ///< Hadamard transform of the channels
  bool order = true;      ///< rows sorted by sensitivity where that pays
  bool measured = true;   ///< payoffs corrected by the measured loss of every matrix alone
  bool cells = true;      ///< a format for every cell; without, one for every matrix
  bool finish = true;     ///< row scales, biases and norms tuned once codes are fixed
};

struct PieceName {
  const char* name;
  bool Pieces::*piece;
};

inline constexpr PieceName piece_names[] = {
    {"feedback", &Pieces::feedback}, {"gradients", &Pieces::gradients},
    {"windows", &Pieces::windows},   {"rotation", &Pieces::rotation},
    {"order", &Pieces::order},       {"measured", &Pieces::measured},
    {"cells", &Pieces::cells},       {"finish", &Pieces::finish},
};

/// All pieces but those named.
/// @throws nash_swarm::Error for an unknown name
inline Pieces pieces_without(const std::vector<std::string>& names) {
  Pieces pieces;
  for (const std::string& name : names) {
    bool known = false;
    std::string all;
    for (const PieceName& piece : piece_names) {
      if (name == piece.name) {
        pieces.*piece.piece = false;
        known = true;
      }
      all += (all.empty() ? "" : ", ") + std::string(piece.name);
    }
    if (!known)
      throw nash_swarm::Error("--without", "unknown piece \"" + name + "\"", "use " + all);
  }
  return pieces;
}

}  // namespace transformer
