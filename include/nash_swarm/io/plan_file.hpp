#pragma once

#include <string>
#include <type_traits>

#include <nlohmann/json.hpp>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/io/json_text.hpp>

/// Certificates as JSON: the keys are the names of the members, and numbers read back as the same
/// doubles. Time is left out where it does not count.
namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

template <class T>
const char* expected_type() {
  if constexpr (std::is_integral_v<T>) return "a whole number, 0 or more";
  if constexpr (std::is_floating_point_v<T>) return "a number";
  return "a list of numbers";
}

/// One entry of a certificate.
/// @throws Error that names the file and the key if it is missing or of another type
template <class T>
void read_entry(const std::string& file, const nlohmann::json& certificate, const char* key,
                T& value) {
  const auto entry = certificate.find(key);
  if (entry == certificate.end()) {
    throw Error(file, std::string("the certificate has no \"") + key + "\"");
  }
  bool good = entry->is_array();
  if constexpr (std::is_integral_v<T>) good = entry->is_number_unsigned();
  if constexpr (std::is_floating_point_v<T>) good = entry->is_number();
  if (good && entry->is_array()) {
    for (const nlohmann::json& number : *entry) good = good && number.is_number();
  }
  if (!good) {
    throw Error(file, std::string("\"") + key + "\" of the certificate is " +
                          printable_value(*entry) + ", not " + expected_type<T>());
  }
  entry->get_to(value);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// The certificate as an object with one entry for every member.
inline nlohmann::ordered_json certificate_json(const Certificate& certificate) {
  nlohmann::ordered_json json{{"players", certificate.players},
                              {"epsilon", certificate.epsilon},
                              {"epsilon_at_price", certificate.epsilon_at_price},
                              {"bytes", certificate.bytes},
                              {"budget", certificate.budget},
                              {"loss", certificate.loss},
                              {"lower_bound", certificate.lower_bound},
                              {"gap", certificate.gap},
                              {"price", certificate.price},
                              {"y", certificate.y}};
  if (certificate.time_budget != 0) {
    json["time"] = certificate.time;
    json["time_budget"] = certificate.time_budget;
    json["time_price"] = certificate.time_price;
  }
  return json;
}

/// Reads a certificate as it is stated; `verify` says whether it holds.
/// @param file names the source in messages
/// @throws Error for an entry that is missing or of another type
inline Certificate read_certificate(const nlohmann::json& json, const std::string& file) {
  if (!json.is_object()) throw Error(file, "the certificate is no object");
  Certificate certificate;
  detail::read_entry(file, json, "players", certificate.players);
  detail::read_entry(file, json, "epsilon", certificate.epsilon);
  detail::read_entry(file, json, "epsilon_at_price", certificate.epsilon_at_price);
  detail::read_entry(file, json, "bytes", certificate.bytes);
  detail::read_entry(file, json, "budget", certificate.budget);
  detail::read_entry(file, json, "loss", certificate.loss);
  detail::read_entry(file, json, "lower_bound", certificate.lower_bound);
  detail::read_entry(file, json, "gap", certificate.gap);
  detail::read_entry(file, json, "price", certificate.price);
  detail::read_entry(file, json, "y", certificate.y);
  if (json.contains("time_budget")) {
    detail::read_entry(file, json, "time", certificate.time);
    detail::read_entry(file, json, "time_budget", certificate.time_budget);
    detail::read_entry(file, json, "time_price", certificate.time_price);
  }
  return certificate;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
