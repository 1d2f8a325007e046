#include "transformer/tokenizer_files.hpp"

#include <functional>
#include <optional>
#include <system_error>
#include <utility>

#include <nash_swarm/core/error.hpp>

#include "transformer/text_file.hpp"
#include "transformer/tokenizer_config.hpp"

namespace transformer {
namespace {

/// A place where the files of a tokenizer may be.
struct TokenizerPlace {
  std::function<bool(const std::string& name)> has;
  std::function<std::string(const std::string& name)> read;
  std::string prefix;  ///< of the names, in messages
};

/// Adds what a tokenizer_config.json puts before texts. Most of such a file is of no use here.
void add_start(TokenizerFiles& files, const TokenizerPlace& place) {
  const std::string name = "tokenizer_config.json";
  if (!place.has(name)) return;
  const std::string named = place.prefix + name;
  const std::optional<StartToken> start = read_tokenizer_config(place.read(name), named);
  if (start) files.push_back({name, named, tokenizer_config_json(*start)});
}

TokenizerFiles find_files(const TokenizerPlace& place) {
  std::vector<std::string> names = {"tokenizer.json"};
  if (!place.has(names.front())) names = {"vocab.json", "merges.txt"};
  TokenizerFiles files;
  for (const std::string& name : names) {
    if (!place.has(name)) {
      throw nash_swarm::Error(place.prefix + name, "is missing, and there is no tokenizer.json",
                              "download the files of the vocabulary as well (a tokenizer.model "
                              "cannot be read)");
    }
    files.push_back({name, place.prefix + name, place.read(name)});
  }
  if (files.size() > 1) add_start(files, place);
  return files;
}

Tokenizer made_of(const TokenizerFiles& files) {
  const TokenizerFile& first = files.front();
  if (files.size() == 1) return Tokenizer::from_json(first.text, first.place);
  const TokenizerFile& merges = files[1];
  std::optional<StartToken> start;
  if (files.size() > 2) start = read_tokenizer_config(files[2].text, files[2].place);
  return Tokenizer::from_text(first.text, merges.text, first.place, merges.place, start);
}

}  // namespace

TokenizerFiles tokenizer_files(const std::filesystem::path& folder) {
  const auto has = [&](const std::string& name) {
    std::error_code ignored;
    return std::filesystem::exists(folder / name, ignored);
  };
  return find_files({has, [&](const std::string& name) { return read_text_file(folder / name); },
                     (folder / "").string()});
}

TokenizerFiles tokenizer_files(const nash_swarm::PackedModelFile& packed) {
  return find_files({[&](const std::string& name) { return packed.file().find(name) != nullptr; },
                     [&](const std::string& name) { return std::string(packed.document(name)); },
                     packed.file().path().string() + ", "});
}

Tokenizer make_tokenizer(const TokenizerFiles& files, std::size_t config_vocab_size) {
  return made_of(files).fitted_to(config_vocab_size);
}

}  // namespace transformer
