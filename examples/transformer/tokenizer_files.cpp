#include "transformer/tokenizer_files.hpp"

#include <functional>
#include <system_error>
#include <utility>

#include <nash_swarm/core/error.hpp>

#include "transformer/text_file.hpp"

namespace transformer {
namespace {

/// A place where the files of a tokenizer may be.
struct TokenizerPlace {
  std::function<bool(const std::string& name)> has;
  std::function<std::string(const std::string& name)> read;
  std::string prefix;  ///< of the names, in messages
};

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
  return files;
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
  const TokenizerFile& first = files.front();
  const Tokenizer tokenizer = files.size() == 1 ? Tokenizer::from_json(first.text, first.place)
                                                : Tokenizer::from_text(first.text, files[1].text,
                                                                       first.place, files[1].place);
  return tokenizer.fitted_to(config_vocab_size);
}

}  // namespace transformer
