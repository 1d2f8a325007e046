// consumer            succeeds if errors come back, and those that cannot are told to the handler
// consumer unhandled  what is told without a handler
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "../product.hpp"

namespace ns = nash_swarm;

namespace {

void expect(bool condition, const char* what) {
  if (condition) return;
  std::printf("not so: %s\n", what);
  std::exit(1);
}

std::optional<ns::Error> multiply_into(const ns::PackedMatrix& matrix, std::vector<float>& y) {
  const std::vector<float> x = Product::input();
  ns::ThreadPool executor(2);
  return ns::try_matmul(matrix, {x.data(), {std::size_t{1}, x.size()}},
                        {y.data(), {std::size_t{1}, y.size()}}, executor);
}

void check_what_comes_back() {
  const auto loaded = ns::PackedMatrix::try_load(Product::parts());
  expect(static_cast<bool>(loaded), "good parts are loaded");
  expect(Product::is_right(*loaded, Product::output(*loaded)), "matmul is right");
  std::vector<float> y(Product::out);
  expect(!multiply_into(*loaded, y) && Product::is_right(*loaded, y), "try_matmul is right");

  std::vector<float> short_y(Product::out - 1, 7.0F);
  const std::optional<ns::Error> error = multiply_into(*loaded, short_y);
  expect(error && error->problem() == "output of shape [1, 36] for a product of shape [1, 37]",
         "an output that is too short comes back as an error");
  expect(short_y.front() == 7.0F, "it is left as it was");

  ns::PackedMatrix::Parts parts = Product::parts();
  parts.run_table = parts.run_table.first(1);
  const auto damaged = ns::PackedMatrix::try_load(std::move(parts));
  expect(!damaged && damaged.error().problem() == "run table, byte 1: the table ends too early",
         "damaged parts come back as an error");
  const auto basis = ns::InputBasis::try_load("basis", 64, 128, 0);
  expect(!basis && basis.error().subject() == "basis", "so does an impossible basis");
}

}  // namespace

int main(int argc, char**) {
  check_what_comes_back();
  std::set_terminate([] {
    std::fputs("terminated\n", stderr);
    std::_Exit(0);
  });
  if (argc == 1) {
    ns::set_error_handler([](const ns::Error& error) {
      expect(error.subject() == "PackedMatrix", "the handler is told of an empty matrix");
      std::_Exit(0);
    });
  }
  ns::SerialExecutor executor;
  ns::matmul(ns::PackedMatrix(), ns::TensorView<const float, 2>(), {}, executor);
  expect(false, "matmul does not return from an error");
}
