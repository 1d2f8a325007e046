/// Makes a GPT-2 of a published size with random weights, to measure time and memory with.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "command_line.hpp"
#include "transformer/random_checkpoint.hpp"
#include "transformer/uniform_file.hpp"

namespace {

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const nash_swarm::Format& format : nash_swarm::format_table) {
    names.emplace_back(format.name);
  }
  return names;
}

}  // namespace

int main(int argc, char** argv) {
  std::string size;
  std::filesystem::path folder;
  std::string format;
  std::uint64_t seed = 0;
  std::size_t threads = 0;
  CLI::App app("Makes a GPT-2 checkpoint with random weights.", "make_random_gpt2");
  app.add_option("--size", size, "124M, 355M, 774M or 1.5B")->required();
  app.add_option("--out", folder, "folder to write the checkpoint to")->required();
  app.add_option("--packed", format,
                 "write OUT.FORMAT.safetensors as well: all matrices in that format, each weight "
                 "rounded to its nearest code, to measure speed with")
      ->check(CLI::IsMember(format_names()));
  app.add_option("--seed", seed, "seed of the weights")
      ->transform(whole_number())
      ->capture_default_str();
  app.add_option("--threads", threads, "threads that compute; 0: one per core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  return run_program(app, argc, argv, [&] {
    const transformer::Config config = transformer::published_config(size);
    nash_swarm::ThreadPool pool(threads);
    transformer::write_random_checkpoint(config, folder, seed, pool);
    std::printf("%s: GPT-2 %s with random weights\n", folder.c_str(), size.c_str());
    if (format.empty()) return;
    const std::filesystem::path packed = folder.string() + "." + format + ".safetensors";
    const std::size_t place = nash_swarm::format_index(std::string_view(format));
    transformer::write_uniform_file(transformer::Checkpoint(folder),
                                    nash_swarm::format_table[place].id, packed, pool);
    std::printf("%s: packed\n", packed.c_str());
  });
}
