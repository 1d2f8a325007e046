#pragma once

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <initializer_list>
#include <new>
#include <string>
#include <system_error>
#include <type_traits>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <CLI/CLI.hpp>

#include <nash_swarm/core/error.hpp>

/// What the example programs share: flags and exit codes.

/// Exit codes: 0 done, 1 the machine failed (no memory), 2 bad input or wrong flags.
enum ExitCode { exit_done = 0, exit_failed = 1, exit_bad_input = 2 };

/// For `transform` of a flag that takes a whole number: only decimal digits, below 2^64. (The
/// parser itself would let -1 wrap around and read 010 as octal.)
inline CLI::Validator whole_number() {
  return CLI::Validator(
      [](std::string& text) {
        std::uint64_t value = 0;
        const char* const last = text.data() + text.size();
        const auto [end, problem] = std::from_chars(text.data(), last, value);
        if (problem != std::errc() || end != last) {
          return "'" + text + "' is no whole number from 0 to 2^64 - 1";
        }
        text = std::to_string(value);
        return std::string();
      },
      "");
}

/// @throws nash_swarm::Error that names the first of the flags that is given
inline void refuse_flags(const CLI::App& app, std::initializer_list<const char*> flags,
                         const std::string& problem, const std::string& remedy) {
  for (const char* const flag : flags) {
    if (app.count(flag) != 0) throw nash_swarm::Error(flag, problem, remedy);
  }
}

/// For the help of a flag: the model that is taken without it.
inline std::string default_of(const std::filesystem::path& model) {
  return model.empty() ? "" : " (bundled " + model.filename().string() + ")";
}

/// @throws nash_swarm::Error if there is no model
inline void require_model(const std::filesystem::path& model) {
  if (!model.empty()) return;
  throw nash_swarm::Error("--model", "is missing", "pass the folder of a checkpoint");
}

/// Lets freed memory be used again instead of going back to the system. Calibration and finish free
/// and allocate the same buffers for every window; a tenth of their time would go into fresh pages.
inline void keep_freed_memory() {
#if defined(__GLIBC__)
  constexpr int largest_block = 32 << 20;  // beyond it every block is a mapping of its own
  constexpr int most_kept = 1 << 30;
  ::mallopt(M_MMAP_THRESHOLD, largest_block);
  ::mallopt(M_TRIM_THRESHOLD, most_kept);
#endif
}

/// Parses the flags, then runs `body`, with every error as one line on stderr.
/// @param body may return an exit code
template <class Body>
int run_program(CLI::App& app, int argc, char** argv, Body&& body) {
  const std::string name = app.get_name();
  keep_freed_memory();
  try {
    app.parse(argc, argv);
    if constexpr (std::is_same_v<decltype(body()), int>) {
      return body();
    } else {
      body();
      return exit_done;
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? exit_done : exit_bad_input;
  } catch (const nash_swarm::Error& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
    return exit_bad_input;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "%s: out of memory\n", name.c_str());
    return exit_failed;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
    return exit_failed;
  }
}
