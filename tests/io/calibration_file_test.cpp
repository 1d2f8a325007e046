#include <nash_swarm/io/calibration_file.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <nash_swarm/core/executor.hpp>

#include "io/support.hpp"
#include "support/moments.hpp"
#include "support/serial.hpp"

using namespace nash_swarm;
using namespace nash_swarm::test;

namespace {

using support::serial;

constexpr std::uint64_t fingerprint = 0x00c0ffee12345678u;

TensorView<const float, 2> rows_of(const std::vector<float>& values, std::size_t columns) {
  return {values.data(), {values.size() / columns, columns}};
}

/// Moments of a matrix of 32 × `in` over one sequence; gradients in two groups, or none.
MatrixMoments moments_of(const std::string& name, std::size_t in, bool gradients) {
  const std::vector<float> x = support::correlated(20, in, 1);
  const std::vector<float> dy = support::correlated(20, 32, 2);
  MatrixMoments moments{InputMoment(name, in), {}};
  moments.inputs.add(rows_of(x, in), serial);
  if (!gradients) return moments;
  moments.gradients.emplace(name, 32, in, 16);
  moments.gradients->add(rows_of(x, in), rows_of(dy, 32), serial);
  return moments;
}

template <class... Moments>
void write(const std::filesystem::path& target, const Moments&... matrices) {
  const std::vector<const MatrixMoments*> views = {&matrices...};
  write_calibration(target, views, fingerprint, 7);
}

/// The file of one matrix "w" with whatever a test has changed.
class HostileFile {
 public:
  HostileFile() {
    write(folder_ / "good", moments_of("w", 70, true));
    const SafetensorsFile good(folder_ / "good");
    metadata = good.metadata();
    manifest = nlohmann::json::parse(metadata.at("nash_swarm.manifest"));
    for (const StoredTensor& tensor : good.tensors()) {
      tensors.push_back({tensor.name, tensor.type, tensor.shape});
      data[tensor.name] = {tensor.bytes.begin(), tensor.bytes.end()};
    }
  }

  TensorSpec& tensor(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(),
                         [&](const TensorSpec& spec) { return spec.name == name; });
  }

  template <class T>
  void put(const std::string& name, std::size_t index, T value) {
    std::memcpy(data.at(name).data() + index * sizeof value, &value, sizeof value);
  }

  /// The message when the file is opened and all of it is read.
  std::string refusal() {
    const std::filesystem::path path = folder_ / "hostile";
    if (!manifest.is_null()) metadata["nash_swarm.manifest"] = manifest.dump();
    SafetensorsWriter writer(path, SafetensorsLayout(tensors, metadata));
    for (const TensorSpec& spec : tensors) {
      std::vector<std::byte>& bytes = data.at(spec.name);
      bytes.resize(*byte_count(spec.type, spec.shape));
      writer.write(bytes);
    }
    writer.commit();
    const std::string message = message_of([&] {
      const CalibrationFile file(path);
      for (const std::string& name : file.names()) file.moments(name);
    });
    if (!message.empty()) CHECK(message.starts_with(path.string() + ": "));
    return message;
  }

  std::map<std::string, std::string> metadata;
  nlohmann::json manifest;
  std::vector<TensorSpec> tensors;
  std::map<std::string, std::vector<std::byte>> data;

 private:
  TemporaryFolder folder_;
};

std::string refusal(const std::function<void(HostileFile&)>& change) {
  HostileFile file;
  change(file);
  return file.refusal();
}

}  // namespace

TEST_CASE("fingerprint: order, cuts and every byte count") {
  const auto of = [](const std::vector<std::string>& parts) {
    Fingerprint print;
    for (const std::string& part : parts) print.add(part);
    return print.value();
  };
  std::vector<std::uint64_t> all = {of({}),
                                    of({""}),
                                    of({"a"}),
                                    of({"ab", "c"}),
                                    of({"a", "bc"}),
                                    of({"abc"}),
                                    of({"c", "ab"}),
                                    of({"abcdefgh"}),
                                    of({"abcdefghi"}),
                                    of({"abcdefgi"}),
                                    of({"abcdefghj"}),
                                    of({std::string(9, 0)}),
                                    of({std::string(8, 0)})};
  CHECK(of({"ab", "c"}) == all[3]);
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
  CHECK(fingerprint_text(0x0123456789abcdefu) == "0123456789abcdef");
  CHECK(fingerprint_text(1) == "0000000000000001");
}

TEST_CASE("calibration file: moments come back to the bit") {
  const TemporaryFolder folder;
  const MatrixMoments attention = moments_of("h.0.attn", 70, true);
  const MatrixMoments plain = moments_of("plain", 130, false);
  write(folder / "c", attention, plain);
  CHECK(folder.entries() == 1);
  const CalibrationFile file(folder / "c");
  CHECK(file.has_fingerprint(fingerprint));
  CHECK_FALSE(file.has_fingerprint(fingerprint + 1));
  CHECK(file.seen() == 7);
  CHECK(file.names() == std::vector<std::string>{"h.0.attn", "plain"});
  for (const MatrixMoments* written : {&attention, &plain}) {
    const MatrixMoments& expected = *written;
    const MatrixMoments read = file.moments(expected.inputs.name());
    CHECK(read.inputs.count() == 20);
    REQUIRE(read.inputs.in_features() == expected.inputs.in_features());
    CHECK(std::ranges::equal(read.inputs.sums().values(), expected.inputs.sums().values()));
    REQUIRE(read.gradients.has_value() == expected.gradients.has_value());
    if (!read.gradients) continue;
    CHECK(read.gradients->tokens() == 20);
    CHECK(read.gradients->sequences() == 1);
    CHECK(read.gradients->group_rows() == 16);
    CHECK(std::ranges::equal(read.gradients->row_squares(), expected.gradients->row_squares()));
    CHECK(std::ranges::equal(read.gradients->sums().values(), expected.gradients->sums().values()));
  }
  CHECK(contains(message_of([&] { file.inputs("absent"); }), "'absent': no such matrix"));
}

TEST_CASE("calibration file: it says what it has without reading sums") {
  const TemporaryFolder folder;
  write(folder / "c", moments_of("w", 70, true));
  const CalibrationFile file(folder / "c");
  CHECK(file.find("v") == nullptr);
  REQUIRE(file.find("w") != nullptr);
  const nash_swarm::MatrixMoments moments = file.moments("w");
  CHECK(file.find("w")->in_features == 70);
  CHECK(file.find("w")->inputs == moments.inputs.count());
  CHECK(file.find("w")->out_features == moments.gradients->out_features());
  CHECK(file.find("w")->group_rows == moments.gradients->group_rows());
}

TEST_CASE("calibration file: found only under its fingerprint") {
  const TemporaryFolder folder;
  CHECK_FALSE(find_calibration(folder / "c", fingerprint).has_value());
  write(folder / "c", moments_of("w", 70, true));
  CHECK(find_calibration(folder / "c", fingerprint).has_value());
  CHECK_FALSE(find_calibration(folder / "c", fingerprint ^ 1).has_value());
  write_text(folder / "c", "rubbish that is long enough");
  CHECK(message_of([&] {
          find_calibration(folder / "c", fingerprint);
        }).starts_with((folder / "c").string()));
}

TEST_CASE("calibration file: cut anywhere it is refused") {
  const TemporaryFolder folder;
  write(folder / "c", moments_of("w", 70, true));
  const std::size_t size = std::filesystem::file_size(folder / "c");
  for (const std::size_t length : {size - 1, size / 2, std::size_t{600}, std::size_t{9}}) {
    std::filesystem::resize_file(folder / "c", length);
    const std::string message = message_of([&] { CalibrationFile(folder / "c"); });
    CHECK(message.starts_with((folder / "c").string() + ": "));
  }
}

TEST_CASE("calibration file: hostile files are refused by name") {
  CHECK(refusal([](HostileFile&) {}) == "");
  const auto manifest = [](const std::function<void(nlohmann::json&)>& change) {
    return refusal([&](HostileFile& file) { change(file.manifest); });
  };
  const auto entry = [&](const char* key, const nlohmann::json& value) {
    return manifest([&](nlohmann::json& json) { json["matrices"][0][key] = value; });
  };
  for (const char* key : {"nash_swarm.calibration", "nash_swarm.fingerprint"}) {
    CAPTURE(key);
    CHECK(contains(refusal([&](HostileFile& file) { file.metadata.erase(key); }),
                   "not a calibration"));
  }
  CHECK(contains(refusal([](HostileFile& file) { file.metadata["nash_swarm.calibration"] = "9"; }),
                 "version '9'"));
  CHECK(contains(refusal([](HostileFile& file) {
                   file.manifest = nullptr;
                   file.metadata["nash_swarm.manifest"] = "{";
                 }),
                 "manifest"));
  CHECK(contains(manifest([](nlohmann::json& json) { json = 5; }), "manifest"));
  CHECK(contains(manifest([](nlohmann::json& json) { json.erase("matrices"); }), "manifest"));
  CHECK(contains(manifest([](nlohmann::json& json) { json["seen"] = -1; }), "seen"));
  CHECK(contains(
      manifest([](nlohmann::json& json) { json["matrices"].push_back(json["matrices"][0]); }),
      "'w': the matrix occurs twice"));
  CHECK(contains(entry("name", "v"), "v.inputs' is missing"));
  CHECK(contains(entry("name", 3), "manifest"));
  const std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();
  for (const std::uint64_t in : {std::uint64_t{0}, std::uint64_t{69}, std::uint64_t{71},
                                 std::uint64_t{1} << 33, std::uint64_t{1} << 63, huge}) {
    CAPTURE(in);
    CHECK(contains(entry("in_features", in), "'w.inputs': not the sums"));
  }
  for (const std::uint64_t rows : {std::uint64_t{0}, std::uint64_t{5}, huge}) {
    CHECK(contains(entry("group_rows", rows), "'w': impossible groups"));
  }
  CHECK(contains(entry("group_rows", 8), "'w.gradients': expected F32 sums of 4 groups"));
  CHECK(contains(entry("out_features", 0), "'w.gradients'"));
  CHECK(contains(entry("out_features", 48), "'w.gradients'"));
  CHECK(contains(entry("tokens", 0), "'w': impossible groups or numbers of tokens"));
  CHECK(contains(manifest([](nlohmann::json& json) { json["matrices"][0].erase("tokens"); }),
                 "manifest"));

  const std::string inputs = "w.inputs", gradients = "w.gradients", squares = "w.row_squares";
  CHECK(contains(refusal([&](HostileFile& file) { file.tensor(inputs).type = DataType::U32; }),
                 "'w.inputs': expected F32"));
  CHECK(contains(refusal([&](HostileFile& file) { file.tensor(gradients).shape[1] -= 1; }),
                 "'w.gradients': not the sums"));
  CHECK(contains(refusal([&](HostileFile& file) { file.tensor(gradients).shape.pop_back(); }),
                 "'w.gradients': expected F32"));
  CHECK(contains(refusal([&](HostileFile& file) { file.tensor(squares).shape[0] = 31; }),
                 "'w.row_squares': not two numbers of F64"));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(contains(refusal([&](HostileFile& file) { file.put(inputs, 9, nan); }), "not finite"));
  CHECK(contains(refusal([&](HostileFile& file) { file.put(gradients, 9, nan); }), "not finite"));
  CHECK(contains(refusal([&](HostileFile& file) { file.put(gradients, 0, -1.0f); }), "negative"));
  CHECK(contains(refusal([&](HostileFile& file) { file.put(squares, 3, -1.0); }),
                 "'w.row_squares': no sum of squares"));
}

TEST_CASE("calibration file: nothing is left of one that cannot be written") {
  const TemporaryFolder folder;
  const std::filesystem::path target = folder / "absent" / "c";
  CHECK(message_of([&] { write(target, moments_of("w", 70, true)); }).starts_with(target.string()));
  CHECK_FALSE(message_of([&] {
                write(folder / "c", moments_of("w", 70, true), moments_of("w", 70, true));
              }).empty());
  CHECK(folder.entries() == 0);
}
