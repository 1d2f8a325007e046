#include "transformer/progress.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

namespace {

using transformer::Progress;

/// A clock that goes when it is told to.
struct HandClock {
  Progress::Clock::time_point time{};
  auto reader() {
    return [this] { return time; };
  }
  void pass(int milliseconds) { time += std::chrono::milliseconds(milliseconds); }
};

/// What stood on the line, drawing after drawing, without the blanks that clear it.
std::vector<std::string> drawings(const std::string& output) {
  std::vector<std::string> lines;
  std::istringstream stream(output);
  for (std::string line; std::getline(stream, line, '\r');) {
    line.erase(line.find_last_not_of(" \n") + 1);
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

}  // namespace

TEST_CASE("progress off a terminal: plain lines when stages begin and end") {
  HandClock clock;
  std::ostringstream out;
  {
    Progress progress(out, false, clock.reader());
    progress.stage("quantize", 10);
    for (int i = 0; i < 10; ++i) {
      clock.pass(150);
      progress.advance(1);
    }
    progress.stage("evaluate", 5);  // finishes the one before
    clock.pass(2340);
    progress.finish();
    progress.finish();
    progress.stage("write", 1);  // left open
  }
  CHECK(out.str() == "quantize ...\nquantize: 1.5 s\nevaluate ...\nevaluate: 2.3 s\nwrite ...\n");
}

TEST_CASE("progress on a terminal: one line with percent and remaining time") {
  HandClock clock;
  std::ostringstream out;
  Progress progress(out, true, clock.reader());
  progress.stage("evaluate", 8);
  clock.pass(30000);
  progress.advance(2);
  clock.pass(6000000 - 30000);
  progress.advance(2);
  clock.pass(1000);
  progress.advance(1000);  // more than there is
  CHECK(out.str().find('\n') == std::string::npos);
  progress.finish();
  const std::string output = out.str();
  CHECK(drawings(output) == std::vector<std::string>{
                                "evaluate [------------------------]   0 %",
                                "evaluate [######------------------]  25 %, 1:30 left",
                                "evaluate [############------------]  50 %, 1:40:00 left",
                                "evaluate [########################] 100 %, 0:00 left",
                                "evaluate [########################] 100 %, 6001.0 s",
                            });
  CHECK(output.back() == '\n');
  CHECK(std::count(output.begin(), output.end(), '\n') == 1);
}

TEST_CASE("progress on a terminal: a shorter line leaves nothing of a longer one") {
  HandClock clock;
  std::ostringstream out;
  Progress progress(out, true, clock.reader());
  progress.stage("x", 100);
  clock.pass(3600000);
  progress.advance(1);
  const std::size_t longest = out.str().size() - out.str().rfind('\r');
  clock.pass(200);
  progress.advance(98);
  CHECK(out.str().size() - out.str().rfind('\r') >= longest);
}

TEST_CASE("progress on a terminal: drawn at most ten times a second") {
  HandClock clock;
  std::ostringstream out;
  Progress progress(out, true, clock.reader());
  progress.stage("x", 100000);
  for (int i = 0; i < 100000; ++i) {
    if (i % 100 == 0) clock.pass(1);  // a second in all
    progress.advance(1);
  }
  CHECK(drawings(out.str()).size() == 1 + 10);
}

TEST_CASE("progress: nothing to count, and a stage that is broken off") {
  HandClock clock;
  std::ostringstream out;
  {
    Progress progress(out, true, clock.reader());
    progress.advance(3);  // no stage: nothing to draw
    CHECK(out.str().empty());
    progress.stage("empty", 0);
    clock.pass(500);
    progress.advance(1);
    progress.finish();
    progress.stage("broken", 4);
  }
  CHECK(out.str().ends_with("broken [------------------------]   0 %\n"));
}
