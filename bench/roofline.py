#!/usr/bin/env python3
"""Draws a roofline of the products in a JSON file of kernel_bench.

usage: roofline.py RESULTS.json OUT.svg

Every product is a point: weights x tokens per byte that is read against weights x tokens per second.
The slope is the bandwidth of the streaming read (the median over all points), the flat roof the fastest
product.
"""
import json
import math
import statistics
import sys

WIDTH, HEIGHT, LEFT, BOTTOM = 900, 560, 80, 60


def read_points(path):
    points = []
    with open(path, encoding="utf-8") as file:
        for row in json.load(file)["benchmarks"]:
            if not row["name"].startswith("matmul/") or "bytes_per_second" not in row:
                continue
            speed = row["weights_per_second"]
            points.append({
                "name": row["name"].removeprefix("matmul/").removesuffix("/manual_time"),
                "intensity": speed / row["bytes_per_second"],
                "speed": speed,
                "bandwidth": row["bytes_per_second"] / row["bandwidth_share"],
            })
    if not points:
        sys.exit(f"{path}: no product with its counters; use --benchmark_out_format=json")
    return points


def ticks(logarithms):
    exponents = range(math.floor(logarithms[0]), math.ceil(logarithms[1]) + 1)
    values = [digit * 10.0 ** exponent for exponent in exponents for digit in (1, 2, 5)]
    return [v for v in values if logarithms[0] <= math.log10(v) <= logarithms[1]]


def draw(points):
    bandwidth = statistics.median(p["bandwidth"] for p in points)
    roof = max(p["speed"] for p in points)
    x_range = [math.log10(min(p["intensity"] for p in points)) - 0.3,
               math.log10(max(max(p["intensity"] for p in points), roof / bandwidth)) + 0.6]
    y_range = [math.log10(min(p["speed"] for p in points)) - 0.3, math.log10(roof) + 0.3]

    def place(intensity, speed):
        x = (math.log10(intensity) - x_range[0]) / (x_range[1] - x_range[0])
        y = (math.log10(speed) - y_range[0]) / (y_range[1] - y_range[0])
        return LEFT + x * (WIDTH - LEFT - 20), HEIGHT - BOTTOM - y * (HEIGHT - BOTTOM - 20)

    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="11">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for value in ticks(x_range):
        x, _ = place(value, roof)
        svg.append(f'<path d="M{x:.1f} 20V{HEIGHT - BOTTOM}" stroke="#ddd"/>'
                   f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
                   f'{value:g}</text>')
    for value in ticks(y_range):
        _, y = place(1.0, value)
        svg.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - 20}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
                   f'{value / 1e9:g} G/s</text>')
    low = max(10.0 ** x_range[0], 10.0 ** y_range[0] / bandwidth)
    corners = [place(low, low * bandwidth), place(roof / bandwidth, roof),
               place(10.0 ** x_range[1], roof)]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in corners)
    svg.append(f'<path d="M{path}" fill="none" stroke="#c33" stroke-width="2"/>')
    for p in points:
        x, y = place(p["intensity"], p["speed"])
        svg.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#236"/>'
                   f'<text x="{x + 5:.1f}" y="{y + 4:.1f}">{p["name"]}</text>')
    svg.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">'
               'weights × tokens per byte of the matrix</text>')
    svg.append(f'<text x="{LEFT}" y="14">weights × tokens per second; slope: '
               f'{bandwidth / 1e9:.1f} GB/s</text></svg>')
    return "\n".join(svg) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write(draw(read_points(sys.argv[1])))
