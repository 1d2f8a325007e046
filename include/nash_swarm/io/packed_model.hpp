#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/format/matrix_plan.hpp>
#include <nash_swarm/io/json_text.hpp>
#include <nash_swarm/io/safetensors_reader.hpp>
#include <nash_swarm/io/safetensors_writer.hpp>

/// The packed model file: a safetensors file, so that other tools can list it.
///
///     NAME.codes        U8 [bytes]   the panels of the matrix NAME, see PackedMatrix
///     NAME.row_scales   BF16 [out]
///     NAME.run_table    U8 [bytes]   see CellMap
///     NAME.row_order    U8 [bytes]   see RowOrder; if the rows are not in their natural order
///     BASIS.sign_seed   U64 [1]      if the basis is rotated
///     BASIS.permutation U16|U32 [in] if it permutes its channels
///     everything else                tensors and documents (U8) under their own names
///
/// `__metadata__` holds the version and a manifest in JSON that says which matrix reads which
/// basis and whether its rows are ordered. Tensors are ordered so that each is aligned to its
/// element, the codes to 64 bytes.
namespace nash_swarm {

inline constexpr int packed_model_version = 4;

/// A tensor or a document that is stored beside the matrices, written piece by piece.
struct OtherTensor {
  using Sink = std::function<void(std::span<const std::byte>)>;
  TensorSpec spec;
  std::function<void(const Sink&)> write;
};

/// All-in sizes of a packed model file: matrix_bytes + other_bytes = file_bytes.
struct PackedModelSizes {
  std::uint64_t matrix_bytes = 0;  ///< everything stored for the matrices and their bases
  std::uint64_t other_bytes = 0;   ///< the header, other tensors and documents
  std::uint64_t file_bytes = 0;
};

namespace detail {

inline constexpr std::string_view version_key = "nash_swarm.version";
inline constexpr std::string_view manifest_key = "nash_swarm.manifest";

inline namespace NASH_SWARM_TARGET {

/// The name.
/// @throws Error if it is none that JSON can hold
inline const std::string& json_name(const std::string& name) {
  static_cast<void>(json_string(name));
  return name;
}

inline std::string manifest_of(const std::vector<MatrixPlan>& matrices) {
  nlohmann::ordered_json manifest = {{"bases", nlohmann::ordered_json::array()},
                                     {"matrices", nlohmann::ordered_json::array()}};
  for (const auto& basis : distinct_bases(matrices)) {
    manifest["bases"].push_back({{"name", json_name(basis->name())},
                                 {"in_features", basis->in_features()},
                                 {"rotation_block", basis->rotation_block()},
                                 {"permuted", !basis->permutation().empty()}});
  }
  for (const MatrixPlan& matrix : matrices) {
    manifest["matrices"].push_back({{"name", json_name(matrix.name)},
                                    {"basis", matrix.basis->name()},
                                    {"ordered", !matrix.order.natural()}});
  }
  return manifest.dump();
}

/// Descending alignment keeps every tensor aligned without holes; codes, whose sizes are multiples
/// of 64, come first.
inline void order_by_alignment(std::vector<TensorSpec>& specs) {
  std::stable_sort(specs.begin(), specs.end(), [](const TensorSpec& a, const TensorSpec& b) {
    return size_of(a.type) > size_of(b.type);
  });
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// The layout of the file, known before anything is packed.
/// @throws Error if two matrices, bases or tensors have one name
inline SafetensorsLayout packed_model_layout(const std::vector<MatrixPlan>& matrices,
                                             const std::vector<OtherTensor>& others) {
  std::vector<TensorSpec> codes;
  std::vector<TensorSpec> rest;
  for (const MatrixPlan& matrix : matrices) {
    codes.push_back({matrix.name + ".codes", DataType::U8, {code_bytes(matrix.cells)}});
    rest.push_back({matrix.name + ".row_scales", DataType::BF16, {matrix.out_features}});
    rest.push_back({matrix.name + ".run_table", DataType::U8, {run_table_bytes(matrix.cells)}});
    if (!matrix.order.natural()) {
      rest.push_back({matrix.name + ".row_order", DataType::U8, {matrix.order.stored_bytes()}});
    }
  }
  std::set<std::string> bases;
  for (const auto& basis : distinct_bases(matrices)) {
    if (!bases.insert(basis->name()).second) {
      throw Error(basis->name(), "two bases have this name", "give every basis a name of its own");
    }
    if (basis->rotation_block() != 0) {
      rest.push_back({basis->name() + ".sign_seed", DataType::U64, {1}});
    }
    if (!basis->permutation().empty()) {
      const bool narrow = InputBasis::permutation_entry_bytes(basis->in_features()) == 2;
      rest.push_back({basis->name() + ".permutation",
                      narrow ? DataType::U16 : DataType::U32,
                      {basis->in_features()}});
    }
  }
  for (const OtherTensor& other : others) rest.push_back(other.spec);
  detail::order_by_alignment(rest);
  codes.insert(codes.end(), rest.begin(), rest.end());
  return SafetensorsLayout(
      std::move(codes), {{"format", "nash_swarm"},
                         {std::string(detail::version_key), std::to_string(packed_model_version)},
                         {std::string(detail::manifest_key), detail::manifest_of(matrices)}});
}

/// All-in sizes of the file, exact before anything is packed.
inline PackedModelSizes packed_model_sizes(const std::vector<MatrixPlan>& matrices,
                                           const std::vector<OtherTensor>& others) {
  PackedModelSizes sizes;
  sizes.matrix_bytes = planned_bytes(matrices);
  sizes.file_bytes = packed_model_layout(matrices, others).file_bytes();
  sizes.other_bytes = sizes.file_bytes - sizes.matrix_bytes;
  return sizes;
}

}  // namespace NASH_SWARM_TARGET

/// A packed model, mapped from its file. Matrices use the mapped bytes in place.
class PackedModelFile {
 public:
  /// @throws Error naming the file and the tensor for a file that is no packed model, is damaged,
  /// or is of another version
  explicit PackedModelFile(const std::filesystem::path& path) : file_(path) {
    check_version();
    const nlohmann::json manifest = parse_manifest();
    try {
      for (const auto& basis : manifest.at("bases")) add_basis(basis);
      for (const auto& matrix : manifest.at("matrices")) add_matrix(matrix);
    } catch (const nlohmann::json::exception&) {
      throw Error(path.string(), "the manifest lacks an entry or has one of the wrong type",
                  remedy);
    } catch (const Error& error) {
      if (error.subject() == path.string()) throw;
      throw Error(path.string(), printable(error.subject()) + ": " + error.problem(),
                  error.remedy().empty() ? remedy : error.remedy());
    }
    count_sizes();
  }

  const SafetensorsFile& file() const noexcept { return file_; }
  const std::vector<PackedMatrix>& matrices() const noexcept { return matrices_; }
  const PackedModelSizes& sizes() const noexcept { return sizes_; }

  /// The matrix of that name, or nullptr.
  const PackedMatrix* find_matrix(std::string_view name) const noexcept {
    const auto found = places_.find(name);
    return found == places_.end() ? nullptr : &matrices_[found->second];
  }

  /// The text of a document, for instance "config.json".
  /// @throws Error naming file and document if there is none
  std::string_view document(std::string_view name) const {
    const std::span<const std::byte> bytes = file_.at(name).bytes;
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  static constexpr const char* remedy =
      "quantize the model again, or use the version that wrote it";

  std::string path() const { return file_.path().string(); }

  void check_version() const {
    const auto found = file_.metadata().find(std::string(detail::version_key));
    if (found == file_.metadata().end()) {
      throw Error(path(),
                  "not a packed model: its metadata have no " + std::string(detail::version_key));
    }
    if (found->second != std::to_string(packed_model_version)) {
      throw Error(path(),
                  "packed model of version " + printable(found->second) + ", this program reads " +
                      std::to_string(packed_model_version),
                  "use the version of the library that wrote it");
    }
  }

  nlohmann::json parse_manifest() const {
    const auto found = file_.metadata().find(std::string(detail::manifest_key));
    if (found == file_.metadata().end()) throw Error(path(), "the manifest is missing", remedy);
    nlohmann::json manifest = nlohmann::json::parse(found->second, nullptr, false);
    if (!manifest.is_object()) throw Error(path(), "the manifest is not a JSON object", remedy);
    return manifest;
  }

  const StoredTensor& part(const std::string& name, DataType type) const {
    const StoredTensor& tensor = file_.at(name);
    if (tensor.type != type || tensor.shape.size() != 1) {
      throw Error(
          path(),
          "tensor " + printable(name) + ": expected one dimension of " + std::string(name_of(type)),
          remedy);
    }
    return tensor;
  }

  std::span<const std::uint8_t> numbers(const std::string& name) const {
    const std::span<const std::byte> bytes = part(name, DataType::U8).bytes;
    return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  }

  std::size_t size_at(const nlohmann::json& object, const char* key) const {
    const nlohmann::json& value = object.at(key);
    if (!value.is_number_unsigned()) {
      throw Error(path(), "the manifest's " + std::string(key) + " is not a number of 0 or more",
                  remedy);
    }
    return value.get<std::size_t>();
  }

  /// A lie about a size must not allocate much more memory than the file takes: 4 bytes for every
  /// channel of a basis, one for every block. Real matrices store far more than a byte for each of
  /// their channels, and 128 or more for each of their blocks, unless nearly all are pruned; so a
  /// small file is let off.
  std::size_t most_channels() const { return file_.file_bytes() + (std::size_t{1} << 20); }
  std::size_t most_blocks() const { return most_channels(); }

  void add_basis(const nlohmann::json& entry) {
    const std::string name = entry.at("name").get<std::string>();
    const std::size_t in_features = size_at(entry, "in_features");
    if (in_features == 0 || in_features > most_channels() - channels_) {
      throw Error(path(), "basis " + printable(name) + ": impossible number of channels", remedy);
    }
    channels_ += in_features;
    const std::size_t rotation = size_at(entry, "rotation_block");
    std::uint64_t seed = 0;
    if (rotation != 0) {
      const StoredTensor& stored = part(name + ".sign_seed", DataType::U64);
      if (stored.bytes.size() != sizeof seed) {
        throw Error(path(), "tensor " + printable(name + ".sign_seed") + ": not one number",
                    remedy);
      }
      std::memcpy(&seed, stored.bytes.data(), sizeof seed);
    }
    std::vector<std::uint32_t> permutation;
    if (entry.at("permuted").get<bool>()) permutation = read_permutation(name, in_features);
    if (!bases_
             .emplace(name, std::make_shared<const InputBasis>(name, in_features, rotation, seed,
                                                               std::move(permutation)))
             .second) {
      throw Error(path(), "basis " + printable(name) + " occurs twice", remedy);
    }
  }

  std::vector<std::uint32_t> read_permutation(const std::string& name,
                                              std::size_t in_features) const {
    const bool narrow = InputBasis::permutation_entry_bytes(in_features) == 2;
    const StoredTensor& stored =
        part(name + ".permutation", narrow ? DataType::U16 : DataType::U32);
    if (stored.shape[0] != in_features) {
      throw Error(path(), "tensor " + printable(name + ".permutation") + ": wrong length", remedy);
    }
    std::vector<std::uint32_t> permutation(in_features);
    for (std::size_t j = 0; j < in_features; ++j) {
      if (narrow) {
        std::uint16_t channel = 0;
        std::memcpy(&channel, stored.bytes.data() + 2 * j, sizeof channel);
        permutation[j] = channel;
      } else {
        std::memcpy(&permutation[j], stored.bytes.data() + 4 * j, 4);
      }
    }
    return permutation;
  }

  void add_matrix(const nlohmann::json& entry) {
    const std::string name = entry.at("name").get<std::string>();
    const auto basis = bases_.find(entry.at("basis").get<std::string>());
    if (basis == bases_.end()) throw Error(path(), "matrix " + printable(name) + ": unknown basis");
    if (!places_.emplace(name, matrices_.size()).second) {
      throw Error(path(), "matrix " + printable(name) + " occurs twice", remedy);
    }
    PackedMatrix::Parts parts;
    parts.name = name;
    parts.basis = basis->second;
    parts.run_table = numbers(name + ".run_table");
    parts.codes = part(name + ".codes", DataType::U8).bytes;
    if (entry.at("ordered").get<bool>()) {
      parts.row_order = numbers(name + ".row_order");
      if (parts.row_order.empty()) {
        throw Error(path(), "tensor " + printable(name + ".row_order") + ": empty", remedy);
      }
    }
    parts.row_scales = row_scales(part(name + ".row_scales", DataType::BF16), parts.storage);
    parts.out_features = parts.row_scales.size();
    const std::size_t panels = panel_count(parts.out_features);
    const std::size_t blocks = basis->second->padded_features() / block_channels;
    if (panels > parts.run_table.size()) {  // each takes a byte or more
      throw Error(path(),
                  printable(name) + ": run table of " + std::to_string(parts.run_table.size()) +
                      " bytes for " + std::to_string(panels) + " panels",
                  remedy);
    }
    if (panels > (most_blocks() - blocks_) / blocks) {
      throw Error(path(), "matrix " + printable(name) + ": impossible number of blocks", remedy);
    }
    blocks_ += panels * blocks;
    matrices_.emplace_back(std::move(parts));
  }

  /// In place where the file is aligned, else a copy; `storage` keeps alive what is used.
  std::span<const BFloat16> row_scales(const StoredTensor& tensor,
                                       std::shared_ptr<const void>& storage) const {
    const std::size_t count = tensor.shape[0];
    const auto address = reinterpret_cast<std::uintptr_t>(tensor.bytes.data());
    if (address % alignof(BFloat16) == 0) {
      storage = file_.mapping();
      return {reinterpret_cast<const BFloat16*>(tensor.bytes.data()), count};
    }
    struct Copy {
      std::shared_ptr<const MappedFile> mapping;
      std::vector<BFloat16> scales;
    };
    auto copy = std::make_shared<Copy>(Copy{file_.mapping(), std::vector<BFloat16>(count)});
    std::memcpy(copy->scales.data(), tensor.bytes.data(), tensor.bytes.size());
    const std::span<const BFloat16> scales = copy->scales;
    storage = std::move(copy);
    return scales;
  }

  void count_sizes() {
    sizes_.file_bytes = file_.file_bytes();
    for (const auto& [name, basis] : bases_) sizes_.matrix_bytes += basis->stored_bytes();
    for (const PackedMatrix& matrix : matrices_) sizes_.matrix_bytes += matrix.stored_bytes();
    sizes_.other_bytes = sizes_.file_bytes - sizes_.matrix_bytes;
  }

  SafetensorsFile file_;
  std::map<std::string, std::shared_ptr<const InputBasis>, std::less<>> bases_;
  std::vector<PackedMatrix> matrices_;
  std::map<std::string, std::size_t, std::less<>> places_;  // of matrices, by name
  PackedModelSizes sizes_;
  std::size_t channels_ = 0;  // of all bases
  std::size_t blocks_ = 0;    // of all matrices
};

inline namespace NASH_SWARM_TARGET {

/// Whether a matrix is what a plan says.
inline bool is_as_planned(const PackedMatrix& packed, const MatrixPlan& plan) {
  return !packed.empty() && packed.name() == plan.name &&
         packed.out_features() == plan.out_features && packed.cells() == plan.cells &&
         packed.row_order() == plan.order &&
         packed.basis().fingerprint() == plan.basis->fingerprint();
}

/// Writes a packed model piece by piece: a matrix is packed when its turn comes and its codes are
/// written at once, so that only one matrix is in memory.
/// @param pack gives the packed matrix for a plan; called once for each, in order
/// @throws Error naming the target if it cannot be written, the matrix if another one is given, the
/// tensor if it has more or fewer bytes than it should; nothing is left half-written
inline void write_packed_model(const std::filesystem::path& target,
                               const std::vector<MatrixPlan>& matrices,
                               const std::vector<OtherTensor>& others,
                               const std::function<PackedMatrix(const MatrixPlan&)>& pack) {
  const SafetensorsLayout layout = packed_model_layout(matrices, others);
  if (!pack) throw Error(target.string(), "no function that packs a matrix");
  for (const OtherTensor& other : others) {
    if (!other.write) throw Error(other.spec.name, "no function that writes the tensor");
  }
  SafetensorsWriter writer(target, layout);
  std::map<std::string, std::vector<std::byte>> small_parts;
  const auto keep = [&](const std::string& name, const void* data, std::size_t bytes) {
    const auto* first = static_cast<const std::byte*>(data);
    small_parts.emplace(name, std::vector<std::byte>(first, first + bytes));
  };
  for (const MatrixPlan& plan : matrices) {
    const PackedMatrix packed = pack(plan);
    if (!is_as_planned(packed, plan)) {
      throw Error(plan.name, "another matrix was given than the planned one",
                  "pack the matrix of this name by its plan");
    }
    writer.write(packed.codes());
    keep(plan.name + ".row_scales", packed.row_scales().data(), packed.row_scales().size_bytes());
    keep(plan.name + ".run_table", packed.run_table().data(), packed.run_table().size());
    keep(plan.name + ".row_order", packed.row_order_bytes().data(),
         packed.row_order_bytes().size());
  }
  for (const auto& basis : distinct_bases(matrices)) {
    const std::uint64_t seed = basis->sign_seed();
    if (basis->rotation_block() != 0) keep(basis->name() + ".sign_seed", &seed, sizeof seed);
    const std::vector<std::uint32_t>& wide = basis->permutation();
    if (wide.empty()) continue;
    if (InputBasis::permutation_entry_bytes(basis->in_features()) == 2) {
      const std::vector<std::uint16_t> narrow(wide.begin(), wide.end());
      keep(basis->name() + ".permutation", narrow.data(), 2 * narrow.size());
    } else {
      keep(basis->name() + ".permutation", wide.data(), 4 * wide.size());
    }
  }
  for (std::size_t i = matrices.size(); i < layout.tensors().size(); ++i) {
    const std::string& name = layout.tensors()[i].name;
    if (const auto part = small_parts.find(name); part != small_parts.end()) {
      writer.write(part->second);
    } else {
      const auto other = std::find_if(others.begin(), others.end(),
                                      [&](const OtherTensor& o) { return o.spec.name == name; });
      std::size_t written = 0;
      other->write([&](std::span<const std::byte> bytes) {
        writer.write(bytes);
        written += bytes.size();
      });
      const std::size_t needed = *byte_count(other->spec.type, other->spec.shape);
      if (written != needed) {
        throw Error(name, std::to_string(written) + " bytes were written for a tensor of " +
                              std::to_string(needed));
      }
    }
  }
  writer.commit();
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
