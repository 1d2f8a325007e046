#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <nash_swarm/io/safetensors_reader.hpp>
#include <nash_swarm/io/safetensors_writer.hpp>

#include "support.hpp"

using namespace nash_swarm;
using namespace nash_swarm::test;

namespace {

const std::vector<std::uint8_t> three_bytes{'a', 'b', 'c'};

/// Lets no file of this process grow beyond `bytes`, as a full disk would.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &former_);
    const rlimit limit{bytes, former_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &former_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit former_{};
  void (*handler_)(int) = nullptr;
};

}  // namespace

TEST_CASE("the header's text is fixed") {
  const SafetensorsLayout layout({{"b", DataType::F16, {2, 3}}, {"a", DataType::U8, {}}},
                                 {{"k", "v"}});
  const std::string json =
      R"({"__metadata__":{"k":"v"},"b":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},)"
      R"("a":{"dtype":"U8","shape":[],"data_offsets":[12,13]}})";
  const std::string expected = json + std::string(192 - 8 - json.size(), ' ');
  CHECK(layout.header_bytes() == 192);
  CHECK(layout.file_bytes() == 192 + 13);
  REQUIRE(layout.header().size() == 192);
  CHECK(std::memcmp(layout.header().data(), safetensors_text(expected, "").data(), 192) == 0);
  const SafetensorsLayout empty({});
  CHECK(empty.header_bytes() == 64);
  CHECK(empty.file_bytes() == 64);
}

TEST_CASE("a layout refuses what could not be read back") {
  using Specs = std::vector<TensorSpec>;
  const auto message = [](Specs specs, std::map<std::string, std::string> metadata = {}) {
    return message_of([&] { SafetensorsLayout(specs, metadata); });
  };
  const std::size_t huge = std::numeric_limits<std::size_t>::max() / 4;
  CHECK(contains(message(Specs{{"a", DataType::U8, {}}, {"a", DataType::U8, {}}}), "'a'"));
  CHECK(contains(message(Specs{{"__metadata__", DataType::U8, {}}}), "'__metadata__'"));
  CHECK(contains(message(Specs{{"", DataType::U8, {}}}), "empty"));
  CHECK(contains(message(Specs{{"a\xff", DataType::U8, {}}}), "UTF-8"));
  CHECK(contains(message(Specs{{"a", DataType::F32, {huge}}}), "'a'"));
  CHECK(
      contains(message(Specs{{"a", DataType::U8, {huge}}, {"b", DataType::U8, {huge, 2}}}), "'b'"));
  CHECK(contains(message(Specs{{"a", DataType::U8, std::vector<std::size_t>(65, 1)}}), "'a'"));
  CHECK(contains(message({}, {{"key", "\xc3"}}), "'key'"));
  CHECK(contains(message({}, {{"\xc3", "value"}}), "UTF-8"));
}

TEST_CASE("an unfinished or failed file leaves nothing behind") {
  const TemporaryFolder folder;
  const std::filesystem::path target = folder / "model";
  const SafetensorsLayout layout({{"w", DataType::U8, {3}}});
  SUBCASE("dropped") {
    {
      SafetensorsWriter writer(target, layout);
      writer.write(bytes_of(three_bytes));
      CHECK(folder.entries() == 1);
      CHECK_FALSE(std::filesystem::exists(target));
    }
  }
  SUBCASE("bytes missing") {
    SafetensorsWriter writer(target, layout);
    writer.write(bytes_of(three_bytes).first(2));
    CHECK(contains(message_of([&] { writer.commit(); }), target.string()));
    CHECK(folder.entries() == 0);
    CHECK_THROWS_AS(writer.write(bytes_of(three_bytes).first(1)), Error);
  }
  SUBCASE("too many bytes") {
    SafetensorsWriter writer(target, layout);
    writer.write(bytes_of(three_bytes));
    const auto one_more = [&] { writer.write(bytes_of(three_bytes).first(1)); };
    CHECK(contains(message_of(one_more), target.string()));
    CHECK(folder.entries() == 0);
    CHECK_THROWS_AS(writer.commit(), Error);
  }
  CHECK(folder.entries() == 0);
}

TEST_CASE("a former file survives a failure") {
  const TemporaryFolder folder;
  write_text(folder / "model", "former");
  {
    SafetensorsWriter writer(folder / "model", SafetensorsLayout({{"w", DataType::U8, {3}}}));
    CHECK_THROWS_AS(writer.commit(), Error);
  }
  CHECK(read_text(folder / "model") == "former");
  CHECK(folder.entries() == 1);
}

TEST_CASE("two writers of one target do not meet") {
  const TemporaryFolder folder;
  const SafetensorsLayout layout({{"w", DataType::U8, {3}}});
  SafetensorsWriter first(folder / "model", layout);
  SafetensorsWriter second(folder / "model", layout);
  first.write(bytes_of(three_bytes));
  second.write(bytes_of(std::vector<std::uint8_t>{'x', 'y', 'z'}));
  first.commit();
  CHECK(std::memcmp(SafetensorsFile(folder / "model").at("w").bytes.data(), "abc", 3) == 0);
  second.commit();
  CHECK(std::memcmp(SafetensorsFile(folder / "model").at("w").bytes.data(), "xyz", 3) == 0);
  CHECK(folder.entries() == 1);
  CHECK_THROWS_AS(second.commit(), Error);
}

TEST_CASE("targets that cannot be files are named") {
  const TemporaryFolder folder;
  const SafetensorsLayout layout({{"w", DataType::U8, {3}}});
  const auto refused = [&](const std::filesystem::path& target) {
    const std::string message = message_of([&] { SafetensorsWriter(target, layout); });
    CAPTURE(message);
    CHECK(contains(message, target.string()));
    CHECK(contains(message, ";"));
  };
  SUBCASE("missing folder") {
    refused(folder / "absent" / "model");
  }
  SUBCASE("a file as folder") {
    write_text(folder / "file", "x");
    refused(folder / "file" / "model");
  }
  SUBCASE("a folder") {
    std::filesystem::create_directory(folder / "sub");
    refused(folder / "sub");
    refused(folder / "sub/");
  }
  SUBCASE("a device") {
    if (std::filesystem::exists("/dev/full")) refused("/dev/full");
  }
  SUBCASE("no name") {
    refused("");
  }
  SUBCASE("a name that is too long") {
    refused(folder / std::string(300, 'n'));
  }
  SUBCASE("a folder that may not be written") {
    if (::geteuid() == 0) return;  // to whom nothing is forbidden
    std::filesystem::create_directory(folder / "sub");
    write_text(folder / "protected", "x");
    REQUIRE(::chmod((folder / "sub").c_str(), 0555) == 0);
    REQUIRE(::chmod((folder / "protected").c_str(), 0444) == 0);
    refused(folder / "sub" / "model");
    refused(folder / "protected");
  }
}

TEST_CASE("a lack of room is noticed and nothing is left") {
  const TemporaryFolder folder;
  const std::filesystem::path target = folder / "model";
  const std::vector<std::uint8_t> data(100000, 7);
  const SafetensorsLayout layout({{"w", DataType::U8, {data.size()}}});
  std::string message;
  SUBCASE("when the file is opened or written") {
    message = message_of([&] {
      const FileSizeLimit limit(50000);
      SafetensorsWriter writer(target, layout);
      writer.write(bytes_of(data));
    });
  }
  SUBCASE("later, in the middle of a write") {
    SafetensorsWriter writer(target, layout);
    message = message_of([&] {
      const FileSizeLimit limit(50000);
      writer.write(bytes_of(data));
    });
    CHECK_THROWS_AS(writer.commit(), Error);
  }
  CAPTURE(message);
  CHECK(contains(message, target.string()));
  CHECK(contains(message, "; raise the limit"));
  CHECK(folder.entries() == 0);
}
