#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/io/plan_file.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "allocation/tables.hpp"
#include "examples/shell.hpp"

namespace {

using nash_swarm::Certificate;
using nash_swarm::test::contains;
using nash_swarm::test::done;
using nash_swarm::test::read_text;
using nash_swarm::test::Result;
using nash_swarm::test::write_text;

/// Two coupled players and a third, interleaved, with quotes, a byte order mark and CRLF.
const std::string good_tables =
    "\xef\xbb\xbfplayer,format,bytes,loss,h0,h1\r\n"
    "a,2bit,10,4.0,1,0\r\n"
    "\"b,\"\"x\"\"\",2bit,10,8.0,-1,0.5\r\n"
    "a,4bit,20,1.0,0.5,0\r\n"
    "\r\n"
    "\"b,\"\"x\"\"\",4bit,20,2.0,-0.5,.25\r\n"
    "c,4bit,20,.5,0,0\r\n"
    "c,2bit,10,2e0,0,1";

class AllocateShell : public nash_swarm::test::Shell {
 public:
  Result allocate(const std::string& tables, const std::string& arguments) const {
    write_text(folder() / "tables.csv", tables);
    return run("allocate", "--tables tables.csv --plan-out plan.json " + arguments);
  }
  std::string refused(const std::string& tables, const std::string& arguments = "--budget 50",
                      const std::string& edges = "a,b,bytes\n") const {
    write_text(folder() / "tables.csv", tables);
    write_text(folder() / "edges.csv", edges);
    return Shell::refused(
        "allocate", "--tables tables.csv --edges edges.csv --plan-out plan.json " + arguments);
  }
  nlohmann::json plan() const { return nlohmann::json::parse(read_text(folder() / "plan.json")); }
};

std::string header(const std::string& rows) {
  return "player,format,bytes,loss\n" + rows;
}

}  // namespace

TEST_CASE("allocate: a plan with its certificate, verified from the files alone") {
  const AllocateShell shell;
  write_text(shell.folder() / "edges.csv", "a,b,bytes\nc,a,2\n");
  const Result result = shell.allocate(good_tables, "--edges edges.csv --budget 52");
  CAPTURE(result.err);
  REQUIRE(result.exit_code == done);
  CHECK(contains(result.out, "3 players, 52 of 52 bytes"));
  const nlohmann::json plan = shell.plan();
  CHECK(plan["players"] == nlohmann::json{{"a", "4bit"}, {"b,\"x\"", "4bit"}, {"c", "2bit"}});

  allocation::NamedGame named = allocation::read_tables(shell.folder() / "tables.csv");
  allocation::read_edges(shell.folder() / "edges.csv", named);
  CHECK(named.players == std::vector<std::string>{"a", "b,\"x\"", "c"});
  // Strategies in the order of each player's rows: c has 4bit first.
  const std::vector<std::uint32_t> strategy{1, 1, 1};
  const Certificate good = nash_swarm::read_certificate(plan["certificate"], "plan.json");
  CHECK(good.bytes == 52);
  CHECK(good.y.size() == 2);
  CHECK(nash_swarm::verify(good, named.view(), strategy).empty());
  for (const auto& entry : plan["certificate"].items()) {
    const std::string& key = entry.key();
    const nlohmann::json& value = entry.value();
    nlohmann::json tampered = plan["certificate"];
    if (value.is_array()) {
      tampered[key][0] = value[0].get<double>() + 0.5;
    } else if (value.is_number_unsigned()) {
      tampered[key] = value.get<std::uint64_t>() + 1;
    } else {
      tampered[key] = value.get<double>() + 0.001;
    }
    CAPTURE(key);
    const Certificate bad = nash_swarm::read_certificate(tampered, "plan.json");
    CHECK_FALSE(nash_swarm::verify(bad, named.view(), strategy).empty());
  }
  for (std::size_t player = 0; player < strategy.size(); ++player) {
    std::vector<std::uint32_t> tampered = strategy;
    tampered[player] = 0;
    CHECK_FALSE(nash_swarm::verify(good, named.view(), tampered).empty());
  }
}

TEST_CASE("allocate: every method keeps the budget and is certified") {
  const AllocateShell shell;
  const std::string tables =
      header("a,x,1,9\na,y,2,4\na,z,4,1\nb,x,1,5\nb,y,2,3\nb,z,4,0.5\nc,x,1,2\nc,y,2,1\nc,z,4,0\n");
  for (const std::string method :
       {"nash_swarm", "uniform", "greedy", "lagrangian", "dynamic_programming", "exhaustive",
        "annealing", "pso", "best_response"}) {
    CAPTURE(method);
    const Result result = shell.allocate(tables, "--budget 8 --method " + method);
    CAPTURE(result.err);
    REQUIRE(result.exit_code == done);
    const nlohmann::json certificate = shell.plan()["certificate"];
    CHECK(certificate["bytes"] <= 8);
    CHECK(certificate["lower_bound"] <= 5.0);  // a: z, b: y, c: y is the best plan, 1 + 3 + 1
    CHECK(certificate["loss"] >= 5.0);
    if (method == "nash_swarm" || method == "exhaustive") CHECK(certificate["loss"] == 5.0);
  }
}

TEST_CASE("allocate: bad tables are refused with file, line and remedy, and no plan is written") {
  const AllocateShell shell;
  CHECK(contains(shell.refused(""), "tables.csv"));
  CHECK(contains(shell.refused("player,format,bytes\n"),
                 "tables.csv: line 1: there is no column 'loss'"));
  CHECK(contains(shell.refused("player,format,bytes,losses\n"), "there is no column 'loss'"));
  CHECK(contains(shell.refused("player,format,bytes,loss,h1\n"), "the column 'h1' is unknown"));
  CHECK(contains(shell.refused("player,format,bytes,loss,loss\n"), "'loss' is there twice"));
  CHECK(contains(shell.refused(header("")), "no players"));
  CHECK(contains(shell.refused(header("a,x,1\n")), "line 2: 3 fields where the header has 4"));
  CHECK(contains(shell.refused(header("a,x,1,1\n\na,y,1,2,3\n")), "line 4: 5 fields"));
  CHECK(contains(shell.refused(header("a,x,-1,1\n")), "line 2: bytes is '-1'"));
  CHECK(contains(shell.refused(header("a,x,1.5,1\n")), "line 2: bytes is '1.5'"));
  CHECK(contains(shell.refused(header("a,x,99999999999999999999,1\n")), "line 2: bytes is"));
  CHECK(contains(shell.refused(header("a,x,1,nan\n")), "line 2: loss is 'nan'"));
  CHECK(contains(shell.refused(header("a,x,1,inf\n")), "line 2: loss is 'inf'"));
  CHECK(contains(shell.refused(header("a,x,1,1e999\n")), "line 2: loss is '1e999'"));
  CHECK(contains(shell.refused(header("a,x,1,\n")), "line 2: loss is ''"));
  CHECK(contains(shell.refused(header("a,x,1,-0.5\n")), "give losses of 0 or more"));
  CHECK(contains(shell.refused(header(",x,1,1\n")), "line 2: player is empty"));
  CHECK(contains(shell.refused(header("a,x,1,1\nb,x,1,1\na,x,2,0\n")),
                 "line 4: player 'a' has format 'x' twice"));
  CHECK(contains(shell.refused(header("a,\"x,1,1\n")), "line 2: a quote is not closed"));
  CHECK(contains(shell.refused(header("a,\"x\"y,1,1\n")), "line 2: text follows a closing quote"));
  CHECK(contains(shell.refused("player,format,bytes,loss,h0\na,x,1,1,nan\n"), "line 2: h0 is"));
  CHECK(contains(shell.refused(header("a,,1,1\n")), "line 2: format is empty"));
  CHECK(contains(shell.refused(header("\xe9,x,1,1\n")), "line 2: player is no UTF-8"));
  const std::string overflow = shell.refused(header("a,x,18446744073709551615,1\nb,x,1,1\n"));
  CHECK(contains(overflow, "tables.csv: player 1: the total of bytes overflows"));
}

TEST_CASE("allocate: columns in any order, players in that of their first rows") {
  const AllocateShell shell;
  const Result result = shell.allocate(
      "h1,loss,h0,format,bytes,player\n0,1,2,x,3,z\n0,2,4,\"y\"\"\",1,\xc3\xa9\n1,5,1,y,1,z\n",
      "--budget 9");
  CAPTURE(result.err);
  REQUIRE(result.exit_code == done);
  const std::string text = read_text(shell.folder() / "plan.json");
  CHECK(text.find("\"z\"") < text.find("\"\xc3\xa9\""));
  const allocation::NamedGame named = allocation::read_tables(shell.folder() / "tables.csv");
  CHECK(named.players == std::vector<std::string>{"z", "\xc3\xa9"});
  CHECK(named.formats == std::vector<std::string>{"x", "y\"", "y"});
  CHECK(named.first == std::vector<std::size_t>{0, 2, 3});
  CHECK(named.bytes == std::vector<std::uint64_t>{3, 1, 1});
  CHECK(named.loss == std::vector<double>{1, 5, 2});
  CHECK(named.headings == std::vector<double>{2, 0, 1, 1, 4, 0});
  CHECK(named.format == std::vector<std::uint32_t>{0, 2, 1});
}

TEST_CASE("allocate: edges compare the names of formats") {
  const AllocateShell shell;
  write_text(shell.folder() / "edges.csv", "bytes,b,a\n2,q,p\n");
  // The common format has another place in the rows of each player; unequal ones do not fit.
  const Result result = shell.allocate(header("p,x,5,0\np,y,5,1\nq,y,5,0\nq,x,5,0.5\n"),
                                       "--edges edges.csv --budget 11");
  CAPTURE(result.err);
  REQUIRE(result.exit_code == done);
  CHECK(shell.plan()["players"] == nlohmann::json{{"p", "x"}, {"q", "x"}});
  CHECK(shell.plan()["certificate"]["loss"] == 0.5);
}

TEST_CASE("allocate: the plan does not depend on the number of threads") {
  const AllocateShell shell;
  std::string tables = "player,format,bytes,loss,h0,h1\n";
  for (int player = 0; player < 40; ++player) {
    for (int bits = 1; bits <= 4; ++bits) {
      const double size = (1 + player * 7 % 11) * std::pow(2.0, -bits);
      tables += "p" + std::to_string(player) + ",b" + std::to_string(bits) + "," +
                std::to_string(10 * bits + player % 3) + "," + std::to_string(size * size) + "," +
                std::to_string(size) + "," + std::to_string(player % 2 == 0 ? size : -size) + "\n";
    }
  }
  REQUIRE(shell.allocate(tables, "--budget 1000 --seed 5 --threads 1").exit_code == done);
  const std::string one = read_text(shell.folder() / "plan.json");
  REQUIRE(shell.allocate(tables, "--budget 1000 --seed 5 --threads 3").exit_code == done);
  CHECK(read_text(shell.folder() / "plan.json") == one);
}

TEST_CASE("allocate: files that cannot be read or written, a former plan stays as it was") {
  const AllocateShell shell;
  const auto refused = [&](const std::string& arguments) {
    return static_cast<const nash_swarm::test::Shell&>(shell).refused("allocate",
                                                                      "--budget 9 " + arguments);
  };
  write_text(shell.folder() / "good.csv", header("a,x,3,1\n"));
  write_text(shell.folder() / "plan.json", "former");
  CHECK(contains(refused("--tables no.csv --plan-out plan.json"), "no.csv: cannot be opened"));
  CHECK(contains(refused("--tables good.csv --edges no.csv --plan-out plan.json"), "no.csv"));
  CHECK(contains(refused("--tables good.csv --plan-out no/p.json"), "no/p.json"));
  CHECK(contains(refused("--tables . --plan-out plan.json"), "is a folder"));
  CHECK(read_text(shell.folder() / "plan.json") == "former");
}

TEST_CASE("allocate: bad budgets, edges and flags") {
  const AllocateShell shell;
  const std::string tables = header("a,x,3,1\na,y,5,0\nb,x,4,1\n");
  CHECK(contains(shell.refused(tables, "--budget 6"),
                 "6 bytes are fewer than the smallest possible 7; give at least 7 bytes"));
  for (const std::string budget : {"-6", "7.5", "1e3", "99999999999999999999", "0x10", "''", "x"}) {
    CHECK(contains(shell.refused(tables, "--budget " + budget), "--budget"));
  }
  CHECK(contains(shell.refused(tables, "--budget 006"), "6 bytes are fewer"));
  CHECK(contains(shell.refused(tables, "--budget 9 --seed -1"), "--seed"));
  CHECK(contains(shell.refused(tables, "--budget 9 --threads 0"), "--threads"));
  CHECK(contains(shell.refused(tables, "--budget 9 --threads -1"), "--threads"));
  CHECK_FALSE(shell.refused(tables, "").empty());
  CHECK_FALSE(shell.refused(tables, "--budget 9 --method best").empty());
  const auto edges = [&](const std::string& rows) {
    return shell.refused(tables, "--budget 9", "a,b,bytes\n" + rows);
  };
  CHECK(contains(edges("a,q,1\n"), "edges.csv: line 2: no player is called 'q'"));
  CHECK(contains(edges("a,a,1\n"), "line 2: the edge joins 'a' with itself"));
  CHECK(contains(edges("a,b,1\nb,a,1\n"), "line 3: these two players have an edge already"));
  CHECK(contains(edges("a,b,-3\n"), "line 2: bytes is '-3'"));
  CHECK(contains(edges("a,b\n"), "line 2: 2 fields where the header has 3"));
  CHECK(contains(edges("a,b,18446744073709551615\n"), "edges.csv: edge 0: the total of bytes"));
  CHECK(contains(edges("a,b,x\n"), "line 2: bytes is 'x'"));
  CHECK(
      contains(shell.refused(tables, "--budget 9", "a,b\n"), "line 1: there is no column 'bytes'"));
}
