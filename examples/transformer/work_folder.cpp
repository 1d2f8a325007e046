#include "transformer/work_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/fingerprint.hpp>
#include <nash_swarm/io/mapped_file.hpp>
#include <nash_swarm/io/packed_model.hpp>
#include <nash_swarm/version.hpp>

namespace transformer {
namespace {

namespace fs = std::filesystem;
using nash_swarm::DataType;
using nash_swarm::Error;
using nash_swarm::MatrixPlan;
using nash_swarm::OtherTensor;
using nash_swarm::PackedMatrix;

constexpr const char* lock_name = "lock";
constexpr const char* fingerprint_tensor = "fingerprint";

/// True for the names of the files that the class writes.
bool is_work(std::string_view name) {
  return name.ends_with(".packed.safetensors") || name.ends_with(".numbers.safetensors") ||
         (name.starts_with("calibration.") && name.ends_with(".safetensors"));
}

/// True for the names under which they are written: .NAME.PROCESS.tmp or .NAME.PROCESS.ATTEMPT.tmp.
bool is_half_written(std::string_view name) {
  if (!name.starts_with('.') || !name.ends_with(".tmp")) return false;
  name.remove_prefix(1);
  name.remove_suffix(4);
  for (int numbers = 0; numbers < 2; ++numbers) {
    const std::size_t digits = name.size() - (name.find_last_not_of("0123456789") + 1);
    if (digits == 0 || !name.substr(0, name.size() - digits).ends_with('.')) return false;
    name.remove_suffix(digits + 1);
    if (is_work(name)) return true;
  }
  return false;
}

/// What `read` finds in a file; nothing if the file is missing or, with a warning, damaged.
template <class Read>
auto found_in(const fs::path& file, Read&& read) -> decltype(read()) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return std::nullopt;
  try {
    return read();
  } catch (const Error& error) {
    std::fprintf(stderr, "warning: %s; it is made again\n", error.what());
    return std::nullopt;
  }
}

bool holds(const nash_swarm::StoredTensor* tensor, std::uint64_t number) {
  return tensor != nullptr && tensor->bytes.size() == sizeof number &&
         std::memcmp(tensor->bytes.data(), &number, sizeof number) == 0;
}

}  // namespace

std::uint64_t program_fingerprint() {
  static const std::uint64_t value = [] {
    nash_swarm::Fingerprint fingerprint;
    for (const int part :
         {NASH_SWARM_VERSION_MAJOR, NASH_SWARM_VERSION_MINOR, NASH_SWARM_VERSION_PATCH}) {
      fingerprint.add(static_cast<std::uint64_t>(part));
    }
    const fs::path program = "/proc/self/exe";
    std::error_code ignored;
    if (fs::exists(program, ignored)) fingerprint.add(nash_swarm::MappedFile(program).bytes());
    return fingerprint.value();
  }();
  return value;
}

WorkFolder::WorkFolder(fs::path folder) : path_(std::move(folder)) {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error || !fs::is_directory(path_)) {
    throw Error(path_.string(),
                "the work folder cannot be made" + (error ? " (" + error.message() + ")" : ""),
                "choose another one with --work");
  }
  lock();
  for (const auto& entry : fs::directory_iterator(path_)) {
    const std::string name = entry.path().filename().string();
    if (is_half_written(name)) fs::remove(entry.path(), error);
    resumes_ = resumes_ || is_work(name);
  }
}

WorkFolder::~WorkFolder() {
  if (lock_ >= 0) ::close(lock_);
}

/// Two programs that fill one folder would do everything twice. The system frees the lock of a
/// program that ends in whatever way; file systems without locks go without.
void WorkFolder::lock() {
  const fs::path file = path_ / lock_name;
  lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0) {
    throw Error(path_.string(),
                "cannot be written (" + std::generic_category().message(errno) + ")",
                "choose another folder with --work");
  }
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(lock_);
    throw Error(path_.string(), "another program works in this folder",
                "wait for it, or choose another folder with --work");
  }
}

fs::path WorkFolder::calibration_path(std::size_t index) const {
  return path_ / ("calibration." + std::to_string(index) + ".safetensors");
}

std::optional<nash_swarm::CalibrationFile> WorkFolder::calibration(
    std::size_t index, std::uint64_t fingerprint) const {
  const fs::path file = calibration_path(index);
  return found_in(file, [&] { return nash_swarm::find_calibration(file, fingerprint); });
}

std::optional<std::vector<double>> WorkFolder::numbers(const std::string& name,
                                                       std::uint64_t fingerprint) const {
  const fs::path file = path_ / (name + ".numbers.safetensors");
  return found_in(file, [&]() -> std::optional<std::vector<double>> {
    const nash_swarm::SafetensorsFile stored(file);
    if (!holds(stored.find(fingerprint_tensor), fingerprint)) return std::nullopt;
    const nash_swarm::StoredTensor& tensor = stored.at("numbers");
    std::vector<double> numbers(tensor.bytes.size() / sizeof(double));
    if (numbers.empty()) return numbers;
    std::memcpy(numbers.data(), tensor.bytes.data(), numbers.size() * sizeof(double));
    return numbers;
  });
}

void WorkFolder::store_numbers(const std::string& name, const std::vector<double>& numbers,
                               std::uint64_t fingerprint) const {
  const nash_swarm::SafetensorsLayout layout(
      {{fingerprint_tensor, DataType::U64, {1}}, {"numbers", DataType::F64, {numbers.size()}}});
  nash_swarm::SafetensorsWriter writer(path_ / (name + ".numbers.safetensors"), layout);
  writer.write(std::as_bytes(std::span(&fingerprint, 1)));
  writer.write(std::as_bytes(std::span(numbers)));
  writer.commit();
}

fs::path WorkFolder::packed_path(const std::string& matrix, std::uint64_t fingerprint) const {
  return path_ / (matrix + "." + nash_swarm::fingerprint_text(fingerprint) + ".packed.safetensors");
}

std::optional<PackedMatrix> WorkFolder::packed(const MatrixPlan& plan,
                                               std::uint64_t fingerprint) const {
  const fs::path file = packed_path(plan.name, fingerprint);
  return found_in(file, [&]() -> std::optional<PackedMatrix> {
    const nash_swarm::PackedModelFile stored(file);
    const PackedMatrix* const matrix = stored.find_matrix(plan.name);
    if (!holds(stored.file().find(fingerprint_tensor), fingerprint) || matrix == nullptr ||
        !nash_swarm::is_as_planned(*matrix, plan)) {
      return std::nullopt;
    }
    return *matrix;
  });
}

void WorkFolder::store_packed(const MatrixPlan& plan, const PackedMatrix& packed,
                              std::uint64_t fingerprint) const {
  const OtherTensor stamp{
      {fingerprint_tensor, DataType::U64, {1}},
      [&](const OtherTensor::Sink& sink) { sink(std::as_bytes(std::span(&fingerprint, 1))); }};
  nash_swarm::write_packed_model(packed_path(plan.name, fingerprint), {plan}, {stamp},
                                 [&](const MatrixPlan&) { return packed; });
}

void WorkFolder::remove() {
  std::error_code ignored;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name == lock_name || is_work(name) || is_half_written(name)) files.push_back(entry.path());
  }
  for (const fs::path& file : files) fs::remove(file, ignored);
  fs::remove(path_, ignored);
}

}  // namespace transformer
