#include "transformer/baseline_methods.hpp"

#include <cstddef>

namespace transformer {

std::vector<BaselineMethod> baseline_methods(const InputMoments& moments) {
  BaselineMethod rtn{"rtn", {}};
  BaselineMethod gptq{"gptq", {}};
  BaselineMethod awq{"awq", {}};
  BaselineMethod hqq{"hqq", {}};
  for (const unsigned bits : {2u, 3u, 4u}) {
    for (const std::size_t group : {128u, 64u}) {
      rtn.rates.push_back(transformer::rtn(bits, group));
      gptq.rates.push_back(transformer::gptq(bits, group, moments));
      awq.rates.push_back(transformer::awq(bits, group, moments));
      hqq.rates.push_back(transformer::hqq(bits, group));
    }
  }
  return {
      rtn, gptq, awq, hqq, {"paper_uniform", {paper_uniform()}}, {"paper_nash", {paper_nash()}}};
}

}  // namespace transformer
