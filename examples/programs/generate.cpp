#include "programs/programs.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "transformer/generation.hpp"
#include "transformer/load_model.hpp"

/// Continues a text, from a float checkpoint or from a packed model file.

namespace {

struct GenerationOptions {
  std::filesystem::path model;
  std::string prompt;
  std::size_t tokens = 100;
  double temperature = 0.8;
  std::uint64_t seed = 0;
  std::size_t threads = 0;
};

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

/// The prompt as tokens; one without any text starts a new document.
std::vector<std::int32_t> prompt_tokens(const transformer::Tokenizer& tokenizer,
                                        const std::string& prompt) {
  const transformer::Encoded encoded = tokenizer.encode_document(prompt);
  if (encoded.ids.empty()) {
    if (const auto start = tokenizer.end_of_text()) return {*start};
    throw nash_swarm::Error("--prompt", "is empty, and the vocabulary has no \"<|endoftext|>\"",
                            "give the text to start with");
  }
  if (encoded.invalid_bytes > 0) {
    std::fprintf(stderr,
                 "warning: --prompt: %zu bytes are not valid UTF-8, each is its own token\n",
                 encoded.invalid_bytes);
  }
  return encoded.ids;
}

void print_speed(const char* what, std::size_t tokens, double seconds) {
  if (tokens == 0) return;
  std::fprintf(stderr, "%s: %zu tokens in %.3f s, %.1f tokens/s\n", what, tokens, seconds,
               static_cast<double>(tokens) / seconds);
}

void run(const GenerationOptions& options) {
  transformer::Sampler sampler(options.temperature, options.seed);
  nash_swarm::ThreadPool pool(options.threads);
  const transformer::LoadedModel loaded = transformer::load_model(options.model, true, pool);
  const std::vector<std::int32_t> prompt = prompt_tokens(loaded.tokenizer, options.prompt);
  bool started = false;
  const auto print_token = [&](std::int32_t token) {
    const bool first_of_text = !started && options.prompt.empty();
    if (!started) print(options.prompt);
    started = true;
    print(first_of_text ? loaded.tokenizer.decode({&token, 1})
                        : std::string(loaded.tokenizer.bytes_of(token)));
  };
  const transformer::Generation generation =
      transformer::generate(loaded.model, prompt, options.tokens, sampler, pool, print_token);
  print("\n");
  print_speed("prompt", prompt.size(), generation.prompt_seconds);
  print_speed("generation", generation.tokens.size() - 1, generation.generation_seconds);
}

}  // namespace

int programs::generate(const char* name, const char* model, int argc, char** argv) {
  GenerationOptions options;
  options.model = model;
  CLI::App app("Continues a text with a language model.", name);
  app.add_option("--model", options.model,
                 "folder of a Hugging Face checkpoint, or packed file" + default_of(options.model));
  app.add_option("--prompt", options.prompt, "text to continue; none: a new document");
  app.add_option("--tokens", options.tokens, "tokens to generate")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--temperature", options.temperature,
                 "0: always the most likely token; 1: the model's own distribution")
      ->capture_default_str();
  app.add_option("--seed", options.seed, "seed of the random numbers")
      ->transform(whole_number())
      ->capture_default_str();
  app.add_option("--threads", options.threads, "threads that compute; 0: one per core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  return run_program(app, argc, argv, [&] {
    require_model(options.model);
    run(options);
  });
}
