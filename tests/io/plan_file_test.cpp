#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <nash_swarm/io/plan_file.hpp>
#include <string>

using nash_swarm::Certificate;

namespace {

Certificate some_certificate() {
  Certificate certificate;
  certificate.players = 7;
  certificate.epsilon = 0.1;
  certificate.epsilon_at_price = 1.0 / 3;
  certificate.bytes = std::numeric_limits<std::uint64_t>::max() - 1;
  certificate.budget = std::numeric_limits<std::uint64_t>::max();
  certificate.loss = std::nextafter(1.0, 2.0);
  certificate.lower_bound = 5e-324;
  certificate.gap = 1;
  certificate.price = 1e-300;
  certificate.y = {-0.1, 2.0 / 3};
  return certificate;
}

}  // namespace

TEST_CASE("plan file: a certificate reads back to the same numbers") {
  Certificate certificate = some_certificate();
  const auto again = [](const Certificate& c) {
    const std::string text = nash_swarm::certificate_json(c).dump();
    return nash_swarm::read_certificate(nlohmann::json::parse(text), "p");
  };
  CHECK(again(certificate) == certificate);
  CHECK_FALSE(nash_swarm::certificate_json(certificate).contains("time"));
  certificate.time = 5;
  certificate.time_budget = 6;
  certificate.time_price = 0.7;
  CHECK(again(certificate) == certificate);
}

TEST_CASE("plan file: an entry that is missing or of another type is named") {
  const nlohmann::json good = nash_swarm::certificate_json(some_certificate());
  const auto message = [](const nlohmann::json& json) {
    try {
      nash_swarm::read_certificate(json, "p.json");
    } catch (const nash_swarm::Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message(good).empty());
  CHECK(message(nlohmann::json::array()).starts_with("p.json: "));
  for (const auto& entry : good.items()) {
    const std::string& key = entry.key();
    const nlohmann::json& value = entry.value();
    CAPTURE(key);
    nlohmann::json bad = good;
    bad.erase(key);
    CHECK(message(bad) == "p.json: the certificate has no \"" + key + "\"");
    bad[key] = "text";
    CHECK(message(bad).starts_with("p.json: \"" + key + "\" of the certificate is"));
    if (value.is_number_unsigned()) {
      bad[key] = -1;
      CHECK_FALSE(message(bad).empty());
      bad[key] = 1.5;
      CHECK_FALSE(message(bad).empty());
    }
  }
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  nlohmann::json bad = good;
  bad["epsilon"] = nlohmann::json::parse(deep);
  CHECK(message(bad) == "p.json: \"epsilon\" of the certificate is a list, not a number");
  bad = good;
  bad["y"][1] = nullptr;
  CHECK_FALSE(message(bad).empty());
}
