#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace transformer {

/// An object of a tokenizer.json or tokenizer_config.json, with messages that name the file and the
/// object's place. A null counts as absent.
class TokenizerJsonPart {
 public:
  /// @param json an object that outlives the part, as do the parts of it
  /// @param place such as "pre_tokenizer", or empty for the whole file
  /// @throws nash_swarm::Error if it is no object
  TokenizerJsonPart(const nlohmann::json& json, const std::string& file, std::string place);

  /// The value of a key; null, if it is absent.
  const nlohmann::json& at(const char* key) const;
  bool has(const char* key) const { return !at(key).is_null(); }

  /// The object of a key.
  TokenizerJsonPart part(const char* key) const;
  /// The list of a key.
  const nlohmann::json& list(const char* key) const;
  /// The text of a key.
  const std::string& text(const char* key) const;
  /// True or false, and `fallback` if it is absent.
  bool flag_or(const char* key, bool fallback) const;
  /// A whole number from 0 up.
  std::uint64_t number(const char* key) const;

  /// The steps of a key: of a "Sequence", those of its list, else the value alone; none, if absent.
  std::vector<TokenizerJsonPart> steps(const char* key, const char* list) const;
  /// The "type" of a step.
  const std::string& type() const { return text("type"); }

  /// Refuses keys other than these.
  void allow(std::initializer_list<std::string_view> keys) const;
  /// Refuses any value but these.
  void require(const char* key, std::initializer_list<nlohmann::json> values) const;

  /// Refuses what is not known here.
  [[noreturn]] void refuse(const std::string& problem) const;
  /// Refuses what no tokenizer.json has.
  [[noreturn]] void refuse_damaged(const std::string& problem) const;
  /// Refuses a step of this type.
  [[noreturn]] void refuse_type() const;

 private:
  std::string named(const char* key) const;
  std::string placed(const std::string& problem) const;

  const nlohmann::json* json_;
  const std::string* file_;
  std::string place_;
};

}  // namespace transformer
