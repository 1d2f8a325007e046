#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace transformer {

/// The keys of one config.json, with messages that name file and key. A null counts as absent.
class ConfigKeys {
 public:
  /// @param file name for messages
  /// @throws nash_swarm::Error if the text is no JSON object or has a key twice
  ConfigKeys(std::string_view text, std::string file);

  bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  const nlohmann::json& at(const char* key) const { return json_.at(key); }

  /// A whole number from 1 to `most`.
  /// @throws nash_swarm::Error if it is missing or anything else
  std::size_t size(const char* key, std::size_t most) const;

  /// The same, and `fallback` if it is absent.
  std::size_t size_or(const char* key, std::size_t most, std::size_t fallback) const;

  /// A positive number, and `fallback` if it is absent.
  /// @throws nash_swarm::Error for anything else
  float positive_or(const char* key, float fallback) const;

  /// The positive number that `value` is.
  /// @param key for messages
  /// @throws nash_swarm::Error for anything else
  float positive(const char* key, const nlohmann::json& value) const;

  /// True or false, and `fallback` if it is absent.
  /// @throws nash_swarm::Error for anything else
  bool flag_or(const char* key, bool fallback) const;

  /// Refuses any value but `expected`, which is also what an absent key means.
  void require(const char* key, const nlohmann::json& expected) const;

  [[noreturn]] void refuse(const char* key, const std::string& problem,
                           const std::string& remedy) const;

 private:
  std::string file_;
  nlohmann::json json_;
};

}  // namespace transformer
