#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <nash_swarm/io/safetensors_reader.hpp>

#include "io/changed_bytes.hpp"
#include "support.hpp"

using namespace nash_swarm;
using namespace nash_swarm::test;

namespace {

/// Opens `path` and returns the message of the Error; empty if it was accepted.
std::string refusal(const std::filesystem::path& path) {
  return message_of([&] { const SafetensorsFile file(path); });
}

/// The message for a file with this header and so many bytes of data.
std::string refusal(std::string_view header, std::size_t data_bytes) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "hostile.safetensors";
  write_text(path, safetensors_text(header, std::string(data_bytes, 'd')));
  const std::string message = refusal(path);
  if (!message.empty()) CHECK(message.find(path.string() + ": ") == 0);
  return message;
}

std::string tensor(const std::string& type, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

const std::string good = tensor("U8", "[4]", "[0,4]");

/// Every tensor must lie within the file and be as large as its shape says.
void check_bounds(const SafetensorsFile& file) {
  const std::span<const std::byte> whole = file.mapping()->bytes();
  for (const StoredTensor& stored : file.tensors()) {
    const bool within = stored.bytes.data() >= whole.data() &&
                        stored.bytes.data() + stored.bytes.size() <= whole.data() + whole.size();
    if (!within) FAIL("a tensor lies outside the file");
    if (stored.bytes.size() != byte_count(stored.type, stored.shape)) {
      FAIL("a tensor is not as large as its shape");
    }
    unsigned sum = 0;
    for (const std::byte byte : stored.bytes) sum += std::to_integer<unsigned>(byte);
    if (sum > stored.bytes.size() * 255) FAIL("bytes cannot be read");
  }
}

const std::string small_container =
    safetensors_text(R"({"__metadata__":{"format":"pt"},)"
                     R"("first":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
                     R"("empty":{"dtype":"I8","shape":[0,9],"data_offsets":[16,16]},)"
                     R"("second":{"dtype":"F16","shape":[5],"data_offsets":[16,26]},)"
                     R"("scalar":{"dtype":"BF16","shape":[],"data_offsets":[26,28]}} )",
                     std::string(28, '\x41'));

}  // namespace

TEST_CASE("unusual but legal headers are read") {
  CHECK(refusal("{}", 0) == "");
  CHECK(refusal("{ } \n\t  ", 0) == "");
  CHECK(refusal(R"({"__metadata__":{}})", 0) == "");
  CHECK(refusal(R"({"a":)" + good + "}", 4) == "");
  CHECK(refusal(R"({"b":)" + tensor("U8", "[2]", "[4,6]") + R"(,"a":)" + good + "}", 6) == "");
  CHECK(refusal(R"({"a":)" + tensor("F64", "[0,18446744073709551615]", "[0,0]") + "}", 0) == "");
  CHECK(refusal(R"({"a":)" + tensor("F64", "[]", "[0,8]") + "}", 8) == "");
}

TEST_CASE("tensors come in the order of their bytes") {
  const TemporaryFolder folder;
  const std::string header = R"({"late":)" + tensor("U8", "[2]", "[4,6]") + R"(,"none":)" +
                             tensor("U8", "[0]", "[4,4]") + R"(,"early":)" + good + "}";
  write_text(folder / "f", safetensors_text(header, "abcdef"));
  const SafetensorsFile file(folder / "f");
  REQUIRE(file.tensors().size() == 3);
  CHECK(file.tensors()[0].name == "early");
  CHECK(file.tensors()[1].name == "none");
  CHECK(file.tensors()[2].name == "late");
  CHECK(std::memcmp(file.at("late").bytes.data(), "ef", 2) == 0);
}

TEST_CASE("a header whose length lies") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "f";
  const auto with_length = [&](std::uint64_t length) {
    std::string text = small_container;
    std::memcpy(text.data(), &length, sizeof length);
    write_text(path, text);
    const std::string message = refusal(path);
    CHECK(message.find(path.string() + ": ") == 0);
    return message;
  };
  CHECK(contains(with_length(0), "length at byte 0 is 0"));
  CHECK(contains(with_length(small_container.size() - 7), "follow"));
  CHECK(contains(with_length(UINT64_MAX), "18446744073709551615"));
  CHECK(contains(with_length(20), "no valid JSON at its byte"));
  const std::uint64_t too_long = 100'000'001;
  std::filesystem::resize_file(path, 8 + too_long);  // a sparse file
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary)
      .write(reinterpret_cast<const char*>(&too_long), sizeof too_long);
  CHECK(contains(refusal(path), "more than the format allows"));
}

TEST_CASE("headers that are not of the form") {
  struct Case {
    std::string header;
    std::string part;
  };
  const std::string a = R"({"a":)";
  const std::vector<Case> cases{
      {"[]", "not a JSON object"},
      {" {}", "not a JSON object"},
      {"\xef\xbb\xbf{}", "not a JSON object"},
      {"{} {}", "no valid JSON at its byte 4"},
      {"{},", "no valid JSON"},
      {"{", "no valid JSON"},
      {R"({"a":1e999})", "no valid JSON"},
      {std::string("{}\0junk", 7), "zero byte at byte 2"},
      {"{\"a\xff\":" + good + "}", "no valid JSON"},
      {"{\"a\xc0\x80\":" + good + "}", "no valid JSON"},
      {R"({"\ud800":)" + good + "}", "no valid JSON"},
      {R"({"":)" + good + "}", "name is empty"},
      {a + good + R"(,"a":)" + good + "}", "overlap 'a'"},
      {a + "null}", "tensor 'a': null"},
      {a + "true}", "tensor 'a'"},
      {a + "5}", "tensor 'a'"},
      {a + "[]}", "tensor 'a': an array"},
      {a + "\"text\"}", "tensor 'a'"},
      {a + "{}}", "tensor 'a': 'dtype' is missing"},
      {a + R"({"dtype":"U8","data_offsets":[0,4]}})", "tensor 'a': 'shape' is missing"},
      {a + R"({"dtype":"U8","shape":[4]}})", "tensor 'a': 'data_offsets' is missing"},
      {a + R"({"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
       "tensor 'a': the key 'dtype' occurs twice"},
      {a + R"({"dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4]}})", "'shape' occurs"},
      {a + R"({"dtype":"U8","shape":[4],"data_offsets":[0,4],"data_offsets":[0,4]}})",
       "'data_offsets' occurs twice"},
      {a + R"({"type":"U8"}})", "tensor 'a': unknown key 'type'"},
      {a + tensor("F31", "[4]", "[0,4]") + "}", "tensor 'a': unknown dtype 'F31'"},
      {a + tensor("", "[4]", "[0,4]") + "}", "tensor 'a': unknown dtype ''"},
      {a + R"({"dtype":8,"shape":[4],"data_offsets":[0,4]}})", "tensor 'a': 'dtype' holds"},
      {a + R"({"dtype":["U8"],"shape":[4],"data_offsets":[0,4]}})", "'dtype' holds an array"},
      {a + tensor("U8", "[-4]", "[0,4]") + "}", "'shape' holds the negative number -4"},
      {a + tensor("U8", "[4.0]", "[0,4]") + "}", "'shape' holds the number '4.0'"},
      {a + tensor("U8", "[4e0]", "[0,4]") + "}", "'shape' holds the number '4e0'"},
      {a + tensor("U8", "[\"4\"]", "[0,4]") + "}", "'shape' holds the string"},
      {a + tensor("U8", "[[4]]", "[0,4]") + "}", "'shape' holds an array"},
      {a + tensor("U8", "[{}]", "[0,4]") + "}", "'shape' holds an object"},
      {a + tensor("U8", "4", "[0,4]") + "}", "'shape' holds the number 4"},
      {a + tensor("U8", "[18446744073709551616]", "[0,4]") + "}", "'shape' holds the number"},
      {a + tensor("U8", "[4]", "[-1,3]") + "}", "'data_offsets' holds the negative number -1"},
      {a + tensor("U8", "[4]", "[0,4.5]") + "}", "'data_offsets' holds the number '4.5'"},
      {a + tensor("U8", "[4]", "[4]") + "}", "'data_offsets' has 1 numbers"},
      {a + tensor("U8", "[4]", "[0,4,4]") + "}", "'data_offsets' has 3 numbers"},
      {R"({"__metadata__":{"k":1},"a":)" + good + "}", "'__metadata__': 'k' holds the number 1"},
      {R"({"__metadata__":{"k":{}},"a":)" + good + "}", "'__metadata__': 'k' holds an object"},
      {R"({"__metadata__":{"k":"1","k":"2"},"a":)" + good + "}", "'k' occurs twice"},
      {R"({"__metadata__":{},"__metadata__":{},"a":)" + good + "}", "occurs twice"},
      {R"({"__metadata__":"x","a":)" + good + "}", "'__metadata__'"},
      {R"({"a\u001b[2J":)" + tensor("F31", "[4]", "[0,4]") + "}", "tensor 'a\\x1b[2J'"},
  };
  for (const Case& hostile : cases) {
    const std::string message = refusal(hostile.header, 4);
    CAPTURE(hostile.header);
    CAPTURE(message);
    CHECK(contains(message, hostile.part));
    CHECK(contains(message, "; "));
  }
}

TEST_CASE("offsets and shapes that do not fit") {
  const std::string a = R"({"a":)";
  const auto one = [&](const char* type, const char* shape, const char* offsets) {
    const std::string message = refusal(a + tensor(type, shape, offsets) + "}", 4);
    CHECK(contains(message, "tensor 'a': "));
    return message;
  };
  CHECK(contains(one("U8", "[4]", "[4,0]"), "reversed"));
  CHECK(contains(one("U8", "[5]", "[0,5]"), "beyond the file"));
  CHECK(contains(one("U8", "[4]", "[18446744073709551611,18446744073709551615]"), "beyond"));
  CHECK(contains(one("U8", "[3]", "[0,4]"), "do not fit its shape"));
  CHECK(contains(one("F16", "[4]", "[0,4]"), "do not fit its shape"));
  CHECK(contains(one("U8", "[0]", "[0,4]"), "do not fit its shape"));
  CHECK(contains(one("U8", "[4294967296,4294967296]", "[0,0]"), "overflow"));
  CHECK(contains(one("F32", "[4611686018427387905]", "[0,4]"), "overflow"));
  CHECK(contains(one("U8", "[3]", "[1,4]"), "hole"));
  CHECK(contains(refusal(a + tensor("U8", "[3]", "[0,3]") + "}", 4), "belong to no tensor"));

  const auto two = [&](const char* shape, const char* offsets) {
    const std::string message =
        refusal(R"({"x":)" + good + R"(,"y":)" + tensor("U8", shape, offsets) + "}", 8);
    CHECK(contains(message, "tensor 'y': "));
    return message;
  };
  CHECK(contains(two("[5]", "[3,8]"), "overlap 'x'"));
  CHECK(contains(two("[0]", "[2,2]"), "overlap 'x'"));
  CHECK(contains(two("[3]", "[5,8]"), "hole from 4"));
}

TEST_CASE("a name that occurs twice") {
  const std::string header = R"({"x":)" + good + R"(,"x":)" + tensor("U8", "[4]", "[4,8]") + "}";
  CHECK(contains(refusal(header, 8), "tensor 'x': the name occurs twice"));
}

TEST_CASE("depth and numbers without end are refused at once") {
  const std::size_t depth = 1'000'000;
  CHECK(contains(refusal(R"({"a":)" + std::string(depth, '['), 4), "tensor 'a': an array"));
  std::string objects;
  for (std::size_t i = 0; i < depth / 10; ++i) objects += R"({"a":)";
  CHECK(contains(refusal(objects, 4), "unknown key 'a'"));
  std::string shape = "[1";
  for (std::size_t i = 0; i < 100; ++i) shape += ",1";
  const std::string header = R"({"a":)" + tensor("U8", shape + "]", "[0,1]") + "}";
  CHECK(contains(refusal(header, 1), "more than 64"));
}

TEST_CASE("things that are no files") {
  const TemporaryFolder folder;
  const auto named = [&](const std::filesystem::path& path) {
    const std::string message = refusal(path);
    CAPTURE(message);
    CHECK(message.find(path.string() + ": ") == 0);
    CHECK(contains(message, "; "));
    return message;
  };
  SUBCASE("missing") {
    named(folder / "absent");
  }
  SUBCASE("empty") {
    write_text(folder / "empty", "");
    CHECK(contains(named(folder / "empty"), "empty"));
  }
  SUBCASE("folder") {
    CHECK(contains(named(folder.path()), "folder"));
  }
  SUBCASE("named pipe") {
    REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
    CHECK(contains(named(folder / "pipe"), "regular"));
  }
  SUBCASE("unreadable") {
    if (::geteuid() == 0) return;  // to whom nothing is forbidden
    write_text(folder / "secret", small_container);
    REQUIRE(::chmod((folder / "secret").c_str(), 0) == 0);
    named(folder / "secret");
  }
}

TEST_CASE("a file cut at any byte is refused") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "cut";
  write_text(path, small_container);
  REQUIRE(refusal(path) == "");
  for (std::size_t size = small_container.size(); size-- > 0;) {
    std::filesystem::resize_file(path, size);
    const std::string message = refusal(path);
    if (message.find(path.string() + ": ") != 0) FAIL("accepted or not named at byte ", size);
  }
  write_text(path, small_container + "x");
  CHECK(contains(refusal(path), "belong to no tensor"));
}

TEST_CASE("no change of a header's byte leads outside the file") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "flipped";
  const std::string values = std::string(R"( "{}[]0189-+.,:\eE_)") + "\n\x7f\x80\xff" + '\0';
  const auto [accepted, refused] =
      change_every_byte(path, small_container, small_container.size() - 28, values, [&] {
        const SafetensorsFile changed(path);
        check_bounds(changed);
      });
  CHECK(refusal(path) == "");
  CHECK(accepted > 0);  // letters of names
  CHECK(refused > 5 * accepted);
}
