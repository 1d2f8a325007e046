#include "gpt2/tokenizer.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <functional>
#include <limits>
#include <nash_swarm/core/error.hpp>
#include <nlohmann/json.hpp>
#include <queue>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace gpt2 {
namespace {

using nash_swarm::Error;

constexpr const char* download_again = "download or export the file again";

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw Error(path.string(),
                "cannot be opened: " + std::error_code(errno, std::generic_category()).message(),
                "check the path and its permissions");
  }
  std::string text;
  std::array<char, 65536> chunk;
  while (file.read(chunk.data(), chunk.size()) || file.gcount() > 0) {
    text.append(chunk.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (file.bad()) throw Error(path.string(), "cannot be read", "check that it is a readable file");
  return text;
}

/// The start of `text` as one printable line.
std::string in_quotes(std::string_view text) {
  using Json = nlohmann::json;
  return Json(std::string(text.substr(0, 64))).dump(-1, ' ', false, Json::error_handler_t::replace);
}

constexpr std::size_t byte_count = 256;

/// Printable bytes stand for themselves, the others for U+0100, U+0101, … in their order, so that
/// the text files of a vocabulary hold neither blanks nor control characters.
constexpr std::array<unsigned, byte_count> byte_characters() {
  std::array<unsigned, byte_count> characters{};
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < byte_count; ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte != 0xad);
    characters[byte] = printable ? byte : next++;
  }
  return characters;
}

/// UTF-8 of a character of the alphabet; all are below U+0800.
std::string utf8(unsigned character) {
  if (character < 0x80) return {static_cast<char>(character)};
  return {static_cast<char>(0xc0 | (character >> 6)), static_cast<char>(0x80 | (character & 0x3f))};
}

/// Translates tokens as the vocabulary spells them into the bytes that they stand for.
class ByteAlphabet {
 public:
  ByteAlphabet() {
    constexpr auto characters = byte_characters();
    for (unsigned byte = 0; byte < byte_count; ++byte) {
      bytes_.emplace(utf8(characters[byte]), static_cast<char>(byte));
    }
  }

  /// Nothing, if a character is not of the alphabet.
  std::optional<std::string> bytes_of(std::string_view token) const {
    std::string bytes;
    for (std::size_t begin = 0; begin < token.size();) {
      const std::size_t length = static_cast<unsigned char>(token[begin]) < 0x80 ? 1 : 2;
      const auto found = bytes_.find(std::string(token.substr(begin, length)));
      if (found == bytes_.end()) return std::nullopt;
      bytes += found->second;
      begin += length;
    }
    return bytes;
  }

 private:
  std::unordered_map<std::string, char> bytes_;
};

using TokenIds = std::unordered_map<std::string, std::int32_t>;

/// Collects the entries of a flat JSON object. A parser of events rather than of a tree, because a
/// tree silently keeps only one of two equal keys.
class VocabularyReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit VocabularyReader(const std::string& file) : file_(file) {}

  TokenIds take() { return std::move(ids_); }

  bool key(string_t& token) override {
    token_ = token;
    return true;
  }
  bool number_unsigned(number_unsigned_t id) override {
    if (!inside_) refuse_value();
    if (id > static_cast<number_unsigned_t>(std::numeric_limits<std::int32_t>::max())) {
      throw Error(file_,
                  "token " + in_quotes(token_) + ": id " + std::to_string(id) + " is too large",
                  "ids must be 0 … n-1, each once");
    }
    if (!ids_.emplace(token_, static_cast<std::int32_t>(id)).second) {
      throw Error(file_, "token " + in_quotes(token_) + " is listed twice", download_again);
    }
    return true;
  }
  bool start_object(std::size_t) override { return inside_ ? refuse_value() : (inside_ = true); }
  bool end_object() override { return true; }
  bool null() override { return refuse_value(); }
  bool boolean(bool) override { return refuse_value(); }
  bool number_integer(number_integer_t) override { return refuse_value(); }
  bool number_float(number_float_t, const string_t&) override { return refuse_value(); }
  bool string(string_t&) override { return refuse_value(); }
  bool binary(binary_t&) override { return refuse_value(); }
  bool start_array(std::size_t) override { return refuse_value(); }
  bool end_array() override { return true; }
  bool parse_error(std::size_t byte, const std::string&,
                   const nlohmann::json::exception&) override {
    throw Error(file_, "not valid JSON at byte " + std::to_string(byte), download_again);
  }

 private:
  [[noreturn]] bool refuse_value() const {
    if (!inside_) throw Error(file_, "not a JSON object", "pass a GPT-2 vocab.json");
    throw Error(file_, "token " + in_quotes(token_) + ": its id is not a whole number from 0 up",
                "pass a GPT-2 vocab.json, which maps each token to its id");
  }

  const std::string& file_;
  std::string token_;
  TokenIds ids_;
  bool inside_ = false;
};

TokenIds read_vocabulary(std::string_view json, const std::string& file) {
  VocabularyReader reader(file);
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  return reader.take();
}

/// Each token's bytes, by id.
std::vector<std::string> bytes_by_id(const TokenIds& ids, const std::string& file) {
  const ByteAlphabet alphabet;
  std::vector<std::string> bytes(ids.size());
  std::vector<const std::string*> owner(ids.size(), nullptr);
  for (const auto& [token, id] : ids) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= ids.size()) {
      throw Error(file,
                  "token " + in_quotes(token) + ": id " + std::to_string(id) +
                      " in a vocabulary of " + std::to_string(ids.size()) + " tokens",
                  "ids must be 0 … n-1, each once");
    }
    if (owner[index] != nullptr) {
      const auto [first, second] = std::minmax(token, *owner[index]);
      throw Error(file,
                  "tokens " + in_quotes(first) + " and " + in_quotes(second) +
                      " have the same id " + std::to_string(id),
                  "ids must be 0 … n-1, each once");
    }
    owner[index] = &token;
    auto translated = alphabet.bytes_of(token);
    if (!translated) {
      throw Error(file, "token " + in_quotes(token) + " has a character that stands for no byte",
                  "pass the vocab.json of a byte-level tokenizer, as GPT-2's");
    }
    bytes[index] = std::move(*translated);
  }
  return bytes;
}

std::array<std::int32_t, byte_count> ids_of_bytes(const TokenIds& ids, const std::string& file) {
  constexpr auto characters = byte_characters();
  std::array<std::int32_t, byte_count> byte_ids{};
  for (std::size_t byte = 0; byte < byte_count; ++byte) {
    const std::string token = utf8(characters[byte]);
    const auto found = ids.find(token);
    if (found == ids.end()) {
      throw Error(file, "no token " + in_quotes(token) + " for byte " + std::to_string(byte),
                  "pass the vocab.json of a byte-level tokenizer, as GPT-2's");
    }
    byte_ids[byte] = found->second;
  }
  return byte_ids;
}

struct Merge {
  std::int32_t left;
  std::int32_t right;
  std::int32_t product;
};

/// Merges in the order of their rank, lowest first, and the rank of each pair.
class MergeTable {
 public:
  bool add(const Merge& merge) {
    if (!ranks_.emplace(key(merge.left, merge.right), merges_.size()).second) return false;
    merges_.push_back(merge);
    return true;
  }
  const Merge& operator[](std::size_t rank) const { return merges_[rank]; }
  std::optional<std::size_t> rank(std::int32_t left, std::int32_t right) const {
    const auto found = ranks_.find(key(left, right));
    if (found == ranks_.end()) return std::nullopt;
    return found->second;
  }

 private:
  static std::uint64_t key(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint64_t>(right);
  }

  std::vector<Merge> merges_;
  std::unordered_map<std::uint64_t, std::size_t> ranks_;
};

Merge parse_merge(std::string_view line, const TokenIds& ids, const std::string& file,
                  const std::string& place) {
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos || blank == 0 || blank + 1 == line.size() ||
      line.find(' ', blank + 1) != std::string_view::npos) {
    throw Error(file, place + in_quotes(line) + " is not two tokens with one blank between",
                download_again);
  }
  const auto id_of = [&](const std::string& token) {
    const auto found = ids.find(token);
    if (found == ids.end()) {
      throw Error(file,
                  place + "token " + in_quotes(token) + " of " + in_quotes(line) +
                      " is not in the vocabulary",
                  "pass the merges.txt and the vocab.json of the same model");
    }
    return found->second;
  };
  const std::string left(line.substr(0, blank));
  const std::string right(line.substr(blank + 1));
  return {id_of(left), id_of(right), id_of(left + right)};
}

MergeTable parse_merges(std::string_view text, const TokenIds& ids, const std::string& file) {
  text = text.substr(0, text.find_last_not_of("\r\n") + 1);
  if (text.empty()) throw Error(file, "the file is empty", download_again);
  MergeTable merges;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (number == 1 && line.starts_with("#version")) continue;
    const std::string place = "line " + std::to_string(number) + ": ";
    if (!merges.add(parse_merge(line, ids, file, place))) {
      throw Error(file, place + in_quotes(line) + " is listed twice", download_again);
    }
  }
  return merges;
}

/// Length in bytes of the UTF-8 sequence at the start of a text that is not empty; 0 if it is
/// invalid (Unicode 15.0, table 3-7: overlong forms, surrogates and values above U+10FFFF are).
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (length == 0 || lead > 0xf4 || text.size() < length) return 0;
  const unsigned char lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < lowest || byte(1) > highest) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

std::size_t valid_prefix_length(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size()) {
    const std::size_t length = sequence_length(text.substr(end));
    if (length == 0) break;
    end += length;
  }
  return end;
}

struct FreePcre2 {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};
using MatchData = std::unique_ptr<pcre2_match_data, FreePcre2>;

[[noreturn]] void throw_pcre2_error(int code) {
  std::array<PCRE2_UCHAR, 256> message{};
  pcre2_get_error_message(code, message.data(), message.size());
  throw Error("tokenizer", "PCRE2: " + std::string(message.begin(), std::ranges::find(message, 0)),
              "check the installed PCRE2 library (10.30 or newer, with Unicode support)");
}

/// GPT-2's pattern: contractions, words, numbers, other signs (each with a blank before it if there
/// is one), and white space, of which the last character stays with the word that follows.
class PiecePattern {
 public:
  PiecePattern() {
    // White_Space as Unicode defines it: PCRE's \s in UTF mode knows only the ASCII part.
    const std::string space =
        R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029})"
        R"(\x{202f}\x{205f}\x{3000})";
    // A possessive ++ matches what + would, since nothing follows it in its alternative.
    const std::string pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}++| ?\p{N}++| ?[^)" + space +
                                R"(\p{L}\p{N}]++|[)" + space + "]+(?![^" + space + "])|[" + space +
                                "]++";
    int error = 0;
    PCRE2_SIZE place = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_ANCHORED, &error, &place, nullptr));
    if (!code_) throw_pcre2_error(error);
    // Where the system allows no code at run time, the interpreter gives the same matches.
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
  }

  MatchData make_match_data() const { return MatchData(pcre2_match_data_create(1, nullptr)); }

  /// End of the piece of `text`, valid UTF-8, that starts at `begin`.
  std::size_t piece_end(std::string_view text, std::size_t begin, pcre2_match_data* match) const {
    const int result = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                   text.size(), begin, PCRE2_NO_UTF_CHECK, match, nullptr);
    if (result < 0) throw_pcre2_error(result);
    return pcre2_get_ovector_pointer(match)[1];
  }

 private:
  std::unique_ptr<pcre2_code, FreePcre2> code_;
};

/// Merges a piece of n bytes in O(n log n): the symbols form a linked list, and a queue holds the
/// adjacent pairs that can be merged.
class PieceMerger {
 public:
  PieceMerger(const std::array<std::int32_t, byte_count>& byte_ids, const MergeTable& merges)
      : byte_ids_(byte_ids), merges_(merges) {}

  void append(std::string_view piece, std::vector<std::int32_t>& ids) {
    start(piece);
    while (!queue_.empty()) merge_lowest_rank();
    for (std::size_t i = 0; i < symbols_.size(); i = symbols_[i].next)
      ids.push_back(symbols_[i].id);
  }

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  static constexpr std::int32_t merged_away = -1;

  struct Symbol {
    std::int32_t id;
    std::size_t previous;
    std::size_t next;
  };
  /// The pair of the symbol at `position` and its successor, as it was when it entered the queue.
  struct Candidate {
    std::size_t rank;
    std::size_t position;
    auto operator<=>(const Candidate&) const = default;
  };

  void start(std::string_view piece) {
    symbols_.clear();
    for (std::size_t i = 0; i < piece.size(); ++i) {
      const std::int32_t id = byte_ids_[static_cast<unsigned char>(piece[i])];
      symbols_.push_back({id, i == 0 ? none : i - 1, i + 1 == piece.size() ? none : i + 1});
    }
    for (std::size_t i = 0; i < piece.size(); ++i) propose(i);
    queue_proposals();
  }

  /// Merges all pairs of one rank from left to right. The pairs that this makes wait until it is
  /// done, also those of a lower rank, as in GPT-2's own encoder.
  void merge_lowest_rank() {
    const std::size_t rank = queue_.top().rank;
    const Merge& merge = merges_[rank];
    while (!queue_.empty() && queue_.top().rank == rank) {
      const std::size_t position = queue_.top().position;
      queue_.pop();
      Symbol& left = symbols_[position];
      if (left.id != merge.left || left.next == none) continue;
      Symbol& right = symbols_[left.next];
      if (right.id != merge.right) continue;
      left.id = merge.product;
      left.next = right.next;
      right.id = merged_away;
      if (left.next != none) symbols_[left.next].previous = position;
      if (left.previous != none) propose(left.previous);
      propose(position);
    }
    queue_proposals();
  }

  void propose(std::size_t position) {
    const Symbol& left = symbols_[position];
    if (left.next == none) return;
    const auto rank = merges_.rank(left.id, symbols_[left.next].id);
    if (rank) proposals_.push_back({*rank, position});
  }

  void queue_proposals() {
    for (const Candidate& candidate : proposals_) queue_.push(candidate);
    proposals_.clear();
  }

  const std::array<std::int32_t, byte_count>& byte_ids_;
  const MergeTable& merges_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> proposals_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue_;
};

}  // namespace

struct Tokenizer::Tables {
  std::string name;
  std::vector<std::string> token_bytes;
  std::array<std::int32_t, byte_count> byte_ids;
  MergeTable merges;
  std::optional<std::int32_t> end_of_text;
  PiecePattern pattern;
};

Tokenizer::Tokenizer(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}

Tokenizer Tokenizer::from_files(const std::filesystem::path& vocab_json,
                                const std::filesystem::path& merges_txt) {
  return from_text(read_file(vocab_json), read_file(merges_txt), vocab_json.string(),
                   merges_txt.string());
}

Tokenizer Tokenizer::from_text(std::string_view vocab_json, std::string_view merges,
                               const std::string& vocabulary_name, const std::string& merges_name) {
  const TokenIds ids = read_vocabulary(vocab_json, vocabulary_name);
  auto tables = std::make_shared<Tables>();
  tables->name = vocabulary_name;
  tables->token_bytes = bytes_by_id(ids, vocabulary_name);
  tables->byte_ids = ids_of_bytes(ids, vocabulary_name);
  tables->merges = parse_merges(merges, ids, merges_name);
  const auto end_of_text = ids.find("<|endoftext|>");
  if (end_of_text != ids.end()) tables->end_of_text = end_of_text->second;
  return Tokenizer(std::move(tables));
}

Encoded Tokenizer::encode(std::string_view text) const {
  Encoded encoded;
  std::vector<std::int32_t>& ids = encoded.ids;
  PieceMerger merger(tables_->byte_ids, tables_->merges);
  const MatchData match = tables_->pattern.make_match_data();
  // A piece that came before is copied from where its ids stand: first id and end.
  std::unordered_map<std::string_view, std::pair<std::size_t, std::size_t>> earlier;

  while (!text.empty()) {
    const std::string_view valid = text.substr(0, valid_prefix_length(text));
    for (std::size_t begin = 0; begin < valid.size();) {
      const std::size_t end = tables_->pattern.piece_end(valid, begin, match.get());
      const std::string_view piece = valid.substr(begin, end - begin);
      const std::size_t first = ids.size();
      if (const auto found = earlier.find(piece); found != earlier.end()) {
        for (std::size_t i = found->second.first; i < found->second.second; ++i) {
          ids.push_back(ids[i]);
        }
      } else {
        merger.append(piece, ids);
        earlier.emplace(piece, std::pair{first, ids.size()});
      }
      begin = end;
    }
    text.remove_prefix(valid.size());
    if (text.empty()) break;
    ids.push_back(tables_->byte_ids[static_cast<unsigned char>(text.front())]);
    ++encoded.invalid_bytes;
    text.remove_prefix(1);
  }
  return encoded;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= vocabulary_size()) {
      throw Error(
          tables_->name, "no token has the id " + std::to_string(id),
          "pass ids from 0 to " + std::to_string(static_cast<long long>(vocabulary_size()) - 1));
    }
    text += tables_->token_bytes[static_cast<std::size_t>(id)];
  }
  return text;
}

std::size_t Tokenizer::vocabulary_size() const noexcept {
  return tables_->token_bytes.size();
}

std::optional<std::int32_t> Tokenizer::end_of_text() const noexcept {
  return tables_->end_of_text;
}

void Tokenizer::check_fits(std::size_t config_vocab_size) const {
  if (config_vocab_size == vocabulary_size()) return;
  throw Error(tables_->name,
              std::to_string(vocabulary_size()) + " tokens, but the model's \"vocab_size\" is " +
                  std::to_string(config_vocab_size),
              "use the vocabulary that the model was trained with");
}

}  // namespace gpt2
