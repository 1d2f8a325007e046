#include "kernel/packed_copies.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <utility>

namespace bench {
namespace {

namespace ns = nash_swarm;

ns::FormatId format_named(std::string_view name) {
  const std::size_t index = ns::format_index(name);
  if (index == ns::format_count) throw ns::Error("format", "no \"" + std::string(name) + "\"");
  return ns::format_table[index].id;
}

/// Formats in sixteenths of all runs.
struct Share {
  std::string_view format;
  unsigned sixteenths;
};
constexpr std::array mixture{Share{"b2_l4", 6}, Share{"b3_l4", 6}, Share{"b4_l4", 3},
                             Share{"linear6", 1}};

ns::CellMap mixed_cells(std::size_t panels, std::size_t blocks) {
  std::vector<ns::FormatId> choices;
  for (const Share& share : mixture) {
    choices.insert(choices.end(), share.sixteenths, format_named(share.format));
  }
  ns::CellMap cells(panels, blocks, choices.front());
  std::mt19937_64 random(1);
  for (std::size_t panel = 0; panel < panels; ++panel) {
    for (std::size_t block = 0; block < blocks;) {
      const ns::FormatId format = choices[random() % choices.size()];
      const std::size_t end = std::min(blocks, block + 1 + random() % 4);
      for (; block < end; ++block) cells(panel, block) = format;
    }
  }
  return cells;
}

struct Bytes {
  Bytes(std::size_t size, Pages pages) : codes(size, pages) {}
  RandomMemory codes;
  std::vector<ns::BFloat16> row_scales;
  std::vector<std::uint8_t> run_table;
};

}  // namespace

ns::CellMap make_cells(std::string_view format, const Shape& shape) {
  const std::size_t panels = ns::panel_count(shape.out);
  const std::size_t blocks = (shape.in + ns::block_channels - 1) / ns::block_channels;
  if (format == "mixed") return mixed_cells(panels, blocks);
  return ns::CellMap(panels, blocks, format_named(format));
}

PackedCopies::PackedCopies(std::string_view format, const Shape& shape, Pages pages) {
  const ns::CellMap cells = make_cells(format, shape);
  const std::size_t size = ns::code_bytes(cells);
  const std::size_t count = size == 0 ? 1 : (working_set_bytes() + size - 1) / size;
  const auto bytes = std::make_shared<Bytes>(count * size, pages);
  bytes->row_scales.assign(shape.out, ns::to_bfloat16(0.01f));
  bytes->run_table = ns::encode_runs(cells);
  const auto basis = std::make_shared<const ns::InputBasis>(
      "input", shape.in, ns::InputBasis::widest_rotation(shape.in), 1);
  for (std::size_t i = 0; i < count; ++i) {
    matrices_.emplace_back(
        ns::PackedMatrix::Parts{.name = "matrix " + std::to_string(i),
                                .out_features = shape.out,
                                .basis = basis,
                                .codes = bytes->codes.bytes().subspan(i * size, size),
                                .row_scales = bytes->row_scales,
                                .run_table = bytes->run_table,
                                .storage = bytes});
  }
}

}  // namespace bench
