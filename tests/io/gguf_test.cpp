#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <nash_swarm/io/gguf_reader.hpp>

#include "gguf_text.hpp"
#include "support.hpp"

using namespace nash_swarm;
using namespace nash_swarm::test;

namespace {

GgufText gguf_sample() {
  GgufText text;
  text.pairs = {
      {"general.architecture", 8, gguf_string("llama")},
      {"u8", 0, gguf_number(std::uint8_t{200})},
      {"i8", 1, gguf_number(std::int8_t{-100})},
      {"u16", 2, gguf_number(std::uint16_t{60000})},
      {"i16", 3, gguf_number(std::int16_t{-30000})},
      {"u32", 4, gguf_number(std::uint32_t{4000000000u})},
      {"i32", 5, gguf_number(std::int32_t{-2000000000})},
      {"f32", 6, gguf_number(1.5f)},
      {"bool", 7, gguf_number(std::uint8_t{1})},
      {"u64", 10, gguf_number(std::uint64_t{1} << 60)},
      {"i64", 11, gguf_number(-(std::int64_t{1} << 60))},
      {"f64", 12, gguf_number(0x1p-300)},
      {"tokens", 9, gguf_array(8, {gguf_string("a"), gguf_string(""), gguf_string("ccc")})},
      {"scores", 9, gguf_array(6, {gguf_number(0.5f), gguf_number(-2.0f)})},
      {"nested", 9,
       gguf_array(9, {gguf_array(4, {gguf_number(std::uint32_t{7})}), gguf_array(4, {})})},
  };
  std::string f32;
  for (const float value : {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, -6.0f}) f32 += gguf_number(value);
  std::string f16;
  for (const int bits : {0x3c00, 0xc000}) f16 += gguf_number(static_cast<std::uint16_t>(bits));
  add_tensor(text, "matrix", {3, 2}, 0, f32);
  add_tensor(text, "half", {2}, 1, f16);
  add_tensor(text, "brain", {1}, 30, gguf_number(std::uint16_t{0xbfc0}));
  add_tensor(text, "packed", {256, 2}, 12, std::string(288, '\x11'));
  add_tensor(text, "scalar", {}, 26, gguf_number(std::int32_t{5}));
  return text;
}

template <class Kind>
Kind value_of(const GgufFile& file, std::string_view key) {
  return std::get<Kind>(file.metadata().at(key));
}

std::vector<float> gguf_floats(const StoredTensor& tensor) {
  std::vector<float> out(tensor.bytes.size() / size_of(tensor.type));
  read_floats(tensor, 0, out);
  return out;
}

}  // namespace

TEST_CASE("a GGUF file gives its tensors in our order of dimensions") {
  const TemporaryFolder folder;
  for (const std::uint32_t version : {2u, 3u}) {
    GgufText text = gguf_sample();
    text.version = version;
    write_text(folder / "model.gguf", text.whole());
    const GgufFile file(folder / "model.gguf");
    REQUIRE(file.tensors().size() == 5);
    CHECK(file.at("matrix").shape == std::vector<std::size_t>{2, 3});
    CHECK(file.at("matrix").type == DataType::F32);
    CHECK(file.at("matrix").blocks == "");
    CHECK(gguf_floats(file.at("matrix")) == std::vector<float>{1, 2, 3, 4, 5, -6});
    CHECK(float_view(file.at("matrix")).has_value());
    CHECK(gguf_floats(file.at("half")) == std::vector<float>{1, -2});
    CHECK(gguf_floats(file.at("brain")) == std::vector<float>{-1.5f});
    CHECK(file.at("scalar").type == DataType::I32);
    CHECK(file.at("scalar").shape.empty());
    CHECK(file.find("absent") == nullptr);
  }
}

TEST_CASE("whoever reads tensors need not know the format") {
  const TemporaryFolder folder;
  write_text(folder / "model.gguf", gguf_sample().whole());
  const std::shared_ptr<const TensorFile> file =
      std::make_shared<const GgufFile>(folder / "model.gguf");
  CHECK(file->path() == folder / "model.gguf");
  CHECK(file->file_bytes() == gguf_sample().whole().size());
  const StoredTensor copy = file->at("matrix");
  file->release(copy);
  CHECK(gguf_floats(copy)[5] == -6.0f);
}

TEST_CASE("quantized GGUF tensors are listed and their floats refused by name") {
  const TemporaryFolder folder;
  write_text(folder / "model.gguf", gguf_sample().whole());
  const GgufFile file(folder / "model.gguf");
  const StoredTensor& packed = file.at("packed");
  CHECK(packed.shape == std::vector<std::size_t>{2, 256});
  CHECK(packed.blocks == "Q4_K");
  CHECK(packed.bytes.size() == 288);
  CHECK_FALSE(float_view(packed).has_value());
  std::array<float, 1> one{};
  const std::string message = message_of([&] { read_floats(packed, 0, one); });
  CHECK(contains(message, (folder / "model.gguf").string()));
  CHECK(contains(message, "tensor 'packed' is stored as Q4_K; export F16 or F32"));
}

TEST_CASE("GGUF metadata of every type") {
  const TemporaryFolder folder;
  write_text(folder / "model.gguf", gguf_sample().whole());
  const GgufFile file(folder / "model.gguf");
  CHECK(value_of<std::string_view>(file, "general.architecture") == "llama");
  CHECK(value_of<std::uint64_t>(file, "u8") == 200);
  CHECK(value_of<std::int64_t>(file, "i8") == -100);
  CHECK(value_of<std::uint64_t>(file, "u16") == 60000);
  CHECK(value_of<std::int64_t>(file, "i16") == -30000);
  CHECK(value_of<std::uint64_t>(file, "u32") == 4000000000);
  CHECK(value_of<std::int64_t>(file, "i32") == -2000000000);
  CHECK(value_of<double>(file, "f32") == 1.5);
  CHECK(value_of<bool>(file, "bool"));
  CHECK(value_of<std::uint64_t>(file, "u64") == std::uint64_t{1} << 60);
  CHECK(value_of<std::int64_t>(file, "i64") == -(std::int64_t{1} << 60));
  CHECK(value_of<double>(file, "f64") == 0x1p-300);
  const std::vector<GgufValue> tokens = elements_of(value_of<GgufArray>(file, "tokens"));
  REQUIRE(tokens.size() == 3);
  CHECK(std::get<std::string_view>(tokens[2]) == "ccc");
  const std::vector<GgufValue> scores = elements_of(value_of<GgufArray>(file, "scores"));
  REQUIRE(scores.size() == 2);
  CHECK(std::get<double>(scores[1]) == -2.0);
  const std::vector<GgufValue> nested = elements_of(value_of<GgufArray>(file, "nested"));
  REQUIRE(nested.size() == 2);
  const std::vector<GgufValue> first = elements_of(std::get<GgufArray>(nested[0]));
  REQUIRE(first.size() == 1);
  CHECK(std::get<std::uint64_t>(first[0]) == 7);
  CHECK(elements_of(std::get<GgufArray>(nested[1])).empty());
}

TEST_CASE("a GGUF file says at which multiples its tensors begin") {
  const TemporaryFolder folder;
  GgufText text = gguf_sample();
  text.alignment = 8;
  text.pairs.push_back({"general.alignment", 4, gguf_number(std::uint32_t{8})});
  text.tensors.clear();
  text.data.clear();
  add_tensor(text, "a", {1}, 0, gguf_number(1.0f));
  add_tensor(text, "b", {1}, 0, gguf_number(2.0f));
  REQUIRE(text.tensors[1].offset == 8);
  write_text(folder / "model.gguf", text.whole());
  const GgufFile file(folder / "model.gguf");
  CHECK(gguf_floats(file.at("b")) == std::vector<float>{2});
}

TEST_CASE("GGUF types have the sizes of ggml") {
  CHECK(gguf_type_of(4) == nullptr);
  CHECK(gguf_type_of(14)->name == "Q6_K");
  CHECK(gguf_type_named("IQ4_XS")->number == 23);
  CHECK(gguf_type_named("q8_0") == nullptr);
  const std::vector<std::size_t> shape{3, 512};
  CHECK(byte_count(*gguf_type_named("Q6_K"), shape) == 3 * 2 * 210);
  CHECK(byte_count(*gguf_type_named("F16"), shape) == 3 * 512 * 2);
  const std::size_t half = std::size_t{1} << 40;
  CHECK(byte_count(*gguf_type_named("Q8_0"), std::vector{half, half}) == std::nullopt);
}
