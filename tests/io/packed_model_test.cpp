#include <nash_swarm/io/packed_model.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/matmul.hpp>
#include <nash_swarm/rounding/nearest.hpp>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io/support.hpp"
#include "support/lcg.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

namespace {

using nash_swarm::CellMap;
using nash_swarm::DataType;
using nash_swarm::Error;
using nash_swarm::FormatId;
using nash_swarm::InputBasis;
using nash_swarm::MatrixPlan;
using nash_swarm::OtherTensor;
using nash_swarm::PackedMatrix;
using nash_swarm::PackedModelFile;
using nash_swarm::test::contains;
using nash_swarm::test::message_of;
using nash_swarm::test::read_text;
using nash_swarm::test::TemporaryFolder;
using nash_swarm::test::write_text;
using support::serial;
using Json = nlohmann::json;
using Path = std::filesystem::path;

/// Three small matrices: "q" and "k" read one rotated basis, "down" one that is permuted too. The
/// rows of "q" are in an order.
/// Beside them stand a tensor of floats and a document.
struct SmallModel {
  std::vector<MatrixPlan> plans;
  std::map<std::string, support::Row> weights;
  std::vector<float> bias = {1.0f, -2.5f, 3.0f};
  std::string document = "{\"layers\":1}";

  SmallModel() {
    const auto shared = std::make_shared<const InputBasis>("input", 64, 64, 11);
    const auto permuted = std::make_shared<const InputBasis>("down.input", 70, 128, 12,
                                                             support::random_permutation(70, 3));
    add("q", 20, shared, {2, 3});
    add("k", 16, shared, {0});
    add("down", 5, permuted, {8, 2});
    plans[0].order = support::random_row_order(20, 4);
  }

  /// @param formats of the blocks, in turn
  void add(const std::string& name, std::size_t out, const std::shared_ptr<const InputBasis>& basis,
           const std::vector<int>& formats) {
    CellMap cells(nash_swarm::panel_count(out), nash_swarm::block_count(basis->in_features()),
                  FormatId{0});
    std::size_t next = 0;
    for (std::size_t p = 0; p < cells.panels(); ++p) {
      for (std::size_t b = 0; b < cells.blocks(); ++b) {
        cells(p, b) = static_cast<FormatId>(formats[next++ % formats.size()]);
      }
    }
    plans.push_back({name, out, basis->in_features(), basis, std::move(cells)});
    weights[name] = support::random_inputs(out, basis->in_features(), 100 + plans.size());
  }

  std::vector<OtherTensor> others() const {
    return {{{"bias", DataType::F32, {3}},
             [this](const OtherTensor::Sink& sink) { sink(std::as_bytes(std::span(bias))); }},
            {{"config.json", DataType::U8, {document.size()}},
             [this](const OtherTensor::Sink& sink) { sink(std::as_bytes(std::span(document))); }}};
  }

  template <class E>
  PackedMatrix pack(const MatrixPlan& plan, E& executor) const {
    return nash_swarm::round_matrix(
        plan.name, support::rows_of(weights.at(plan.name), plan.in_features), plan.basis,
        plan.cells, nash_swarm::PanelFeedback(), executor, plan.order);
  }

  template <class E>
  void write(const Path& target, E& executor) const {
    nash_swarm::write_packed_model(target, plans, others(),
                                   [&](const MatrixPlan& plan) { return pack(plan, executor); });
  }
};

std::string small_file() {
  const TemporaryFolder folder;
  SmallModel().write(folder / "model", serial);
  return read_text(folder / "model");
}

std::size_t header_bytes(const std::string& file) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  return sizeof length + static_cast<std::size_t>(length);
}

/// Opens a file that may be damaged and, if it opens, uses all of it.
/// @return the message of the Error, empty if it opened
std::string use(const Path& path) {
  return message_of([&] {
    const PackedModelFile file(path);
    REQUIRE(file.sizes().matrix_bytes + file.sizes().other_bytes == file.sizes().file_bytes);
    for (const PackedMatrix& matrix : file.matrices()) {
      REQUIRE(matrix.in_features() <= 1000);
      support::multiply(matrix, support::random_inputs(1, matrix.in_features(), 5));
    }
  });
}

/// The file after `edit` has changed its header, its manifest or its data.
using Edit = std::function<void(Json& header, Json& manifest, std::string& data)>;
std::string edited(const std::string& file, const Edit& edit) {
  const std::size_t begin = header_bytes(file);
  Json header = Json::parse(file.substr(8, begin - 8));
  std::string data = file.substr(begin);
  Json& stored = header["__metadata__"]["nash_swarm.manifest"];
  Json manifest = Json::parse(stored.get<std::string>());
  edit(header, manifest, data);
  if (header["__metadata__"].contains("nash_swarm.manifest") && stored.is_string()) {
    stored = manifest.dump();
  }
  return nash_swarm::test::safetensors_text(header.dump(), data);
}

/// Gives "q" other rows and another run table, of as many bytes; its former ones stay as tensors of
/// other names, so that the file has no holes.
void replace_rows(Json& header, std::string& data, std::size_t rows, std::size_t table) {
  header["former scales"] = header["q.row_scales"];
  header["former table"] = header["q.run_table"];
  const std::size_t begin = data.size();
  data.append(2 * rows + table, '\0');
  header["q.row_scales"] = {
      {"dtype", "BF16"}, {"shape", {rows}}, {"data_offsets", {begin, begin + 2 * rows}}};
  header["q.run_table"] = {
      {"dtype", "U8"}, {"shape", {table}}, {"data_offsets", {begin + 2 * rows, data.size()}}};
}

char* data_of(const Json& header, std::string& data, const char* tensor) {
  return data.data() + header.at(tensor).at("data_offsets").at(0).get<std::size_t>();
}

}  // namespace

TEST_CASE("packed model: what is not as planned is refused, and nothing is left") {
  const TemporaryFolder folder;
  SmallModel model;
  const auto message = [&](const auto& pack, std::vector<OtherTensor> others) {
    const std::string text = message_of(
        [&] { nash_swarm::write_packed_model(folder / "model", model.plans, others, pack); });
    CHECK(std::filesystem::is_empty(folder.path()));
    return text;
  };
  const auto as_planned = [&](const MatrixPlan& plan) { return model.pack(plan, serial); };
  const std::string other_matrix =
      ": another matrix was given than the planned one; pack the matrix of this name by its plan";
  // q and k read one input, but have other rows and formats.
  CHECK(message([&](const MatrixPlan&) { return model.pack(model.plans[1], serial); },
                model.others()) == "q" + other_matrix);
  CHECK(message([](const MatrixPlan&) { return PackedMatrix(); }, model.others()) ==
        "q" + other_matrix);
  CHECK(message(std::function<PackedMatrix(const MatrixPlan&)>(), model.others())
            .ends_with("model: no function that packs a matrix"));
  std::vector<OtherTensor> others = model.others();
  others[0].write = [&](const OtherTensor::Sink& sink) {
    sink(std::as_bytes(std::span(model.bias)).first(8));
  };
  CHECK(message(as_planned, others) == "bias: 8 bytes were written for a tensor of 12");
  others[0].write = nullptr;
  CHECK(message(as_planned, others) == "bias: no function that writes the tensor");
  model.plans[1].name = "\xff\xfe";
  CHECK(message(as_planned, model.others())
            .ends_with("the text is not valid UTF-8; encode it as UTF-8"));
}

TEST_CASE("packed model: what is read back multiplies to the same bits") {
  const TemporaryFolder folder;
  const SmallModel model;
  model.write(folder / "model", serial);
  CHECK(folder.entries() == 1);
  const PackedModelFile file(folder / "model");
  REQUIRE(file.matrices().size() == 3);
  for (const MatrixPlan& plan : model.plans) {
    CAPTURE(plan.name);
    const PackedMatrix* stored = file.find_matrix(plan.name);
    REQUIRE(stored != nullptr);
    const PackedMatrix fresh = model.pack(plan, serial);
    CHECK(stored->cells() == plan.cells);
    CHECK(stored->row_order() == plan.order);
    CHECK(stored->basis().permutation() == plan.basis->permutation());
    const support::Row x = support::random_inputs(3, plan.in_features, 17);
    CHECK(support::bits_of(support::multiply(*stored, x)) ==
          support::bits_of(support::multiply(fresh, x)));
  }
  CHECK_FALSE(file.find_matrix("q")->row_order().natural());
  CHECK(file.find_matrix("q")->shared_basis() == file.find_matrix("k")->shared_basis());
  CHECK(file.find_matrix("q")->shared_basis() != file.find_matrix("down")->shared_basis());
  CHECK(file.find_matrix("v") == nullptr);
  CHECK(file.document("config.json") == model.document);
  CHECK_THROWS_AS(file.document("vocab.json"), Error);
  std::vector<float> bias(3);
  nash_swarm::read_floats(file.file().at("bias"), 0, bias);
  CHECK(bias == model.bias);
}

TEST_CASE("packed model: matrices outlive the file object") {
  const TemporaryFolder folder;
  SmallModel().write(folder / "model", serial);
  auto file = std::make_unique<PackedModelFile>(folder / "model");
  const PackedMatrix kept = *file->find_matrix("down");
  const support::Row x = support::random_inputs(1, kept.in_features(), 3);
  const support::Row before = support::multiply(kept, x);
  file.reset();
  CHECK(support::bits_of(support::multiply(kept, x)) == support::bits_of(before));
}

TEST_CASE("packed model: sizes are known before packing and equal those of the file") {
  const TemporaryFolder folder;
  const SmallModel model;
  const nash_swarm::PackedModelSizes planned =
      nash_swarm::packed_model_sizes(model.plans, model.others());
  model.write(folder / "model", serial);
  const PackedModelFile file(folder / "model");
  std::uint64_t matrix_bytes = 8 + 8 + 2 * 70;  // two seeds and one permutation of 16 bits
  for (const MatrixPlan& plan : model.plans)
    matrix_bytes += model.pack(plan, serial).stored_bytes();
  for (const nash_swarm::PackedModelSizes& sizes : {planned, file.sizes()}) {
    CHECK(sizes.file_bytes == std::filesystem::file_size(folder / "model"));
    CHECK(sizes.matrix_bytes == matrix_bytes);
    CHECK(sizes.matrix_bytes + sizes.other_bytes == sizes.file_bytes);
  }
  CHECK(file.file().at("down.input.permutation").type == DataType::U16);
}

TEST_CASE("packed model: the bytes do not depend on the run or on the threads") {
  const TemporaryFolder folder;
  nash_swarm::ThreadPool one(1);
  nash_swarm::ThreadPool two(2);
  SmallModel().write(folder / "serial", serial);
  SmallModel().write(folder / "again", serial);
  SmallModel().write(folder / "one", one);
  SmallModel().write(folder / "two", two);
  const std::string expected = read_text(folder / "serial");
  CHECK(read_text(folder / "again") == expected);
  CHECK(read_text(folder / "one") == expected);
  CHECK(read_text(folder / "two") == expected);
}

TEST_CASE("packed model: codes are aligned to 64 bytes in the file, the rest to its elements") {
  const TemporaryFolder folder;
  SmallModel().write(folder / "model", serial);
  const PackedModelFile file(folder / "model");
  const std::size_t begin = header_bytes(read_text(folder / "model"));
  CHECK(begin % 64 == 0);
  for (const nash_swarm::StoredTensor& tensor : file.file().tensors()) {
    CAPTURE(tensor.name);
    const auto address = reinterpret_cast<std::uintptr_t>(tensor.bytes.data());
    const std::size_t alignment =
        tensor.name.ends_with(".codes") ? 64 : nash_swarm::size_of(tensor.type);
    CHECK(address % alignment == 0);
  }
}

TEST_CASE("packed model: a failure while packing leaves nothing") {
  const TemporaryFolder folder;
  SmallModel model;
  model.weights["k"][70] = std::numeric_limits<float>::infinity();
  CHECK(contains(message_of([&] { model.write(folder / "model", serial); }),
                 "k: infinity at [1, 6]"));
  CHECK(folder.entries() == 0);
}

TEST_CASE("packed model: names that occur twice are refused before anything is written") {
  const TemporaryFolder folder;
  SmallModel twice;
  twice.plans.push_back(twice.plans.front());
  CHECK(contains(message_of([&] { twice.write(folder / "model", serial); }), "q"));
  SmallModel bases;
  bases.add("v", 4, std::make_shared<const InputBasis>("input", 32, 0, 0), {2});
  CHECK(contains(message_of([&] { bases.write(folder / "model", serial); }), "input"));
  CHECK(folder.entries() == 0);
}

TEST_CASE("packed model: a later version and other files are refused by name") {
  const TemporaryFolder folder;
  const Path path = folder / "model";
  const std::string file = small_file();
  const auto message = [&](const Edit& edit) {
    write_text(path, edited(file, edit));
    return use(path);
  };
  const std::string later = message([](Json& header, Json&, std::string&) {
    header["__metadata__"]["nash_swarm.version"] = "5";
  });
  CHECK(contains(later, path.string()));
  CHECK(contains(later, "version '5'"));
  CHECK(contains(message([](Json& header, Json&, std::string&) {
                   header["__metadata__"].erase("nash_swarm.version");
                 }),
                 "not a packed model"));
  CHECK(contains(message([](Json& header, Json&, std::string&) {
                   header["__metadata__"].erase("nash_swarm.manifest");
                 }),
                 "the manifest is missing"));
  CHECK(message([](Json&, Json&, std::string&) {}).empty());
}

TEST_CASE("packed model: truncation at any byte is an error") {
  const TemporaryFolder folder;
  const Path path = folder / "model";
  const std::string file = small_file();
  write_text(path, file);
  REQUIRE(use(path).empty());
  for (std::size_t size = file.size(); size-- > 0;) {
    std::filesystem::resize_file(path, size);
    const std::string message = use(path);
    CAPTURE(size);
    REQUIRE(contains(message, path.string()));
  }
}

TEST_CASE("packed model: a flipped bit in the header is an error or a model that can be used") {
  const TemporaryFolder folder;
  const Path path = folder / "model";
  const std::string file = small_file();
  write_text(path, file);
  std::fstream stream(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto put = [&](std::size_t place, char byte) {
    stream.seekp(static_cast<std::streamoff>(place));
    stream.put(byte);
    stream.flush();
  };
  std::size_t errors = 0;
  const std::size_t header = header_bytes(file);
  for (std::size_t place = 0; place < header; ++place) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      put(place, static_cast<char>(static_cast<unsigned char>(file[place]) ^ (1u << bit)));
      const std::string message = use(path);
      CAPTURE(place);
      CAPTURE(bit);
      CAPTURE(message);
      if (!message.empty()) REQUIRE(contains(message, path.string()));
      if (!message.empty()) ++errors;
    }
    put(place, file[place]);
  }
  CHECK(errors > 4 * header);
  CHECK(use(path).empty());
}

TEST_CASE("packed model: a manifest that lies") {
  struct Lie {
    const char* about;
    const char* expected;
    Edit edit;
  };
  // q and k read basis 0, "input"; down reads basis 1, "down.input".
  const std::vector<Lie> lies = {
      {"unknown basis", "'q'",
       [](Json&, Json& m, std::string&) { m["matrices"][0]["basis"] = "nobody"; }},
      {"basis twice", "'input'",
       [](Json&, Json& m, std::string&) { m["bases"].push_back(m["bases"][0]); }},
      {"matrix twice", "'q'",
       [](Json&, Json& m, std::string&) { m["matrices"].push_back(m["matrices"][0]); }},
      {"no such matrix", "v.run_table",
       [](Json&, Json& m, std::string&) { m["matrices"][0]["name"] = "v"; }},
      {"no channels", "'input'",
       [](Json&, Json& m, std::string&) { m["bases"][0]["in_features"] = 0; }},
      {"2^63 channels", "'input'",
       [](Json&, Json& m, std::string&) { m["bases"][0]["in_features"] = std::uint64_t{1} << 63; }},
      {"2^64 - 1 channels", "'input'",
       [](Json&, Json& m, std::string&) { m["bases"][0]["in_features"] = ~std::uint64_t{0}; }},
      {"2^32 - 1 channels", "'input'",
       [](Json&, Json& m, std::string&) { m["bases"][0]["in_features"] = 0xffffffffu; }},
      {"2^25 channels", "'input'",
       [](Json&, Json& m, std::string&) { m["bases"][0]["in_features"] = 1u << 25; }},
      {"more blocks than runs", "'q'",
       [](Json&, Json& m, std::string&) { m["bases"][0]["in_features"] = 1u << 19; }},
      {"more panels than bytes of the run table", "'q': run table of 149 bytes for 150 panels",
       [](Json& h, Json&, std::string& data) { replace_rows(h, data, 16 * 150, 149); }},
      {"more blocks than bytes, and than a small file is let off",
       "'q': impossible number of blocks",
       [](Json& h, Json& m, std::string& data) {
         replace_rows(h, data, 16 * 150, 150);
         m["bases"][0]["in_features"] = 1u << 19;
       }},
      {"channels as a string", "manifest",
       [](Json&, Json& m, std::string&) { m["bases"][0]["in_features"] = "64"; }},
      {"negative channels", "manifest",
       [](Json&, Json& m, std::string&) { m["bases"][0]["in_features"] = -64; }},
      {"channels with a fraction", "manifest",
       [](Json&, Json& m, std::string&) { m["bases"][0]["in_features"] = 64.5; }},
      {"one channel more", "permutation",
       [](Json&, Json& m, std::string&) { m["bases"][1]["in_features"] = 71; }},
      {"one block more", "'q'",
       [](Json&, Json& m, std::string&) { m["bases"][0]["in_features"] = 128; }},
      {"rotation as a string", "manifest",
       [](Json&, Json& m, std::string&) { m["bases"][0]["rotation_block"] = "64"; }},
      {"rotation that does not divide", "'input'",
       [](Json&, Json& m, std::string&) { m["bases"][0]["rotation_block"] = 128; }},
      {"unknown rotation", "'input'",
       [](Json&, Json& m, std::string&) { m["bases"][0]["rotation_block"] = 32; }},
      {"permuted without a permutation", "input.permutation",
       [](Json&, Json& m, std::string&) { m["bases"][0]["permuted"] = true; }},
      {"permuted as a number", "manifest",
       [](Json&, Json& m, std::string&) { m["bases"][0]["permuted"] = 0; }},
      {"an order without its tensor", "k.row_order",
       [](Json&, Json& m, std::string&) { m["matrices"][1]["ordered"] = true; }},
      {"ordered as a number", "manifest",
       [](Json&, Json& m, std::string&) { m["matrices"][0]["ordered"] = 1; }},
      {"ordered is missing", "manifest",
       [](Json&, Json& m, std::string&) { m["matrices"][1].erase("ordered"); }},
      {"a panel with a row too many", "'q': row order, row ",
       [](Json& h, Json&, std::string& data) { *data_of(h, data, "q.row_order") ^= 1; }},
      {"bits beyond the order", "'q': row order: bits are left over",
       [](Json& h, Json&, std::string& data) {
         *(data_of(h, data, "q.row_order") + 2) = static_cast<char>(0x80);
       }},
      {"order of another type", "q.row_order",
       [](Json& h, Json&, std::string&) { h["q.row_order"]["dtype"] = "I8"; }},
      {"orders of two matrices exchanged", "'k': row order: 3 bytes for 16 rows",
       [](Json& h, Json& m, std::string&) {
         m["matrices"][1]["ordered"] = true;
         m["matrices"][0]["ordered"] = false;
         h["k.row_order"] = h["q.row_order"];
         h.erase("q.row_order");
       }},
      {"a key is missing", "manifest",
       [](Json&, Json& m, std::string&) { m["bases"][0].erase("rotation_block"); }},
      {"bases are a number", "manifest", [](Json&, Json& m, std::string&) { m["bases"] = 7; }},
      {"the manifest is a list", "manifest",
       [](Json&, Json& m, std::string&) { m = Json::array(); }},
      {"a missing seed", "input.sign_seed",
       [](Json& h, Json&, std::string&) {
         h["another"] = h["input.sign_seed"];
         h.erase("input.sign_seed");
       }},
      {"two seeds", "input.sign_seed",
       [](Json& h, Json&, std::string&) {
         h["input.sign_seed"]["shape"] = {1, 1};
       }},
      {"seed of another type", "input.sign_seed",
       [](Json& h, Json&, std::string&) { h["input.sign_seed"]["dtype"] = "I64"; }},
      {"scales of another type", "q.row_scales",
       [](Json& h, Json&, std::string&) { h["q.row_scales"]["dtype"] = "F16"; }},
      {"codes of another type", "q.codes",
       [](Json& h, Json&, std::string&) { h["q.codes"]["dtype"] = "I8"; }},
      {"a matrix of scales", "q.row_scales",
       [](Json& h, Json&, std::string&) {
         h["q.row_scales"]["shape"] = {4, 5};
       }},
      {"tensors of two matrices exchanged", "'q'",
       [](Json& h, Json&, std::string&) { std::swap(h["q.codes"], h["down.codes"]); }},
      {"scales of two matrices exchanged", "'q'",
       [](Json& h, Json&, std::string&) { std::swap(h["q.row_scales"], h["down.row_scales"]); }},
      {"an unknown format", "unknown format 7",
       [](Json& h, Json&, std::string& data) {
         *data_of(h, data, "q.run_table") = static_cast<char>(0x87);
       }},
      {"a run beyond the panel", "end inside the panel",
       [](Json& h, Json&, std::string& data) { *data_of(h, data, "q.run_table") &= 0x7f; }},
      {"a format of another size", "bytes of codes",
       [](Json& h, Json&, std::string& data) {
         *data_of(h, data, "q.run_table") = static_cast<char>(0x83);
       }},
      {"infinite scale", "row scale 3 is not finite",
       [](Json& h, Json&, std::string& data) {
         std::memcpy(data_of(h, data, "q.row_scales") + 6, "\x80\x7f", 2);
       }},
      {"a channel used twice", "permutation entry 1",
       [](Json& h, Json&, std::string& data) {
         char* permutation = data_of(h, data, "down.input.permutation");
         std::memcpy(permutation + 2, permutation, 2);
       }},
  };
  const TemporaryFolder folder;
  const Path path = folder / "model";
  const std::string file = small_file();
  for (const Lie& lie : lies) {
    CAPTURE(lie.about);
    write_text(path, edited(file, lie.edit));
    const std::string message = use(path);
    CAPTURE(message);
    CHECK(contains(message, path.string()));
    CHECK(contains(message.substr(std::min(message.size(), path.string().size())), lie.expected));
  }
}

TEST_CASE("packed model: a run table that is too short") {
  const TemporaryFolder folder;
  const Path path = folder / "model";
  // The last byte of the table goes to a tensor of its own, so that the file stays without holes.
  write_text(path, edited(small_file(), [](Json& header, Json&, std::string&) {
               Json& table = header["q.run_table"];
               const std::size_t end = table["data_offsets"][1].get<std::size_t>();
               table["data_offsets"][1] = end - 1;
               table["shape"][0] = table["shape"][0].get<std::size_t>() - 1;
               header["rest"] = {{"dtype", "U8"}, {"shape", {1}}, {"data_offsets", {end - 1, end}}};
             }));
  const std::string message = use(path);
  CHECK(contains(message, path.string()));
  CHECK(contains(message, "'q': run table"));
}
