#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/io/safetensors_reader.hpp>
#include <nash_swarm/io/safetensors_writer.hpp>

#include "support.hpp"

using namespace nash_swarm;
using namespace nash_swarm::test;

namespace {

const std::vector<float> floats{1.5f, -2.0f, 0x1p-140f, 3.0e38f, 0.0f, -7.25f};
const std::vector<std::uint16_t> halves{0x3c00, 0xc000, 0x0001, 0x7c00, 0xfc00, 0x8000, 0x03ff};
const std::vector<std::uint8_t> text_bytes{'a', 'b', 'c'};

SafetensorsLayout sample_layout() {
  return SafetensorsLayout({{"matrix \"ü\"\n", DataType::F32, {2, 3}},
                            {"nothing", DataType::I64, {4, 0}},
                            {"text", DataType::U8, {3}},
                            {"halves", DataType::F16, {7}},
                            {"scalar", DataType::BF16, {}}},
                           {{"format", "pt"}, {"note", "tab\t, quote \", ü"}});
}

void write_sample(const std::filesystem::path& path) {
  SafetensorsWriter writer(path, sample_layout());
  writer.write(bytes_of(floats).first(5));
  writer.write(bytes_of(floats).subspan(5));
  writer.write({});
  writer.write(bytes_of(text_bytes));
  writer.write(bytes_of(halves));
  writer.write(bytes_of(std::vector<std::uint16_t>{0xbfc0}));
  writer.commit();
}

std::vector<float> all_floats(const StoredTensor& tensor) {
  std::vector<float> out(tensor.bytes.size() / size_of(tensor.type));
  read_floats(tensor, 0, out);
  return out;
}

}  // namespace

TEST_CASE("data types have the format's names and sizes") {
  CHECK(name_of(DataType::BF16) == "BF16");
  CHECK(name_of(DataType::Bool) == "BOOL");
  CHECK(size_of(DataType::F64) == 8);
  CHECK(size_of(DataType::U16) == 2);
  CHECK(data_type_named("I32") == DataType::I32);
  CHECK(data_type_named("f32") == std::nullopt);
  CHECK(data_type_named("") == std::nullopt);
  const std::size_t half = std::size_t{1} << (std::numeric_limits<std::size_t>::digits / 2);
  CHECK(byte_count(DataType::F16, std::vector<std::size_t>{}) == 2);
  CHECK(byte_count(DataType::F16, std::vector<std::size_t>{3, 5}) == 30);
  CHECK(byte_count(DataType::U8, std::vector<std::size_t>{half, half}) == std::nullopt);
  CHECK(byte_count(DataType::F64, std::vector<std::size_t>{half, half / 16}) == std::nullopt);
  CHECK(byte_count(DataType::U8, std::vector<std::size_t>{half, half, 0}) == 0);
}

TEST_CASE("a written file reads back") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "model.safetensors";
  write_sample(path);
  CHECK(folder.entries() == 1);
  CHECK(std::filesystem::file_size(path) == sample_layout().file_bytes());
  CHECK(sample_layout().header_bytes() % 64 == 0);

  const SafetensorsFile file(path);
  CHECK(file.path() == path);
  CHECK(file.file_bytes() == sample_layout().file_bytes());
  CHECK(file.metadata() ==
        std::map<std::string, std::string>{{"format", "pt"}, {"note", "tab\t, quote \", ü"}});
  REQUIRE(file.tensors().size() == 5);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(file.tensors()[i].name == sample_layout().tensors()[i].name);
    CHECK(file.tensors()[i].type == sample_layout().tensors()[i].type);
    CHECK(file.tensors()[i].shape == sample_layout().tensors()[i].shape);
    CHECK(file.find(file.tensors()[i].name) == &file.tensors()[i]);
  }
  CHECK(all_floats(file.at("matrix \"ü\"\n")) == floats);
  CHECK(file.at("nothing").bytes.empty());
  CHECK(std::memcmp(file.at("text").bytes.data(), "abc", 3) == 0);
  CHECK(all_floats(file.at("scalar")) == std::vector<float>{-1.5f});
  CHECK(file.find("tex") == nullptr);
  CHECK(file.find("") == nullptr);
  const std::string message = message_of([&] { static_cast<void>(file.at("absent\x1b")); });
  CHECK(contains(message, path.string()));
  CHECK(contains(message, "'absent\\x1b'"));
}

TEST_CASE("the same input gives the same bytes") {
  const TemporaryFolder folder;
  write_sample(folder / "a");
  write_sample(folder / "b");
  const std::string bytes = read_text(folder / "a");
  CHECK(bytes.size() == sample_layout().file_bytes());
  CHECK(bytes == read_text(folder / "b"));
  // A file that exists is replaced as a whole.
  write_text(folder / "b", std::string(5000, 'x'));
  write_sample(folder / "b");
  CHECK(bytes == read_text(folder / "b"));
}

TEST_CASE("floats are read from F32, F16 and BF16 at any alignment") {
  const TemporaryFolder folder;
  std::string data;
  for (const float value : floats) data.append(reinterpret_cast<const char*>(&value), 4);
  for (const std::uint16_t bits : halves) data.append(reinterpret_cast<const char*>(&bits), 2);
  for (const std::uint16_t bits : halves) data.append(reinterpret_cast<const char*>(&bits), 2);
  const std::string header = R"({"f":{"dtype":"F32","shape":[6],"data_offsets":[0,24]},)"
                             R"("h":{"dtype":"F16","shape":[7],"data_offsets":[24,38]},)"
                             R"("b":{"dtype":"BF16","shape":[7],"data_offsets":[38,52]}})";
  for (std::size_t padding = 0; padding < 4; ++padding) {
    CAPTURE(padding);
    const std::filesystem::path path = folder / std::to_string(padding);
    write_text(path, safetensors_text(header + std::string(padding, ' '), data));
    const SafetensorsFile file(path);
    const bool aligned = (8 + header.size() + padding) % 4 == 0;

    CHECK(all_floats(file.at("f")) == floats);
    const std::optional<TensorView<const float, 1>> view = float_view(file.at("f"));
    CHECK(view.has_value() == aligned);
    if (view) {
      CHECK(view->size() == 6);
      CHECK((*view)(5) == -7.25f);
    }
    CHECK_FALSE(float_view(file.at("h")).has_value());

    const float infinity = std::numeric_limits<float>::infinity();
    const std::vector<float> h = all_floats(file.at("h"));
    const std::vector<float> expected{1.0f,      -2.0f, 0x1p-24f,           infinity,
                                      -infinity, 0.0f,  0x1p-14f - 0x1p-24f};
    CHECK(h == expected);
    CHECK(std::signbit(h[5]));
    const std::vector<float> b = all_floats(file.at("b"));
    for (std::size_t i = 0; i < halves.size(); ++i) {
      CHECK(std::bit_cast<std::uint32_t>(b[i]) == std::uint32_t{halves[i]} << 16);
    }
    std::array<float, 2> part{};
    read_floats(file.at("h"), 1, part);
    CHECK(part == std::array<float, 2>{-2.0f, 0x1p-24f});
    read_floats(file.at("f"), 4, part);
    CHECK(part == std::array<float, 2>{0.0f, -7.25f});
    read_floats(file.at("f"), 6, std::span<float>{});
  }
}

TEST_CASE("reading floats checks range and type") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "model";
  write_sample(path);
  const SafetensorsFile file(path);
  std::array<float, 2> two{};
  const std::string beyond = message_of([&] { read_floats(file.at("halves"), 6, two); });
  CHECK(contains(beyond, path.string()));
  CHECK(contains(beyond, "'halves'"));
  CHECK_THROWS_AS(read_floats(file.at("halves"), 8, std::span<float>{}), Error);
  const auto largest = std::numeric_limits<std::size_t>::max();
  CHECK_THROWS_AS(read_floats(file.at("halves"), largest, two), Error);
  const std::string type = message_of([&] { read_floats(file.at("text"), 0, two); });
  CHECK(contains(type, path.string()));
  CHECK(contains(type, "'text'"));
  CHECK(contains(type, "U8"));
  CHECK(float_view(file.at("matrix \"ü\"\n")).has_value());
  CHECK_FALSE(float_view(file.at("nothing")).has_value());
}

TEST_CASE("bytes outlive the file object and survive a release") {
  const TemporaryFolder folder;
  const std::size_t count = 40000;
  const std::vector<float> values(count, 2.5f);
  {
    SafetensorsWriter writer(folder / "big", SafetensorsLayout({{"w", DataType::F32, {count}}}));
    writer.write(bytes_of(values));
    writer.commit();
  }
  std::optional<SafetensorsFile> file(std::in_place, folder / "big");
  const std::shared_ptr<const MappedFile> mapping = file->mapping();
  const StoredTensor tensor = file->at("w");
  CHECK(all_floats(tensor) == values);
  file->release(tensor);
  CHECK(all_floats(tensor) == values);
  mapping->release(std::as_bytes(std::span(values)));  // not of this file: ignored
  const SafetensorsFile copy = *file;
  file.reset();
  CHECK(all_floats(tensor) == values);
  CHECK(copy.find("w") == &copy.tensors()[0]);
}
