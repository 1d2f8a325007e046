#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <nash_swarm/core/error.hpp>

#include "command_line.hpp"
#include "transformer/evaluation_text.hpp"
#include "transformer/text_file.hpp"

/// The flags that choose the text to evaluate on.
struct TextOptions {
  std::vector<std::string> files = {NASH_SWARM_EXAMPLE_DATA "/valid.txt"};
  std::string protocol = "full";
  std::size_t context = 0;
  std::size_t max_tokens = 0;
  std::size_t samples = 100;

  void add_to(CLI::App& app) {
    app.add_option("--text", files,
                   "Text to evaluate on: plain, or JSON lines with a \"text\" (.jsonl, .json); "
                   "repeatable (bundled valid.txt)");
    app.add_option(
           "--protocol", protocol,
           "full: windows of the context, every token scored once; paper: lines padded to 64 "
           "tokens")
        ->check(CLI::IsMember({"full", "paper"}))
        ->capture_default_str();
    app.add_option("--context", context, "Tokens per window (the model's context)")
        ->check(CLI::PositiveNumber);
    app.add_option("--max-tokens", max_tokens,
                   max_tokens != 0 ? "Most tokens to score (" + std::to_string(max_tokens) + ")"
                                   : "Most tokens to score (all; 12288 of the bundled text)")
        ->check(CLI::PositiveNumber);
    app.add_option("--samples", samples, "Texts (lines) of the paper protocol")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
  }

  /// The text where there is room for one alone.
  /// @throws nash_swarm::Error if there are several
  const std::string& only_file() const {
    if (files.size() == 1) return files.front();
    throw nash_swarm::Error("--text", "is given " + std::to_string(files.size()) + " times",
                            "give one text");
  }

  /// Every text.
  /// @throws nash_swarm::Error if one cannot be read or is too short, and for flags of the other
  /// protocol
  std::vector<transformer::EvaluationText> read_all(const CLI::App& app,
                                                    const transformer::Tokenizer& tokenizer,
                                                    std::size_t n_ctx) const {
    check_protocol(app);
    std::vector<transformer::EvaluationText> texts;
    for (const std::string& file : files) texts.push_back(read(app, tokenizer, n_ctx, file));
    return texts;
  }

 private:
  void check_protocol(const CLI::App& app) const {
    const std::string problem = "means nothing under --protocol " + protocol;
    if (protocol == "paper") {
      refuse_flags(app, {"--context", "--max-tokens"}, problem,
                   "leave it out, or use --protocol full");
    } else {
      refuse_flags(app, {"--samples"}, problem, "leave it out, or use --protocol paper");
    }
  }

  transformer::EvaluationText read(const CLI::App& app, const transformer::Tokenizer& tokenizer,
                                   std::size_t n_ctx, const std::string& file) const {
    constexpr std::size_t default_tokens = 12288;
    const bool bundled = app.count("--text") == 0;
    const std::size_t most = max_tokens == 0 && bundled ? default_tokens : max_tokens;
    const std::string text = transformer::read_text(file);
    transformer::EvaluationText windows =
        protocol == "paper"
            ? transformer::paper_protocol(tokenizer, text, file, n_ctx, samples)
            : transformer::full_protocol(tokenizer, text, file, context == 0 ? n_ctx : context,
                                         n_ctx, most);
    if (windows.invalid_bytes != 0) {
      std::fprintf(stderr, "warning: %s: %zu bytes are not valid UTF-8\n", file.c_str(),
                   windows.invalid_bytes);
    }
    return windows;
  }
};
