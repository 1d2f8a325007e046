// A host whose files are compiled with -ffast-math: NaN stays NaN, and values are rounded to the
// nearest code, by every set of instructions alike.

#include <nash_swarm/matmul.hpp>

#include <bit>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

namespace ns = nash_swarm;

namespace {

constexpr std::size_t tokens = 3;
constexpr std::size_t channels = 256;
constexpr std::size_t broken = 1;  // the token with a NaN

// (std::isnan is always false here.)
bool is_nan(float value) {
  return (std::bit_cast<std::uint32_t>(value) & 0x7fffffffu) > 0x7f800000u;
}

ns::Activations rounded(const std::vector<float>& x, ns::InstructionSet set) {
  const ns::InputBasis basis("x", channels, 0, 0);  // so that values are what they are
  ns::SerialExecutor serial;
  return ns::quantize_activations(basis,
                                  ns::TensorView<const float, 2>{x.data(), {tokens, channels}},
                                  serial, ns::ActivationBits::eight, set);
}

bool is_nearest(float value, float scale, int code) {
  const float error = value - scale * static_cast<float>(code);
  return error < 0.5001f * scale && error > -0.5001f * scale;
}

}  // namespace

int main() {
  std::vector<float> x(tokens * channels);
  std::mt19937 random(1);
  for (float& value : x) value = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
  x[broken * channels + 5] = std::numeric_limits<float>::quiet_NaN();
  int failures = 0;
  const auto check = [&](bool holds, const char* what, const ns::InstructionSetName& set) {
    if (!holds) std::printf("%s: %s\n", set.name.data(), what);
    failures += holds ? 0 : 1;
  };
  const ns::Activations expected = rounded(x, ns::InstructionSet::portable);
  for (const ns::InstructionSetName& set : ns::instruction_sets) {
    if (!ns::is_supported(set.set)) continue;
    const ns::Activations codes = rounded(x, set.set);
    bool same = true;
    bool nearest = true;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::size_t token = i / channels;
      const std::size_t channel = i % channels;
      const int code = codes.code(token, channel);
      same &= code == expected.code(token, channel);
      const float scale = codes.scale(token, channel / codes.scale_block());
      nearest &= token == broken || is_nearest(x[i], scale, code);
    }
    check(same, "other codes than the portable ones", set);
    check(nearest, "not the nearest code", set);
    check(is_nan(codes.scale(broken, 0)), "a NaN is lost", set);
    check(!is_nan(codes.scale(0, 0)), "a NaN that is none", set);
  }
  return failures;
}
