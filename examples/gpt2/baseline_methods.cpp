#include "gpt2/baseline_methods.hpp"

#include <cstddef>

namespace gpt2 {

std::vector<BaselineMethod> baseline_methods(const InputMoments& moments) {
  BaselineMethod rtn{"rtn", {}};
  BaselineMethod gptq{"gptq", {}};
  BaselineMethod awq{"awq", {}};
  BaselineMethod hqq{"hqq", {}};
  for (const unsigned bits : {2u, 3u, 4u}) {
    for (const std::size_t group : {128u, 64u}) {
      rtn.rates.push_back(gpt2::rtn(bits, group));
      gptq.rates.push_back(gpt2::gptq(bits, group, moments));
      awq.rates.push_back(gpt2::awq(bits, group, moments));
      hqq.rates.push_back(gpt2::hqq(bits, group));
    }
  }
  return {
      rtn, gptq, awq, hqq, {"paper_uniform", {paper_uniform()}}, {"paper_nash", {paper_nash()}}};
}

}  // namespace gpt2
