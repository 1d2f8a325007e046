#include "transformer/prediction.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <set>
#include <vector>

#include "transformer/calibration_text.hpp"

using transformer::Prediction;

TEST_CASE("prediction: goes through what was measured") {
  const Prediction prediction(1e-4, {0.01, 0.012}, {0.05, 0.08});
  CHECK(prediction(0.0) == 1e-4);
  CHECK(prediction(0.01) == doctest::Approx(0.012));
  CHECK(prediction(0.05) == doctest::Approx(0.08));
  CHECK(prediction(0.03) == doctest::Approx(1e-4 + 0.03 * (1.19 + 0.02 * (1.598 - 1.19) / 0.04)));
  CHECK(Prediction()(0.3) == 0.3);
}

TEST_CASE("prediction: rises with the loss, whatever was measured") {
  const std::vector<Prediction> fits{
      Prediction(1e-4, {0.01, 0.012}, {0.05, 0.04}),   // coarse plans lose less than in proportion
      Prediction(1e-4, {0.01, 0.001}, {0.05, 0.5}),    // and much more
      Prediction(1e-4, {0.01, 0.012}, {0.01, 0.012}),  // the same plan twice
      Prediction(1e-4, {0.01, 0.00005}, {0.05, 0.00005})};
  for (const Prediction& prediction : fits) {
    double last = 0.0;
    for (double loss = 0.0; loss < 0.2; loss += 0.001) {
      CHECK(prediction(loss) >= last);
      last = prediction(loss);
    }
  }
  CHECK(fits[0](0.01) == doctest::Approx(0.012));
  CHECK(fits[2](0.02) == doctest::Approx(1e-4 + 0.0238));
}

TEST_CASE("prediction: held-out windows are not those of the calibration") {
  std::vector<std::int32_t> tokens(1050);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i);
  const std::vector<std::int32_t> used = transformer::calibration_windows(tokens, 100, 300);
  const std::vector<std::int32_t> held = transformer::held_out_windows(tokens, 100, 300, 400);
  CHECK(held.size() == 400);
  std::set<std::int32_t> all(used.begin(), used.end());
  all.insert(held.begin(), held.end());
  CHECK(all.size() == 700);
  CHECK(*all.rbegin() < 1000);
  CHECK(held[300] - held[0] > 500);  // they are spread out
  CHECK(transformer::held_out_windows(tokens, 100, 300, 5000).size() == 700);
  CHECK(transformer::held_out_windows(tokens, 100, 300, 5).size() == 100);
  // A text that the calibration uses up.
  CHECK(transformer::held_out_windows(tokens, 100, 5000, 200).size() == 200);
  CHECK(transformer::held_out_windows(std::vector<std::int32_t>(7), 100, 300, 200).size() == 7);
  CHECK(transformer::held_out_windows({}, 100, 300, 200).empty());
}
