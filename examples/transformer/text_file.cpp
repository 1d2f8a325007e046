#include "transformer/text_file.hpp"

#include <cstddef>
#include <string_view>

#include <nlohmann/json.hpp>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/mapped_file.hpp>

#include "transformer/lines.hpp"

namespace transformer {
namespace {

bool holds_json_lines(const std::filesystem::path& file) {
  const std::string extension = file.extension().string();
  return extension == ".jsonl" || extension == ".ndjson" || extension == ".json";
}

std::string text_of_line(std::string_view line, const std::string& place) {
  constexpr const char* remedy = "every line has to be an object such as {\"text\": \"...\"}";
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (json.is_discarded()) throw nash_swarm::Error(place, "is not valid JSON", remedy);
  const auto text = json.is_object() ? json.find("text") : json.end();
  if (text == json.end() || !text->is_string()) {
    throw nash_swarm::Error(place, "has no \"text\"", remedy);
  }
  return text->get<std::string>();
}

}  // namespace

std::string read_text_file(const std::filesystem::path& file) {
  const nash_swarm::MappedFile mapping(file);
  return {reinterpret_cast<const char*>(mapping.bytes().data()), mapping.bytes().size()};
}

std::string read_text(const std::filesystem::path& file) {
  std::string bytes = read_text_file(file);
  if (!holds_json_lines(file)) return bytes;
  std::string text;
  std::size_t number = 0;
  for (std::string_view left = bytes; !left.empty();) {
    const std::string_view line = take_line(left);
    ++number;
    if (is_blank(line)) continue;
    if (!text.empty()) text += "\n\n";
    text += text_of_line(line, file.string() + ", line " + std::to_string(number));
  }
  return text;
}

}  // namespace transformer
