#pragma once

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <type_traits>

#include <CLI/CLI.hpp>

#include <nash_swarm/core/error.hpp>

/// What the example programs share: flags and exit codes.

/// Exit codes: 0 done, 1 the machine failed (no memory), 2 bad input or wrong flags.
enum ExitCode { exit_done = 0, exit_failed = 1, exit_bad_input = 2 };

/// Parses the flags, then runs `body`, with every error as one line on stderr.
/// @param body may return an exit code
template <class Body>
int run_program(CLI::App& app, int argc, char** argv, Body&& body) {
  const std::string name = app.get_name();
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
