#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/io/gguf_reader.hpp>

#include "gguf_text.hpp"
#include "io/changed_bytes.hpp"
#include "support.hpp"

using namespace nash_swarm;
using namespace nash_swarm::test;

namespace {

/// The message for a file of these bytes; empty if it was accepted.
std::string gguf_refusal(const std::string& bytes) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "hostile.gguf";
  write_text(path, bytes);
  const std::string message = message_of([&] { const GgufFile file(path); });
  if (!message.empty()) {
    CHECK(message.find(path.string() + ": ") == 0);
    CHECK(contains(message, "; "));
  }
  return message;
}

/// One tensor of four floats, and one value.
GgufText small_gguf() {
  GgufText text;
  text.pairs = {{"key", 4, gguf_number(std::uint32_t{1})}};
  add_tensor(text, "t", {2, 2}, 0, std::string(16, 'x'));
  return text;
}

/// The message after one change of a good file.
std::string changed(const std::function<void(GgufText&)>& change) {
  GgufText text = small_gguf();
  change(text);
  const std::string message = gguf_refusal(text.whole());
  CAPTURE(message);
  CHECK(message != "");
  return message;
}

/// The message for one value of the metadata, under the key 'k'.
std::string value_refusal(std::uint32_t type, const std::string& bytes) {
  return changed([&](GgufText& text) {
    text.pairs = {{"k", type, bytes}};
    text.tensors.clear();
    text.data.clear();
  });
}

/// Every tensor must lie within the file and be readable.
void check_gguf_bounds(const GgufFile& file) {
  const std::span<const std::byte> whole = file.mapping()->bytes();
  for (const StoredTensor& stored : file.tensors()) {
    const bool within = stored.bytes.data() >= whole.data() &&
                        stored.bytes.data() + stored.bytes.size() <= whole.data() + whole.size();
    if (!within) FAIL("a tensor lies outside the file");
    unsigned sum = 0;
    for (const std::byte byte : stored.bytes) sum += std::to_integer<unsigned>(byte);
    if (sum > stored.bytes.size() * 255) FAIL("bytes cannot be read");
  }
  for (const auto& [key, value] : file.metadata()) {
    if (const auto* array = std::get_if<GgufArray>(&value)) elements_of(*array);
  }
}

const std::uint64_t beyond_all = UINT64_MAX;

}  // namespace

TEST_CASE("files that are no GGUF, or of another version") {
  CHECK(gguf_refusal(small_gguf().whole()) == "");
  CHECK(contains(changed([](GgufText& t) { t.magic = 0x47475546; }), "begin with 'GGUF'"));
  CHECK(contains(changed([](GgufText& t) { t.version = 1; }), "version 1"));
  CHECK(contains(changed([](GgufText& t) { t.version = 4; }), "version 4"));
  CHECK(contains(changed([](GgufText& t) { t.version = 0; }), "version 0"));
  CHECK(contains(changed([](GgufText& t) { t.version = 0x03000000; }), "big-endian"));
}

TEST_CASE("GGUF counts and lengths that lie") {
  CHECK(contains(changed([](GgufText& t) { t.more_tensors = beyond_all - 1; }),
                 "the number of tensors is 18446744073709551615"));
  CHECK(contains(changed([](GgufText& t) { t.more_tensors = std::uint64_t{1} << 61; }), "tensors"));
  CHECK(
      contains(changed([](GgufText& t) { t.more_pairs = beyond_all - 1; }), "number of metadata"));
  CHECK(contains(changed([](GgufText& t) { t.more_pairs = 1; }), "length"));
  CHECK(contains(value_refusal(8, gguf_number(beyond_all)), "metadata 'k' has a length"));
  CHECK(contains(value_refusal(8, gguf_number(std::uint64_t{1000}) + "x"), "length of 1000"));
  const std::string floats = gguf_number(std::uint32_t{6});
  CHECK(contains(value_refusal(9, floats + gguf_number(beyond_all)), "elements"));
  // So many elements fit as bytes, but not as floats.
  CHECK(contains(value_refusal(9, floats + gguf_number(std::uint64_t{16}) + std::string(17, '\0')),
                 "ends within metadata 'k'"));
  const std::string strings = gguf_number(std::uint32_t{8}) + gguf_number(std::uint64_t{2});
  CHECK(contains(value_refusal(9, strings + gguf_string("a") + gguf_number(beyond_all)), "length"));
}

TEST_CASE("GGUF values that are none") {
  CHECK(contains(value_refusal(13, std::string(8, '\0')), "unknown type 13"));
  CHECK(contains(value_refusal(7, "\x02"), "truth value of 2"));
  CHECK(contains(value_refusal(9, gguf_array(13, {"x"})), "unknown type 13"));
  CHECK(contains(value_refusal(9, gguf_array(7, {"\x01", "\x05"})), "truth value of 5"));
  std::string nested = gguf_array(0, {"x"});
  for (int depth = 1; depth < GgufCursor::deepest_array; ++depth) nested = gguf_array(9, {nested});
  GgufText deep = small_gguf();
  deep.pairs[0] = {"k", 9, nested};
  CHECK(gguf_refusal(deep.whole()) == "");
  CHECK(contains(value_refusal(9, gguf_array(9, {nested})), "more than 4 deep"));
  std::string endless;
  for (int i = 0; i < 100000; ++i) {
    endless += gguf_number(std::uint32_t{9}) + gguf_number(std::uint64_t{1});
  }
  CHECK(contains(value_refusal(9, endless), "more than 4 deep"));
  CHECK(contains(changed([](GgufText& t) { t.pairs.push_back(t.pairs[0]); }),
                 "metadata 'key': the key occurs twice"));
  CHECK(contains(changed([](GgufText& t) { t.pairs[0].key = ""; }), "empty"));
  CHECK(contains(changed([](GgufText& t) { t.pairs[0] = {"a\x1b[2J", 99, ""}; }), "'a\\x1b[2J'"));
}

TEST_CASE("GGUF alignments that are none") {
  const auto alignment = [](std::uint32_t type, const std::string& value) {
    return changed([&](GgufText& t) { t.pairs = {{"general.alignment", type, value}}; });
  };
  for (const std::uint32_t value : {0u, 3u, 48u, 1u << 21, 1u << 31}) {
    CHECK(contains(alignment(4, gguf_number(value)), "not a power of two"));
  }
  CHECK(contains(alignment(5, gguf_number(std::int32_t{32})), "not an unsigned number"));
  CHECK(contains(alignment(8, gguf_string("32")), "not an unsigned number"));
}

TEST_CASE("GGUF tensors that cannot be") {
  using Tensor = GgufText::Tensor;
  const auto tensor = [](const std::function<void(Tensor&)>& change) {
    return changed([&](GgufText& text) { change(text.tensors[0]); });
  };
  CHECK(contains(tensor([](Tensor& t) { t.name = ""; }), "empty"));
  CHECK(contains(tensor([](Tensor& t) { t.dimensions = {1, 1, 1, 1, 1}; }), "5 dimensions"));
  CHECK(contains(tensor([](Tensor& t) { t.dimensions = {2, 0}; }), "'t' has a dimension of 0"));
  CHECK(contains(tensor([](Tensor& t) { t.dimensions = {beyond_all}; }),
                 "a dimension of 18446744073"));
  CHECK(contains(tensor([](Tensor& t) {
                   t.dimensions = {1u << 31, 1u << 31, 1u << 31};
                 }),
                 "overflows"));
  CHECK(contains(tensor([](Tensor& t) { t.dimensions = {beyond_all >> 1, 1}; }), "overflows"));
  CHECK(contains(tensor([](Tensor& t) { t.type = 4; }), "tensor 't' is of the unknown type 4"));
  CHECK(contains(tensor([](Tensor& t) { t.type = beyond_all & 0xffffffff; }),
                 "unknown type 4294967295"));
  CHECK(contains(tensor([](Tensor& t) { t.type = 12; }), "no whole blocks of Q4_K"));
  CHECK(contains(tensor([](Tensor& t) { t.offset = 4; }), "offset 4 is not a multiple of 32"));
  CHECK(contains(tensor([](Tensor& t) { t.offset = 32; }), "beyond the file's 16 bytes"));
  CHECK(contains(tensor([](Tensor& t) { t.offset = beyond_all - 31; }), "beyond the file"));
  CHECK(contains(tensor([](Tensor& t) { t.dimensions = {5}; }), "beyond the file's 16 bytes"));
  const auto second = [](const std::string& name, std::uint64_t offset) {
    return changed([&](GgufText& text) {
      text.data.resize(64);
      text.tensors[0].dimensions = {9};
      text.tensors.push_back({name, {4}, 0, offset});
    });
  };
  CHECK(contains(second("u", 32), "tensor 'u': its bytes overlap those of 't'"));
  CHECK(contains(second("u", 0), "overlap"));
  CHECK(contains(changed([](GgufText& text) { add_tensor(text, "t", {1}, 24, "x"); }),
                 "tensor 't': the name occurs twice"));
}

TEST_CASE("a GGUF file cut at any byte is refused") {
  GgufText text = small_gguf();
  text.pairs.push_back({"list", 9, gguf_array(8, {gguf_string("a"), gguf_string("bc")})});
  const std::string whole = text.whole();
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "cut";
  write_text(path, whole);
  REQUIRE(message_of([&] { const GgufFile file(path); }) == "");
  for (std::size_t size = whole.size(); size-- > 0;) {
    std::filesystem::resize_file(path, size);
    const std::string message = message_of([&] { const GgufFile file(path); });
    if (message.find(path.string() + ": ") != 0) FAIL("accepted or not named at byte ", size);
  }
}

TEST_CASE("no change of a GGUF header's byte leads outside the file") {
  GgufText text = small_gguf();
  text.pairs.push_back({"list", 9, gguf_array(8, {gguf_string("a"), gguf_string("bc")})});
  text.pairs.push_back({"bytes", 9, gguf_array(9, {gguf_array(0, {"1", "2"})})});
  add_tensor(text, "blocks", {32}, 2, std::string(18, 'b'));
  const std::string whole = text.whole();
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "flipped";
  const auto [accepted, refused] = change_every_byte(path, whole, text.header().size(),
                                                     std::string("\0\x01\x09\x20\x7f\xff", 6), [&] {
                                                       const GgufFile changed(path);
                                                       check_gguf_bounds(changed);
                                                     });
  CHECK(accepted > 0);  // letters of names
  CHECK(refused > accepted);
}
